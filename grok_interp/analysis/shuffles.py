"""A number against chance: what the same number is when labels are shuffled.

A score that picks the best of several (frequencies, components) is above 0 by chance, and the more so the fewer labels
there are: with p = 7 only 6 numbers have a logarithm. So it means something only beside its null distribution, of which
results give the mean and the 95% quantile: a score above the quantile comes by chance once in twenty.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from grok_interp.results.result import Measure

N_SHUFFLES = 200
LABELS = 5  # which stream of random numbers a seed is used for
NULL_OF_FRACTION = {
    "null_mean": Measure("mean over shuffles", "fraction"),
    "null_q95": Measure("95% quantile of shuffles", "fraction"),
}
NULL = tuple(NULL_OF_FRACTION)


def shuffled_orders(n_labels: int, *, n_shuffles: int, seed: int) -> Int64[Tensor, "shuffle label"]:
    """Random orders of 0 .. n_labels - 1. Raises ValueError for too few of them to have a 95% quantile."""
    if n_shuffles < 20:
        raise ValueError(f"a 95% quantile needs at least 20 shuffles, got {n_shuffles}")
    generator = np.random.default_rng((seed, LABELS))
    return torch.from_numpy(np.stack([generator.permutation(n_labels) for _ in range(n_shuffles)]))


def mean_and_quantile(null: Float[Tensor, " shuffle"]) -> Float[Tensor, " measure"]:
    """The two numbers of `NULL`."""
    return torch.stack([null.mean(), null.quantile(0.95)])
