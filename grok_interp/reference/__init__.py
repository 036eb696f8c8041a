"""Runs that come with the package: trained by its own loop, a few checkpoints of each in bfloat16.

`load_reference("modular-p11")` is a `CheckpointSeries` like any run, with its results beside it, so that notebooks and
figures take seconds. How each was trained, and what it can and cannot do, is in dev/LOG.md of the repository.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from grok_interp.checkpoints.series import CheckpointSeries
from grok_interp.checkpoints.store import save_weights, write_text
from grok_interp.models.weights import canonical_views

FOLDER = Path(__file__).parent
METRICS_EVERY = 50  # updates between two lines of metrics that are kept


def references() -> tuple[str, ...]:
    """The names of what there is."""
    return tuple(sorted(file.parent.name for file in FOLDER.glob("*/config.json")))


def load_reference(name: str) -> CheckpointSeries:
    """The series of that name. Raises ValueError for an unknown one."""
    if name not in references():
        raise ValueError(f"no reference {name!r}: there are {', '.join(references())}")
    return CheckpointSeries(FOLDER / name)


def write_reference(run: Path, directory: Path, steps: Sequence[int]) -> CheckpointSeries:
    """A run in small: these checkpoints in bfloat16, and every 50th line of its metrics; analyze it afterwards.

    Raises ValueError for a directory that exists and for steps that were not saved.
    """
    if directory.exists():
        raise ValueError(f"{directory} exists: delete it first")
    source = CheckpointSeries(run)
    models = {step: source.load(step) for step in steps}
    directory.mkdir(parents=True)
    shutil.copy(run / "config.json", directory / "config.json")
    lines = (run / "metrics.jsonl").read_text().splitlines()
    kept = [line for line in lines if json.loads(line)["step"] % METRICS_EVERY == 0]
    write_text(directory / "metrics.jsonl", "\n".join(kept) + "\n")
    series = CheckpointSeries(directory)
    for step, model in models.items():
        weights = {key: view.to(torch.bfloat16) for key, view in canonical_views(model).items()}
        save_weights(series.path(step), weights, {"step": str(step)})
    return series
