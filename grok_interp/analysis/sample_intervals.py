"""Intervals of the mean of independent samples: t-intervals of any numbers, Wilson's of fractions."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import t

from grok_interp.analysis.intervals import LEVEL, effective_number, wilson_interval


def mean_interval(values: Float[np.ndarray, "*rows sample"], *, confidence: float = LEVEL) -> tuple[Any, Any]:
    """Mean ± t s.e. over the last axis, whose entries are independent. Kernel.

    Args:
        values: one number per sample, in any unit.
        confidence: coverage of the intervals, between 0 and 1.

    Returns:
        The lower and the upper ends; NaN where a value is or where there is one sample only.

    Raises:
        ValueError: for no sample.

    Example:
        >>> low, high = mean_interval(np.array([1.0, 2.0, 3.0]))
        >>> round(float(low), 2), round(float(high), 2)
        (-0.48, 4.48)
    """
    n, mean = _number_of_samples(values), values.mean(axis=-1)
    if n < 2:
        return mean * np.nan, mean * np.nan
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * values.std(axis=-1, ddof=1) / np.sqrt(n)
    return mean - half, mean + half


def fraction_interval(values: Float[np.ndarray, "*rows sample"]) -> tuple[Any, Any]:
    """Wilson's interval of the mean of values in [0, 1] over the last axis, whose entries are independent. Kernel.

    Wilson's n is the number of answers that would have the standard error of the samples. It is the number of samples
    where all of them agree: then that error is 0, and says nothing about the samples that were not drawn.

    Args:
        values: one per sample, between 0 and 1: each may be the mean of several answers.

    Returns:
        The lower and the upper ends, between 0 and 1; NaN where a value is or where there is one sample only.

    Raises:
        ValueError: for no sample, and for a mean outside [0, 1].

    Example:
        >>> low, high = fraction_interval(np.ones(100))
        >>> float(low.round(3)), float(high)
        (0.963, 1.0)
    """
    values = values.astype(float)  # in float32, samples that agree would have an error of rounding
    n, mean = _number_of_samples(values), values.mean(axis=-1, keepdims=True)
    if n < 2:
        return mean[..., 0] * np.nan, mean[..., 0] * np.nan
    error = values.std(axis=-1, ddof=1, keepdims=True) / np.sqrt(n)
    low, high = wilson_interval(mean, effective_number(mean, error, np.full_like(mean, n)))
    return low[..., 0], high[..., 0]


def _number_of_samples(values: np.ndarray) -> int:
    """The size of the last axis; an interval needs one sample or more."""
    n = values.shape[-1]
    if not n:
        raise ValueError(
            f"an interval of a mean needs one sample or more along the last axis, got an array of shape "
            f"{values.shape}: leave out what was not measured"
        )
    return n
