"""The heads' circularity and the blocks' kaleidoscopes over training, in the last slot of an unseen task.

A process asks each checkpoint file once: who watches a run waits for what is new only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Int64
from torch import Tensor

from grok_interp.analysis.circles import circle_pca
from grok_interp.analysis.circularity import Circularity, circularity
from grok_interp.analysis.kaleidoscope import Kaleidoscope, kaleidoscope
from grok_interp.analysis.similarity import cosine_similarity
from grok_interp.checkpoints.run import batches_of_run
from grok_interp.checkpoints.series import CheckpointSeries
from grok_interp.data.slot import Position
from grok_interp.results import LabelledResult
from grok_interp.studies.modular.inputs import last_slot, slot_tokens
from grok_interp.training.batches import ModularBatches

Result = TypeVar("Result", bound=LabelledResult)
POSITIONS: tuple[Position, ...] = ("y", "z")
REMEMBERED = 4096  # checkpoints, a few kB each


def circularities(directory: Path, *, every: int = 1, device: str = "cpu") -> list[Circularity]:
    """Of every head, at every checkpoint or every n-th, counted from the last."""
    return _over_training(directory, _circularities_at, every, device)


def kaleidoscopes(directory: Path, *, device: str = "cpu") -> list[Kaleidoscope]:
    """Both patterns in the output of every block, at y and at z, at every checkpoint."""
    return _over_training(directory, _kaleidoscopes_at, 1, device)


def _over_training(
    directory: Path, of: Callable[[Path, int, int, str], list[Result]], every: int, device: str
) -> list[Result]:
    series = CheckpointSeries(directory)
    steps = series.steps[::-1][::every][::-1]
    rows = [of(series.directory.resolve(), step, series.path(step).stat().st_mtime_ns, device) for step in steps]
    return [first.extended(*later) for first, *later in zip(*rows, strict=True)]


@lru_cache(REMEMBERED)
def _circularities_at(directory: Path, step: int, written: int, device: str) -> list[Circularity]:  # noqa: ARG001 (a key)
    model, (tokens, where) = CheckpointSeries(directory).load(step).to(device), _asked(directory)
    heads = np.ndindex(model.cfg.n_layers, model.cfg.n_heads)
    found = (circle_pca([(step, model)], tokens=tokens, layer=layer, head=head, **where) for layer, head in heads)
    return [circularity(circles, seed=0) for circles in found]


@lru_cache(REMEMBERED)
def _kaleidoscopes_at(directory: Path, step: int, written: int, device: str) -> list[Kaleidoscope]:  # noqa: ARG001 (a key)
    model, (tokens, where) = CheckpointSeries(directory).load(step).to(device), _asked(directory)
    places = product(POSITIONS, range(model.cfg.n_layers))
    found = (
        cosine_similarity([(step, model)], tokens=tokens, position=position, layer=layer, **where)
        for position, layer in places
    )
    return [kaleidoscope(similarity, seed=0) for similarity in found]


def _asked(directory: Path) -> tuple[Int64[Tensor, "pair pos"], dict[str, int]]:
    batches, n_ctx = batches_of_run(directory), CheckpointSeries(directory).config.model.n_ctx
    assert isinstance(batches, ModularBatches)
    slot = last_slot(n_ctx)
    return slot_tokens(n_ctx, batches.tasks, slot), {"p": batches.tasks.p, "slot": slot}
