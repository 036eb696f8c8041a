"""Intervals of means over tasks and contexts: two-stage sampling, because accuracy varies over both.

T tasks of the N of a split are evaluated, each on n contexts that are drawn for this task alone. A mean over the
queries that count (k = 1, else 0) is a ratio R = sum k v / sum k; with the residuals d = k (v - R) / mean(k) its
variance is

    Var(R) = (1 - f) s_tasks^2 / T  +  f mean over tasks of (s_contexts^2 / n) / T,        f = T / N

s_tasks^2 is the variance of the tasks' mean residuals, s_contexts^2 that of the residuals within one task (Cochran,
"Sampling Techniques", 1977, section 10.4; the correction for the contexts, of which there are very many, is left out).
With f = 1 the tasks are the population, and only contexts are sampled. With f near 0 the first term is that of tasks
and contexts drawn at random. No context is shared by two tasks, so there is no covariance between tasks.

Intervals of accuracies are Wilson's with the effective number of queries, R (1 - R) / Var(R): they stay within [0, 1]
and have a width at 0 and 1. The probability that an accuracy is above a threshold belongs to the same intervals: it is
97.5% where the threshold is the lower end of the 95% interval.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
import xarray as xr
from jaxtyping import Bool, Float
from scipy.stats import norm
from torch import Tensor

LEVEL = 0.95
Z = float(norm.ppf((1 + LEVEL) / 2))
Array = TypeVar("Array", np.ndarray, xr.DataArray)


def mean_and_error(
    values: Float[Tensor, "*rows task context shot"],
    counted: Bool[Tensor, "task context shot"],
    *,
    task_fraction: float = 1.0,
) -> tuple[Float[Tensor, "*rows shot"], Float[Tensor, "*rows shot"]]:
    """Mean over the queries that count, and its standard error over contexts and tasks. Kernel.

    Args:
        values: one number for each query; contexts are independent, also between tasks.
        counted: the queries that count.
        task_fraction: the evaluated fraction of the tasks that the mean stands for, in (0, 1]. With 1 there are no
            other tasks, and the error is over contexts.

    Returns:
        Both in float64. The mean is NaN where no query counts, the error where fewer than two do, where a single
        context is given for each task, and for a single task of several.
    """
    k, v = counted.double(), values.double()
    mean = (v * k).sum(dim=(-3, -2)) / k.sum(dim=(-3, -2))
    residuals = k * (v - mean[..., None, None, :]) / k.mean(dim=(-3, -2))
    n_tasks, n_contexts = residuals.shape[-3:-1]
    between = _sample_variance(residuals.mean(dim=-2), -2) / n_tasks if task_fraction < 1 else 0.0
    within = _sample_variance(residuals, -2).mean(dim=-2) / (n_contexts * n_tasks)
    error = ((1 - task_fraction) * between + task_fraction * within).sqrt()
    return mean, error.where(counted.sum(dim=(-3, -2)) > 1, torch.nan)


def effective_number(accuracy: Array, error: Array, n_queries: Array) -> Array:
    """How many independent queries would have this standard error; `n_queries` for accuracies without one."""
    variance = accuracy * (1 - accuracy)
    defined = (error > 1e-9) & (variance > 0)
    found = np.where(defined, variance / np.where(defined, error, 1.0) ** 2, n_queries)
    return accuracy * 0 + found  # keeps the labels, and NaN where the accuracy is


def wilson_interval(accuracy: Array, n: Array) -> tuple[Array, Array]:
    """The 95% interval of an accuracy over an effective number of n queries, within [0, 1]."""
    center = (accuracy + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(accuracy * (1 - accuracy) / n + Z**2 / (4 * n**2))
    return (center - half).clip(0, 1), (center + half).clip(0, 1)


def probability_above(threshold: float, accuracy: Array, n: Array) -> Array:
    """That the accuracy over all contexts is above a threshold in [0, 1], given this one over n effective queries.

    Raises ValueError for a threshold outside [0, 1].
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold is an accuracy in [0, 1], got {threshold}")
    spread = np.sqrt(threshold * (1 - threshold) / n)
    distance = accuracy - threshold
    with np.errstate(divide="ignore", invalid="ignore"):
        above = norm.cdf(np.where(spread > 0, distance / spread, np.where(distance > 0, np.inf, -np.inf)))
    return accuracy * 0 + above


def _sample_variance(values: Tensor, dim: int) -> Tensor:
    """Over one axis; NaN for a single value."""
    n = values.shape[dim]
    squares = (values - values.mean(dim=dim, keepdim=True)).square().sum(dim=dim)
    return squares / (n - 1 if n > 1 else torch.nan)
