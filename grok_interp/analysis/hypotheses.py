"""What each hypothesis about a model's algorithm predicts for the answers found: see `agreement`."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from grok_interp.analysis.evaluation_contexts import AnsweredContexts
from grok_interp.data.modular import ModularTasks, answers

HYPOTHESES = ("chance", "memorization", "ratio matching", "modular regression")


def predicted(given: AnsweredContexts, tasks: ModularTasks) -> Float[Tensor, "hypothesis task context shot"]:
    """The probability that each of HYPOTHESES gives to the answers found. Kernel.

    Args:
        given: the answers of a model, task x context x shot.
        tasks: the tasks of all splits, modulo p.
    """
    right, p = (given.found == given.contexts.true).float(), tasks.p
    by_algorithm = [torch.where(solved, right, 1 / p) for solved in given.contexts.solved]
    return torch.stack([torch.full_like(right, 1 / p), memorized(given, tasks), *by_algorithm])


def memorized(given: AnsweredContexts, tasks: ModularTasks) -> Float[Tensor, "task context shot"]:
    """Of the tasks trained on that agree with all examples before, the fraction that give the answer found.

    Args:
        given: the answers of a model, task x context x shot.
        tasks: the tasks of all splits, modulo p.
    """
    rows = []
    for inputs, answer, true in zip(given.contexts.inputs, given.found, given.contexts.true, strict=True):
        of_trained = answers(tasks.id_tasks, inputs, tasks.p)
        agrees = (of_trained == true).cumprod(dim=-1).roll(1, dims=-1)
        agrees[..., 0] = 1  # before the first example
        same, n_agreeing = (agrees * (of_trained == answer)).sum(dim=0), agrees.sum(dim=0)
        rows.append(torch.where(n_agreeing > 0, same / n_agreeing, 1 / tasks.p))
    return torch.stack(rows)
