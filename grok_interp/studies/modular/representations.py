"""Circularity of the heads and kaleidoscopes of the blocks, in one slot of an unseen task; stored with the run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Int64
from torch import Tensor

from grok_interp.analysis.ablation_arguments import Head, named
from grok_interp.analysis.circles import CirclePCA, circle_pca
from grok_interp.analysis.circularity import Circularity, circularity
from grok_interp.analysis.kaleidoscope import Kaleidoscope, kaleidoscope
from grok_interp.analysis.similarity import CosineSimilarity, cosine_similarity
from grok_interp.data.slot import Position
from grok_interp.models.activations import HookedModel
from grok_interp.results.analyzer import Analyzer, tokens_hash
from grok_interp.runs.once_per_run import once_per_run
from grok_interp.runs.run import Run
from grok_interp.studies.modular.modular_inputs import last_slot, slot_tokens, tasks_of_run

POSITIONS: tuple[Position, ...] = ("y", "z")
SEED = 0  # of the shuffles


def circularities(
    run: Run, *, steps: Sequence[int] | None = None, slot: int | None = None, device: str = "cpu"
) -> list[Circularity]:
    """Of every head, at all checkpoints if no steps are named.

    Args:
        run: a run on modular arithmetic.
        steps: of its checkpoints.
        slot: the example whose inputs run over all pairs, counted from 0; the last of the context if None.
        device: where models run, a torch device.
    """
    return run.evaluate([_circularity(run, head, slot) for head in _heads(run)], steps=steps, device=device)


def circles(
    run: Run, *, step: int, head: Head | None = None, slot: int | None = None, device: str = "cpu"
) -> CirclePCA:
    """The circle of circles of one head at one checkpoint.

    Args:
        run: a run on modular arithmetic.
        step: of the checkpoint.
        head: (layer, head); the one of largest circularity at that step if None.
        slot: as in `circularities`.
        device: where the model runs, a torch device.
    """
    if head is None:
        found = circularities(run, steps=[step], slot=slot, device=device)
        scores = [float(each.at()["circularity"]) for each in found]
        head = max(zip(scores, _heads(run), strict=True), key=lambda pair: pair[0])[1]
    (result,) = run.evaluate([_circles(run, head, slot)], steps=[step], device=device)
    return result


def head_circularity(run: Run, head: Head, *, step: int, device: str = "cpu") -> Circularity:
    """Of one head at one checkpoint, in the last slot.

    Args:
        run: a run on modular arithmetic.
        head: (layer, head).
        step: of the checkpoint.
        device: where models run, a torch device.
    """
    (result,) = run.evaluate([_circularity(run, head, None)], steps=[step], device=device)
    return result


def kaleidoscopes(run: Run, *, device: str = "cpu") -> list[Kaleidoscope]:
    """Both patterns in the output of every block, at y and at z, at every checkpoint.

    Args:
        run: of modular arithmetic.
        device: a torch device.
    """
    places = product(POSITIONS, range(run.config.model.n_layers))
    return run.evaluate([_kaleidoscope(run, position, layer) for position, layer in places], device=device)


def block_kaleidoscope(run: Run, position: Position, layer: int, *, step: int, device: str = "cpu") -> Kaleidoscope:
    """Both patterns in the output of one block at one checkpoint, in the last slot.

    Args:
        run: a run on modular arithmetic.
        position: "x", "y" or "z" of the slot.
        layer: the block, counted from 0.
        step: of the checkpoint.
        device: where models run, a torch device.
    """
    (result,) = run.evaluate([_kaleidoscope(run, position, layer)], steps=[step], device=device)
    return result


def block_similarity(
    run: Run, *, step: int, layer: int, position: Position, slot: int | None = None, device: str = "cpu"
) -> CosineSimilarity:
    """Cosine similarity of one block's output over all pairs of the slot, at one checkpoint.

    Args:
        run: a run on modular arithmetic.
        step: of the checkpoint.
        layer: the block, counted from 0.
        position: x, y or z of the slot.
        slot: as in `circularities`.
        device: where the model runs, a torch device.
    """
    (result,) = run.evaluate([_similarity(run, position, layer, slot)], steps=[step], device=device)
    return result


def _heads(run: Run) -> list[Head]:
    return list(np.ndindex(run.config.model.n_layers, run.config.model.n_heads))


@once_per_run
def _slot_inputs(run: Run, *, slot: int | None) -> tuple[Int64[Tensor, "pair pos"], dict[str, int], dict[str, Any]]:
    """The sequences, where to look in them, and their description."""
    tasks, n_ctx = tasks_of_run(run), run.config.model.n_ctx
    slot = last_slot(n_ctx) if slot is None else slot
    tokens, where = slot_tokens(n_ctx, tasks, slot), {"p": tasks.p, "slot": slot}
    return tokens, where, {**where, "tokens": tokens_hash(tokens)}


def _circles(run: Run, head: Head, slot: int | None) -> Analyzer[CirclePCA]:
    tokens, where, described = _slot_inputs(run, slot=slot)

    def evaluate(step: int, model: HookedModel) -> CirclePCA:
        return circle_pca([(step, model)], tokens=tokens, layer=head[0], head=head[1], **where)

    return Analyzer(f"circle_pca_{named([head])}", CirclePCA, described, evaluate)


def _circularity(run: Run, head: Head, slot: int | None) -> Analyzer[Circularity]:
    components, (_, _, described) = _circles(run, head, slot), _slot_inputs(run, slot=slot)

    def evaluate(step: int, model: HookedModel) -> Circularity:
        return circularity(components.evaluate(step, model), seed=SEED)

    return Analyzer(f"circularity_{named([head])}", Circularity, {**described, "seed": SEED}, evaluate)


def _similarity(run: Run, position: Position, layer: int, slot: int | None = None) -> Analyzer[CosineSimilarity]:
    tokens, where, described = _slot_inputs(run, slot=slot)

    def evaluate(step: int, model: HookedModel) -> CosineSimilarity:
        return cosine_similarity([(step, model)], tokens=tokens, position=position, layer=layer, **where)

    return Analyzer(f"cosine_similarity_{position}_layer{layer}", CosineSimilarity, described, evaluate)


def _kaleidoscope(run: Run, position: Position, layer: int) -> Analyzer[Kaleidoscope]:
    similarity, (_, _, described) = _similarity(run, position, layer), _slot_inputs(run, slot=None)

    def evaluate(step: int, model: HookedModel) -> Kaleidoscope:
        return kaleidoscope(similarity.evaluate(step, model), seed=SEED)

    return Analyzer(f"kaleidoscope_{position}_layer{layer}", Kaleidoscope, {**described, "seed": SEED}, evaluate)
