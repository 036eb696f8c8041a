"""The evaluation inputs of a modular run: contexts of every split, an unseen task, a slot that runs over all pairs.

All checkpoints of a run are evaluated on the same contexts. Two runs have independent contexts: their seed is made from
the run's configuration.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING, dataclass, fields
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from grok_interp.analysis.evaluation_contexts import EvaluationContexts, draw_contexts
from grok_interp.configs import TrainConfig
from grok_interp.data.modular import ModularTasks, Split, draw_inputs, sequences
from grok_interp.data.slot import slot_sequences
from grok_interp.runs.once_per_run import once_per_run
from grok_interp.runs.run import Run
from grok_interp.training.batches import ModularBatches

N_CONTEXTS = 2600  # of each split: standard error below 1 point, whatever the accuracy over all queries
NO_IDENTITY = {
    "n_steps",
    "checkpoint_steps",
    "micro_batch_size",
    "precision",
}  # a run that is extended stays the same run
GRID_EXAMPLES, ONE_TASK_CONTEXTS = 6, 8  # which stream of random numbers a seed is used for


@dataclass(frozen=True)
class ModularInputs:
    """What every checkpoint is evaluated on: contexts of their own for all tasks of each split."""

    tasks: ModularTasks
    tasks_hash: str
    contexts: list[EvaluationContexts]

    def description(self) -> dict[str, object]:
        """Names the inputs in plain values."""
        return {"tasks": self.tasks_hash, **self.contexts[0].description()}


@once_per_run
def evaluation_inputs(run: Run, *, n_contexts: int = N_CONTEXTS, seed: int = 0) -> ModularInputs:
    """The evaluation contexts of a run.

    Args:
        run: a run on modular arithmetic.
        n_contexts: contexts of each split, rounded up to an equal number of two or more for each task.
        seed: another one draws other contexts. They also depend on the run's configuration, so runs are independent.

    Returns:
        What `analyze` evaluates every checkpoint on.

    Raises:
        ValueError: for a run on text.

    Example:
        >>> from grok_interp import load_reference
        >>> inputs = evaluation_inputs(load_reference("modular-p11"))
        >>> [each.split for each in inputs.contexts]
        ['id_train', 'id_test', 'ood_train', 'ood_test']
    """
    tasks, drawn_by = tasks_of_run(run), evaluation_seed(run.config, seed)
    contexts = draw_contexts(tasks, n_examples=run.config.model.n_ctx // 3, n_contexts=n_contexts, seed=drawn_by)
    return ModularInputs(tasks, run.data.hash, contexts)


def tasks_of_run(run: Run) -> ModularTasks:
    """The tasks and inputs of the four splits. Raises ValueError for a run on text.

    Args:
        run: of modular arithmetic.
    """
    if not isinstance(run.data, ModularBatches):
        raise ValueError(
            f"{run} is no run on modular arithmetic ({run.data.description}): the modular study cannot look at it"
        )
    return run.data.tasks


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


def _changed(config: Any) -> dict[str, object]:
    """The fields that have no default or another value; configs within configs likewise."""
    changed = {}
    for field in fields(config):
        value = getattr(config, field.name)
        if field.name not in NO_IDENTITY and (field.default is MISSING or value != field.default):
            changed[field.name] = _changed(value) if hasattr(value, "__dataclass_fields__") else value
    return changed


def unseen_task(tasks: ModularTasks) -> tuple[int, int]:
    """The first o.o.d. task without a shortcut: neither a nor b is 0, nor a = b; or just the first.

    Args:
        tasks: the tasks of all splits, modulo p.
    """
    pairs = [(a, b) for a, b in tasks.ood_tasks.tolist()]
    return next((pair for pair in pairs if all(pair) and pair[0] != pair[1]), pairs[0])


def grid_examples(p: int, k: int, *, seed: int = 0) -> Int64[Tensor, "example 2"]:
    """k random inputs, the first ones of every longer list.

    Args:
        p: the modulus.
        k: number of examples.
        seed: draws them.
    """
    pairs = torch.cartesian_prod(torch.arange(p), torch.arange(p))
    return draw_inputs(pairs, n_contexts=1, n_examples=k, seed=(seed, GRID_EXAMPLES))[0]


def one_task_per_context(
    tasks: ModularTasks, split: Split, *, n_examples: int, n_contexts: int, seed: int
) -> Int64[Tensor, "context pos"]:
    """Contexts x y z x y z ... with inputs drawn independently; the tasks of the split take turns.

    Args:
        tasks: with their inputs.
        split: of tasks and inputs.
        n_examples: of each context.
        n_contexts: in all.
        seed: draws the inputs.
    """
    chosen, pairs = tasks.of(split)
    inputs = draw_inputs(pairs, n_contexts=n_contexts, n_examples=n_examples, seed=(seed, ONE_TASK_CONTEXTS))
    turns = chosen[torch.arange(n_contexts) % len(chosen)]
    return torch.cat([sequences(task[None], own[None], tasks.p)[0] for task, own in zip(turns, inputs, strict=True)])


def slot_tokens(n_ctx: int, tasks: ModularTasks, slot: int) -> Int64[Tensor, "pair pos"]:
    """Sequences of an unseen task in which one slot runs over all pairs, as long as the context.

    Args:
        n_ctx: of the model, in tokens.
        tasks: of the run.
        slot: the example that runs over all pairs, counted from 0.
    """
    return slot_sequences(unseen_task(tasks), tasks.p, slot=slot, n_examples=last_slot(n_ctx) + 1, seed=0)


def last_slot(n_ctx: int) -> int:
    """The index of the last slot of a context, from 0; a slot has three tokens.

    Args:
        n_ctx: tokens of the context.
    """
    return n_ctx // 3 - 1


def default_shots(n_examples: int) -> list[int]:
    """Few, half and as many examples as leave room for a query.

    Args:
        n_examples: as many as the context holds.
    """
    return sorted({1, 2, n_examples // 2, n_examples - 1})


def token_names(tokens: Int64[Tensor, " pos"]) -> list[str]:
    """x=3, y=5, z=1: a token's number and its place in the example.

    Args:
        tokens: of one sequence x y z x y z ...
    """
    return [f"{'xyz'[pos % 3]}={token}" for pos, token in enumerate(tokens.tolist())]
