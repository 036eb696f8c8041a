"""`audit`: faults in a series of checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from grok_interp.cli.options import READABLE, OutputFlags
from grok_interp.cli.series import AS_NAMED, CheckpointFlags, CheckpointOptions, series_at
from grok_interp.runs.record import parsed_record
from grok_interp.runs.run import Run
from grok_interp.runs.series_run import SeriesRun

if TYPE_CHECKING:
    from grok_interp.cli.output import Output
    from grok_interp.runs.audit import Audit


def audit(
    series: Annotated[str, tyro.conf.Positional],
    /,
    *,
    options: CheckpointFlags = AS_NAMED,
    output: OutputFlags = READABLE,
) -> None:
    """Look for duplicates, gaps, wrong order, misfits and jumps among checkpoints, and for damaged files of a run.

    One line per finding; findings do not change the exit code, which is 0. `--json` lists them for scripts.

    Args:
        series: a run's folder, Trainer's output_dir, the files of a series, 'ckpts/model_{step}.pt', or
            hub:OWNER/NAME, which is downloaded.
        options: of checkpoints from elsewhere.
    """
    damaged, found = _audited(series, options, output)
    for each in (*damaged, found):
        output.say(each)
    distances = [{"steps": pair, "distance": distance} for pair, distance in found.distances.items()]
    facts = {"series": series, "steps": found.steps, "findings": list(map(asdict, found.findings))}
    facts["damaged"] = list(map(asdict, damaged))
    output.finish({**facts, "distances": distances}, made=list(map(str, (*damaged, *found.findings))))


def _audited(place: str, options: CheckpointOptions, output: Output) -> tuple[Sequence[Any], Audit]:
    """Damaged files and what is found at a place; of a series that was analyzed, what was found then."""
    from grok_interp.runs.audit import audit as audit_series
    from grok_interp.runs.damage import damaged_files

    run = Run.open(place) if parsed_record(Path(place)) is not None else None  # a damaged one is named
    if run and options != AS_NAMED:
        raise ValueError(f"{place} is a run, which is audited as a whole: leave out the options of a series")
    if isinstance(run, SeriesRun):
        return [], run.audit
    damaged = damaged_files(run) if run else []
    with output.progress("audit") as advance:
        return damaged, audit_series(run.checkpoints if run else series_at(place, options), on_checkpoint=advance)
