"""Intervals of proportions, and of means over tasks and contexts.

Intervals of proportions are Wilson's: they stay within [0, 1] and have a width at 0 and 1, where `p ± 1.96 s.e.` has
none. Accuracies of modular arithmetic vary over both tasks and contexts, which is two-stage sampling: T tasks of the N
of a split are evaluated, each on n contexts that are drawn for this task alone. A mean over the queries that count
(k = 1, else 0) is a ratio R = sum k v / sum k; with the residuals d = k (v - R) / mean(k) its variance is

    Var(R) = (1 - f) s_tasks^2 / T  +  f mean over tasks of (s_contexts^2 / n) / T,        f = T / N

s_tasks^2 is the variance of the tasks' mean residuals, s_contexts^2 that of the residuals within one task (Cochran,
"Sampling Techniques", 1977, section 10.4; the correction for the contexts, of which there are very many, is left out).
With f = 1 the tasks are the population, and only contexts are sampled. With f near 0 the first term is that of tasks
and contexts drawn at random. No context is shared by two tasks, so there is no covariance between tasks.

Wilson's n is then the effective number of queries, R (1 - R) / Var(R). The probability that an accuracy is above a
threshold belongs to the same intervals: it is 97.5% where the threshold is the lower end of the 95% interval.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
import xarray as xr
from jaxtyping import Bool, Float
from scipy.stats import norm
from torch import Tensor

LEVEL = 0.95
Z = float(norm.ppf((1 + LEVEL) / 2))
BOUNDS = ("low", "high")
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
    """How many independent queries would have this standard error; `n_queries` for accuracies without one.

    Args:
        accuracy: between 0 and 1.
        error: its standard error.
        n_queries: that it is the mean over.
    """
    variance = accuracy * (1 - accuracy)
    defined = (error > 1e-9) & (variance > 0)
    found = np.where(defined, variance / np.where(defined, error, 1.0) ** 2, n_queries)
    return accuracy * 0 + found  # keeps the labels, and NaN where the accuracy is


def wilson_interval(proportion: Array, n: Array | float | int, *, confidence: float = LEVEL) -> tuple[Array, Array]:
    """Wilson's score interval of each proportion. Kernel.

    Args:
        proportion: successes divided by trials, between 0 and 1; NaN where it is not defined.
        n: independent trials of each proportion, above 0; need not be whole (`effective_number`).
        confidence: coverage of the intervals, between 0 and 1.

    Returns:
        The lower and the upper ends, between 0 and 1; NaN where the proportion is.

    Raises:
        ValueError: for n of 0 or less, and for a proportion outside [0, 1].

    Example:
        >>> low, high = wilson_interval(np.array([0.0, 0.5]), 100)
        >>> low.round(3).tolist(), high.round(3).tolist()
        ([0.0, 0.404], [0.037, 0.596])
    """
    given, trials = np.asarray(proportion), np.asarray(n)
    if (trials <= 0).any() or (given < 0).any() or (given > 1).any():
        raise ValueError(
            f"wilson_interval needs proportions in [0, 1] and n above 0, got {_range(given)} and n = {_range(trials)}"
        )
    z = float(norm.ppf((1 + confidence) / 2))
    center = (proportion + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(proportion * (1 - proportion) / n + z**2 / (4 * n**2))
    low: Any = np.minimum(center - half, proportion)  # rounding must not take it above a proportion of 0
    high: Any = np.maximum(center + half, proportion)
    return low.clip(0, 1), high.clip(0, 1)


def ratio_interval(
    numerator: tuple[Array, Array, Array], denominator: tuple[Array, Array, Array]
) -> tuple[Array, Array]:
    """The interval of a ratio of two independent estimates, from the interval of each. Kernel.

    The "method of variance estimates recovery" (Donner and Zou, "Closed-form confidence intervals for functions of the
    normal mean and standard deviation", 2012): it needs no normal ratio, and is defined at a numerator of 0.

    Args:
        numerator: its estimate with the low and the high end of its interval, all 0 or more.
        denominator: the same, its estimate above 0.

    Returns:
        The low and the high ends, of the same confidence; infinite high ends where the denominator may be 0.

    Example:
        >>> half, whole = ([np.array([x]) for x in ends] for ends in ((0.4, 0.35, 0.45), (0.8, 0.75, 0.85)))
        >>> [end.round(2).tolist() for end in ratio_interval(tuple(half), tuple(whole))]
        [[0.43], [0.57]]
    """
    (a, a_low, a_high), (b, b_low, b_high) = numerator, denominator
    with np.errstate(divide="ignore", invalid="ignore"):
        below, above = a_low * (2 * a - a_low), a_high * (2 * a - a_high)
        smallest, largest = b_low * (2 * b - b_low), b_high * (2 * b - b_high)
        low = np.where(below > 0, below / (a * b + np.sqrt(((a * b) ** 2 - below * largest).clip(0))), 0.0)
        high = (a * b + np.sqrt(((a * b) ** 2 - above * smallest).clip(0))) / smallest
    return a * 0 + low, high


def with_bounds(proportion: xr.DataArray, n: int, *, confidence: float = LEVEL) -> xr.DataArray:
    """`wilson_interval` as one array: the same dimensions after a first one, `bound`, with `low` and `high`.

    Args:
        proportion: between 0 and 1.
        n: trials that it is the mean over.
        confidence: between 0 and 1.
    """
    ends = wilson_interval(proportion.astype(float), n, confidence=confidence)
    return xr.concat(ends, pd.Index(BOUNDS, name="bound"))


def in_percent(value: float, low: float, high: float, *, digits: int = 1) -> str:
    """A fraction with its interval, in percent; without it where the ends are not finite.

    Args:
        value: between 0 and 1.
        low: lower end of its interval.
        high: upper end of its interval.
        digits: after the decimal point.

    Example:
        >>> in_percent(0.966, 0.958, 0.973), in_percent(np.nan, np.nan, np.nan)
        ('96.6% [95.8, 97.3]', 'undefined')
    """
    if np.isnan(value):
        return "undefined"
    ends = f" [{100 * low:.{digits}f}, {100 * high:.{digits}f}]" if np.isfinite([low, high]).all() else ""
    return f"{value:.{digits}%}{ends}"


def probability_above(threshold: float, accuracy: Array, n: Array) -> Array:
    """That the accuracy over all contexts is above a threshold in [0, 1], given this one over n effective queries.

    Args:
        threshold: an accuracy in [0, 1].
        accuracy: between 0 and 1.
        n: effective number of queries.

    Raises:
        ValueError: for a threshold outside [0, 1].
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


def _range(values: np.ndarray) -> str:
    """0.3, or 0 to 1.2."""
    least, most = float(np.nanmin(values)), float(np.nanmax(values))
    return f"{least:g}" if least == most else f"{least:g} to {most:g}"
