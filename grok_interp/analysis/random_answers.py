"""Which fraction of a model's answers is given at random, if the others follow a hypothesis: fitted by likelihood."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def random_fraction(
    h: Float[Tensor, "*hypothesis task context shot"], counted: Bool[Tensor, "task context shot"], p: int
) -> Float[Tensor, "*hypothesis shot"]:
    """The e of the largest likelihood. The likelihood is concave in e: its slope is bisected to the 24th bit."""
    low = torch.zeros(*h.shape[:-3], h.shape[-1])
    high = torch.ones_like(low)
    for _ in range(24):
        e = (low + high) / 2
        slope = (((1 / p - h) / with_random_answers(h, e, p)) * counted).sum(dim=(-3, -2))
        low, high = torch.where(slope > 0, e, low), torch.where(slope > 0, high, e)
    return (low + high) / 2


def with_random_answers(h: Tensor, e: Float[Tensor, "*hypothesis shot"], p: int) -> Tensor:
    """The distribution over answers of which a fraction e is given at random."""
    e = e.unsqueeze(-2).unsqueeze(-2)
    return (1 - e) * h + e / p
