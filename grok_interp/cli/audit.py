"""`audit`: faults in a series of checkpoints."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from grok_interp.cli.options import READABLE, OutputFlags
from grok_interp.cli.series import series_at
from grok_interp.runs.record import is_run
from grok_interp.runs.run import Run
from grok_interp.runs.series_run import SeriesRun

if TYPE_CHECKING:
    from grok_interp.cli.output import Output
    from grok_interp.runs.audit import Audit


def audit(series: Annotated[str, tyro.conf.Positional], /, *, output: OutputFlags = READABLE) -> None:
    """Look for duplicates, gaps, wrong order, misfits and jumps among checkpoints. One line per finding.

    Args:
        series: a run's folder, Trainer's output_dir, the files of a series, 'ckpts/model_{step}.pt', or
            hub:OWNER/NAME, which is downloaded.
    """
    found = _audited(series, output)
    output.say(found)
    distances = [{"steps": pair, "distance": distance} for pair, distance in found.distances.items()]
    facts = {"series": series, "steps": found.steps, "findings": list(map(asdict, found.findings))}
    output.finish({**facts, "distances": distances}, made=[str(finding) for finding in found.findings])


def _audited(place: str, output: Output) -> Audit:
    """What is found at a place; of a series that was analyzed, what was found then."""
    from grok_interp.runs.audit import audit as audit_series

    run = Run.open(place) if is_run(Path(place)) else None
    if isinstance(run, SeriesRun):
        return run.audit
    with output.progress("audit") as advance:
        return audit_series(run.checkpoints if run else series_at(place), on_checkpoint=advance)
