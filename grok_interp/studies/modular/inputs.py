"""What is looked into: an unseen task, examples for the grids, a slot that runs over all pairs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from grok_interp.activations import HookedModel
from grok_interp.analysis.circles import CirclePCA, circle_pca
from grok_interp.analysis.circularity import circularity
from grok_interp.analysis.similarity import CosineSimilarity, cosine_similarity
from grok_interp.configs import TrainConfig
from grok_interp.data.modular import ModularTasks, Split, draw_inputs, sequences
from grok_interp.data.slot import Position, slot_sequences

N_CONTEXTS = 2600  # of each split: standard error below 1 point, whatever the accuracy over all queries
NO_IDENTITY = {"n_steps", "checkpoint_steps", "micro_batch_size", "precision"}  # a run that goes on stays the same run
GRID_EXAMPLES, ONE_TASK_CONTEXTS = 6, 8  # which stream of random numbers a seed is used for


def evaluation_seed(config: TrainConfig, seed: int = 0) -> int:
    """The seed of a run's evaluation contexts, from what identifies the run: cells of a sweep have independent draws.

    Args:
        config: of the run; `n_steps`, `checkpoint_steps`, `micro_batch_size`, `precision` and fields with their default
            value do not count, so a run that is extended keeps its contexts.
        seed: another seed gives another independent draw for the same run.

    Returns:
        A number in [0, 2^32).

    Example:
        >>> from grok_interp import training_preset
        >>> run = training_preset("modular-p11")
        >>> evaluation_seed(run) == evaluation_seed(run.with_data(n_id=52))
        False
    """
    identity = json.dumps([_changed(config), seed], sort_keys=True)
    return int.from_bytes(hashlib.sha256(identity.encode()).digest()[:4])


def _changed(config: Any) -> dict[str, Any]:
    """The fields that have no default or another value; configs within configs likewise."""
    changed = {}
    for field in fields(config):
        value = getattr(config, field.name)
        if field.name not in NO_IDENTITY and (field.default is MISSING or value != field.default):
            changed[field.name] = _changed(value) if hasattr(value, "__dataclass_fields__") else value
    return changed


def unseen_task(tasks: ModularTasks) -> tuple[int, int]:
    """The first o.o.d. task without a shortcut: neither a nor b is 0, nor a = b; or just the first."""
    pairs = [(a, b) for a, b in tasks.ood_tasks.tolist()]
    return next((pair for pair in pairs if all(pair) and pair[0] != pair[1]), pairs[0])


def grid_examples(p: int, k: int, *, seed: int = 0) -> Int64[Tensor, "example 2"]:
    """k random inputs, the first ones of every longer list."""
    pairs = torch.cartesian_prod(torch.arange(p), torch.arange(p))
    return draw_inputs(pairs, n_contexts=1, n_examples=k, seed=(seed, GRID_EXAMPLES))[0]


def one_task_per_context(
    tasks: ModularTasks, split: Split, *, n_examples: int, n_contexts: int, seed: int
) -> Int64[Tensor, "context pos"]:
    """Contexts x y z x y z ... with inputs drawn independently; the tasks of the split take turns."""
    chosen, pairs = tasks.of(split)
    inputs = draw_inputs(pairs, n_contexts=n_contexts, n_examples=n_examples, seed=(seed, ONE_TASK_CONTEXTS))
    turns = chosen[torch.arange(n_contexts) % len(chosen)]
    return torch.cat([sequences(task[None], own[None], tasks.p)[0] for task, own in zip(turns, inputs, strict=True)])


def slot_tokens(n_ctx: int, tasks: ModularTasks, slot: int) -> Int64[Tensor, "pair pos"]:
    """Sequences of an unseen task in which one slot runs over all pairs, as long as the context."""
    return slot_sequences(unseen_task(tasks), tasks.p, slot=slot, n_examples=last_slot(n_ctx) + 1, seed=0)


def last_slot(n_ctx: int) -> int:
    return n_ctx // 3 - 1


def default_shots(n_examples: int) -> list[int]:
    """Few, half and as many examples as leave room for a query."""
    return sorted({1, 2, n_examples // 2, n_examples - 1})


def most_circular(
    model: HookedModel,
    tasks: ModularTasks,
    *,
    step: int,
    heads: Sequence[tuple[int, int]] | None = None,
    slot: int | None = None,
) -> CirclePCA:
    """Of these heads (default: all), the one of largest circularity."""
    slot = last_slot(model.cfg.n_ctx) if slot is None else slot
    tokens = slot_tokens(model.cfg.n_ctx, tasks, slot)
    heads = heads or [(layer, head) for layer in range(model.cfg.n_layers) for head in range(model.cfg.n_heads)]
    found = [circle_pca([(step, model)], tasks.p, tokens, slot=slot, layer=layer, head=head) for layer, head in heads]
    return max(found, key=lambda circles: float(circularity(circles, seed=0).at().sel(measure="circularity")))


def block_similarity(
    model: HookedModel, tasks: ModularTasks, *, step: int, layer: int, position: Position, slot: int | None = None
) -> CosineSimilarity:
    """Of one block's output at x, y or z of the slot (default: the last), on an unseen task."""
    slot = last_slot(model.cfg.n_ctx) if slot is None else slot
    tokens = slot_tokens(model.cfg.n_ctx, tasks, slot)
    return cosine_similarity([(step, model)], tasks.p, tokens, slot=slot, position=position, layer=layer)


def token_names(tokens: Int64[Tensor, " pos"]) -> list[str]:
    """x=3, y=5, z=1: a token's number and its place in the example."""
    return [f"{'xyz'[pos % 3]}={token}" for pos, token in enumerate(tokens.tolist())]
