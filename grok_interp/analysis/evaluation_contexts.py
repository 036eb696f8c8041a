"""Contexts that models of modular arithmetic are evaluated on, and their answers: shots.py and agreement.py use both.

The tasks of a split are evaluated on equally many contexts, each context drawn for one task alone, and after every
number of examples. Accuracy varies much more over contexts than over tasks: contexts that all tasks shared would need
many times as many sequences for the same standard error (docs/modular_intervals.md). Splits have contexts of their own
too, so their accuracies are independent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from grok_interp.analysis.arguments import require_splits
from grok_interp.analysis.predictions import predicted_tokens
from grok_interp.analysis.queries import query_kinds, solved_queries
from grok_interp.counted import counted
from grok_interp.data.modular import SPLITS, ModularTasks, Split, answers, draw_inputs, sequences
from grok_interp.data.token_rows import batches_of
from grok_interp.models.activations import HookedModel, in_batches, logits

EVALUATION_CONTEXTS, NOISE = 2, 3  # which stream of random numbers a seed is used for


@dataclass(frozen=True)
class EvaluationContexts:
    """The contexts of one split; each example of a context is a query after those before it.

    `n_all_tasks` is how many tasks the split has, `tasks` those that are evaluated. `n_contexts` is the number that was
    asked for, over all tasks together.
    """

    split: Split
    p: int
    tasks: Int64[Tensor, "task 2"]
    inputs: Int64[Tensor, "task context example 2"]
    shown: Int64[Tensor, "task context pos"]  # x y z x y z ..., some z wrong if noise was asked for
    seed: int
    noise: float
    n_contexts: int
    n_all_tasks: int

    @classmethod
    def draw(
        cls, tasks: ModularTasks, split: Split, *, n_examples: int, n_contexts: int, seed: int, noise: float = 0.0
    ) -> EvaluationContexts:
        """The contexts of a split, drawn from a seed.

        Args:
            tasks: the tasks and inputs of the four splits.
            split: one of them.
            n_examples: examples of a context.
            n_contexts: contexts of all tasks together, rounded up to an equal number of two or more for each task.
            seed: draws the contexts.
            noise: the fraction of the answers shown that are wrong, in [0, 1).

        Returns:
            The contexts.

        Raises:
            ValueError: for noise outside [0, 1), and for fewer than one context or example.

        Example:
            >>> from grok_interp import ModularConfig
            >>> tasks = ModularTasks.draw(ModularConfig(p=7, n_id=40, alpha=0.8, rule="random"))
            >>> EvaluationContexts.draw(tasks, "ood_train", n_examples=12, n_contexts=2600, seed=0).inputs.shape
            torch.Size([9, 289, 12, 2])
        """
        if not isinstance(noise, Real) or not 0 <= noise < 1:
            raise ValueError(f"noise is the fraction of wrong answers shown, in [0, 1), got {noise}")
        if n_contexts < 1 or n_examples < 1:
            raise ValueError(
                "needed are n_contexts of 1 or more and a context of 3 tokens or more, got "
                f"{counted(n_contexts, 'context')} of "
                f"{n_examples} examples"
            )
        chosen, pairs = tasks.of(split)
        stream = SPLITS.index(split)
        draw = (seed, EVALUATION_CONTEXTS, stream)
        n_tasks, n_each = len(chosen), max(2, math.ceil(n_contexts / len(chosen)))
        inputs = draw_inputs(pairs, n_contexts=n_tasks * n_each, n_examples=n_examples, seed=draw)
        inputs = inputs.unflatten(0, (n_tasks, n_each))
        tokens = sequences(chosen, inputs, tasks.p)
        shown = with_wrong_answers(tokens, noise, tasks.p, seed=(seed, NOISE, stream))
        return cls(split, tasks.p, chosen, inputs, shown, seed, noise, n_contexts, tasks.n_all_tasks(split))

    @cached_property
    def true(self) -> Int64[Tensor, "task context shot"]:
        """The right answers, whatever is shown."""
        return answers(self.tasks, self.inputs, self.p)

    @cached_property
    def counted(self) -> Bool[Tensor, "queries task context shot"]:
        """Which queries are of which kind (queries.py)."""
        return query_kinds(self.inputs, self.p)

    @cached_property
    def solved(self) -> Bool[Tensor, "2 task context shot"]:
        """Which queries Ratio Matching and Modular Regression solve."""
        return solved_queries(self.inputs, self.p)

    @property
    def task_fraction(self) -> float:
        """The fraction of the split's tasks that is evaluated: 1 means that no task is sampled."""
        return len(self.tasks) / self.n_all_tasks

    def description(self) -> dict[str, int | float]:
        """Names the contexts in plain values."""
        return {"n_contexts": self.n_contexts, "seed": self.seed, "noise": self.noise, "p": self.p}


@dataclass(frozen=True)
class AnsweredContexts:
    """What one model answers to the contexts of a split."""

    contexts: EvaluationContexts
    found: Int64[Tensor, "task context shot"]  # `predicted_tokens`: NO_PREDICTION for a tie
    loss: Float[Tensor, "task context shot"]  # cross-entropy of the true answer, in nats


def draw_contexts(
    tasks: ModularTasks,
    splits: Sequence[Split] = SPLITS,
    *,
    n_examples: int,
    n_contexts: int,
    seed: int,
    noise: float = 0.0,
) -> list[EvaluationContexts]:
    """One for each split.

    Args:
        tasks: with their inputs.
        splits: of tasks and inputs.
        n_examples: of each context.
        n_contexts: of each task.
        seed: draws the examples.
        noise: fraction of the shown answers that are wrong.

    Raises:
        ValueError: for no split, one twice, and what is no split.
    """
    require_splits(splits)
    return [
        EvaluationContexts.draw(tasks, split, n_examples=n_examples, n_contexts=n_contexts, seed=seed, noise=noise)
        for split in splits
    ]


def answers_of(
    model: HookedModel, contexts: Sequence[EvaluationContexts], *, batch_size: int = 256
) -> list[AnsweredContexts]:
    """One for each split.

    Args:
        model: a hooked model.
        contexts: of each split.
        batch_size: rows per forward pass; changes memory, never the result.

    Raises:
        ValueError: for a vocabulary without all of Z_p.
    """
    return [_answers(model, each, batch_size) for each in contexts]


def _answers(model: HookedModel, contexts: EvaluationContexts, batch_size: int) -> AnsweredContexts:
    if model.cfg.d_vocab < contexts.p:
        raise ValueError(f"the tasks need a d_vocab of p = {contexts.p} or more, the model has {model.cfg.d_vocab}")
    found, loss = [], []
    shown = in_batches(model, contexts.shown.flatten(0, 1), batch_size)
    for (each, tokens), true in zip(shown, batches_of(contexts.true.flatten(0, 1), batch_size), strict=True):
        scores = _answer_logits(each, tokens)
        found.append(predicted_tokens(scores))
        loss.append(torch.nn.functional.cross_entropy(scores.movedim(-1, 1), true, reduction="none"))
    shape = contexts.shown.shape[:2]
    return AnsweredContexts(contexts, torch.cat(found).unflatten(0, shape), torch.cat(loss).unflatten(0, shape))


def answer_logits(
    model: HookedModel, tokens: Int64[Tensor, "batch pos"], *, batch_size: int
) -> Float[Tensor, "batch shot d_vocab"]:
    """The logits of every answer z of x y z x y z ..., on the CPU.

    Args:
        model: a hooked model.
        tokens: sequences x y z x y z ..., batch x pos.
        batch_size: rows per forward pass; changes memory, never the result.
    """
    return torch.cat([_answer_logits(each, part) for each, part in in_batches(model, tokens, batch_size)])


def _answer_logits(model: HookedModel, tokens: Int64[Tensor, "batch pos"]) -> Float[Tensor, "batch shot d_vocab"]:
    return logits(model, tokens[:, :-1])[:, 1::3].cpu()


def with_wrong_answers(
    tokens: Int64[Tensor, "*batch pos"], noise: float, p: int, *, seed: tuple[int, ...]
) -> Int64[Tensor, "*batch pos"]:
    """Each answer z replaced with probability `noise`, by one of the p - 1 others, all equally likely.

    Args:
        tokens: sequences x y z x y z ...
        noise: between 0 and 1.
        p: the modulus.
        seed: numbers that draw the wrong answers.
    """
    if noise == 0:
        return tokens
    generator = np.random.default_rng(seed)
    z = tokens[..., 2::3].numpy()
    wrong = (z + generator.integers(1, p, z.shape)) % p
    shown = tokens.clone()
    shown[..., 2::3] = torch.from_numpy(np.where(generator.random(z.shape) < noise, wrong, z))
    return shown
