"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from grok_interp.cli.output import Output

RunFolder = Annotated[Path, tyro.conf.Positional]
OutputFlags = Annotated[Output, tyro.conf.arg(name="")]  # --quiet, --json
READABLE = Output()
