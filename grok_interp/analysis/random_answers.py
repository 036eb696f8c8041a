"""Which fraction of a model's answers is given at random, if the others follow a hypothesis: fitted by likelihood."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from grok_interp.analysis.intervals import mean_and_error


def random_fraction(
    h: Float[Tensor, "*hypothesis task context shot"], counted: Bool[Tensor, "task context shot"], p: int
) -> Float[Tensor, "*hypothesis shot"]:
    """The e of the largest likelihood. The likelihood is concave in e: its slope is bisected to the 24th bit.

    Args:
        h: probability that each hypothesis gives to each answer.
        counted: which answers count.
        p: the modulus.
    """
    low = torch.zeros(*h.shape[:-3], h.shape[-1])
    high = torch.ones_like(low)
    for _ in range(24):
        e = (low + high) / 2
        slope = (((1 / p - h) / with_random_answers(h, e, p)) * counted).sum(dim=(-3, -2))
        low, high = torch.where(slope > 0, e, low), torch.where(slope > 0, high, e)
    return (low + high) / 2


def with_random_answers(h: Tensor, e: Float[Tensor, "*hypothesis shot"], p: int) -> Tensor:
    """The distribution over answers of which a fraction e is given at random.

    Args:
        h: probability that each hypothesis gives to each answer.
        e: fraction of random answers, between 0 and 1.
        p: the modulus.
    """
    e = e.unsqueeze(-2).unsqueeze(-2)
    return (1 - e) * h + e / p


def log_likelihood(
    h: Float[Tensor, "hypothesis task context shot"],
    counted: Bool[Tensor, "task context shot"],
    p: int,
    *,
    task_fraction: float = 1.0,
) -> Float[Tensor, "hypothesis measure shot"]:
    """Kernel: each hypothesis in the measures of `AlgorithmAgreement`, at each number of shots.

    Args:
        h: probability that each hypothesis gives to each answer.
        counted: which answers count.
        p: the modulus.
        task_fraction: fraction of the split's tasks that is evaluated: 1 means that no task is sampled.
    """
    e, n_queries = random_fraction(h, counted, p), counted.sum(dim=(0, 1))
    logs = with_random_answers(h, e, p).log()
    mean, error = mean_and_error(logs, counted, task_fraction=task_fraction)
    errors_from = [mean_and_error(logs - other, counted, task_fraction=task_fraction)[1] for other in logs]
    at_random = e.masked_fill(mean.isnan(), torch.nan)
    return torch.stack([mean, error, at_random, n_queries.expand_as(mean), *errors_from], dim=1)
