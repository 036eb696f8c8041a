"""Runs that come with the package: trained by its own loop, a few checkpoints of each in bfloat16.

`load_reference("modular-p11")` is a `Run` like any other, with its results beside it, so that notebooks and
figures take seconds. How each was trained, and what it can and cannot do, is in dev/LOG.md of the repository.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from grok_interp.files import write_text
from grok_interp.models.weights import canonical_views
from grok_interp.runs.checkpoint_files import save_weights
from grok_interp.runs.record import COPIED, write_record
from grok_interp.runs.run import Run

FOLDER = Path(__file__).parent
METRICS_EVERY = 50  # updates between two lines of metrics that are kept


def references() -> tuple[str, ...]:
    """The names of the reference runs."""
    return tuple(sorted(file.parent.name for file in FOLDER.glob("*/config.json")))


def load_reference(name: str) -> Run:
    """A trained run that comes with the package.

    Args:
        name: "copier-mini" or "modular-p11".

    Returns:
        The run, with checkpoints and results.

    Raises:
        ValueError: for an unknown name.

    Example:
        >>> load_reference("modular-p11").steps[-1]
        26000
    """
    if name not in references():
        raise ValueError(f"no reference {name!r}: there are {', '.join(references())}")
    return Run.open(FOLDER / name, trust_source=True)  # an installer may have made links of its files


def write_reference(run: Run, directory: Path, steps: Sequence[int]) -> Run:
    """A small copy of a run: these checkpoints in bfloat16, and every 50th line of its metrics; analyze it afterwards.

    Raises ValueError for a directory that exists and for steps that were not saved.
    """
    if directory.exists():
        raise ValueError(f"{directory} exists: delete it first")
    models = {step: run.load(step) for step in steps}
    directory.mkdir(parents=True)
    write_record(directory, {**run.record, COPIED: sorted(steps)})
    lines = (run.directory / "metrics.jsonl").read_text().splitlines()
    kept = [line for line in lines if json.loads(line)["step"] % METRICS_EVERY == 0]
    write_text(directory / "metrics.jsonl", "\n".join(kept) + "\n")
    copy = Run.open(directory)
    for step, model in models.items():
        weights = {key: view.to(torch.bfloat16) for key, view in canonical_views(model).items()}
        save_weights(copy.checkpoints.path(step), weights, {"step": str(step), "model": run.config.model.hash})
    return copy
