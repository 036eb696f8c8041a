"""`audit`: faults in a series of checkpoints."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from grok_interp.cli.options import READABLE, OutputFlags
from grok_interp.runs.record import parsed_record
from grok_interp.runs.run import Run, is_run

if TYPE_CHECKING:
    from grok_interp.runs.series import CheckpointSeries


def audit(series: Annotated[str, tyro.conf.Positional], /, *, output: OutputFlags = READABLE) -> None:
    """Look for duplicates, gaps, wrong order, misfits and jumps among checkpoints, and for damaged files of a run.

    One line per finding.

    Args:
        series: a run's folder, Trainer's output_dir, or the files of a series, 'ckpts/model_{step}.pt'.
    """
    from grok_interp.runs.audit import audit as audit_series
    from grok_interp.runs.damage import damaged_files

    checkpoints = checkpoints_at(series)
    damaged = damaged_files(Run.open(series)) if is_run(series) else []
    with output.progress("audit") as advance:
        found = audit_series(checkpoints, on_checkpoint=advance)
    for each in (*damaged, found):
        output.say(each)
    distances = [{"steps": pair, "distance": distance} for pair, distance in found.distances.items()]
    facts = {"series": series, "steps": found.steps, "findings": list(map(asdict, found.findings))}
    facts["damaged"] = list(map(asdict, damaged))
    output.finish({**facts, "distances": distances}, made=list(map(str, (*damaged, *found.findings))))


def checkpoints_at(place: str) -> CheckpointSeries:
    """The series at a path or pattern. Raises ValueError where there is none."""
    from grok_interp.runs.series import CheckpointSeries

    if parsed_record(Path(place)) is not None:  # a damaged one is named
        return Run.open(place).checkpoints
    if "{" in place:
        return CheckpointSeries.from_files(place)
    if next(Path(place).glob("checkpoint-*"), None):
        return CheckpointSeries.from_huggingface_folder(place)
    raise ValueError(
        f"no series of checkpoints at {place}: expected a run's folder, a folder with checkpoint-500 and the like, or "
        "files with {step} in their name, as 'ckpts/model_{step}.pt'"
    )
