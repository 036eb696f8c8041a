"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from grok_interp.cli.output import Output

RunFolder = Annotated[Path, tyro.conf.Positional]
OutputFlags = Annotated[Output, tyro.conf.arg(name="")]  # --quiet, --json
READABLE = Output()
TrustSource = Annotated[
    bool,
    tyro.conf.arg(
        help="read the text that the run's config.json names, and what its links lead to, outside its folder. Needed "
        "for runs that were not trained by this user on this machine; once is enough."
    ),
]
