"""Intervals of proportions: Wilson's score interval, from `scipy.stats.binomtest`.

Wilson's interval stays within 0 and 1 and has a width at 0 and at 1, where `p ± 1.96 s.e.` has none.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy.stats import binomtest

BOUNDS = ("low", "high")


def wilson_interval(
    proportion: Float[np.ndarray, "*cell"], n: int, *, confidence: float = 0.95
) -> Float[np.ndarray, "bound ..."]:
    """Wilson's interval of each proportion of n independent trials. Kernel.

    Args:
        proportion: successes divided by n, between 0 and 1; NaN where it is not defined.
        n: trials of each proportion, 1 or more.
        confidence: coverage of the intervals, between 0 and 1.

    Returns:
        The low and the high bounds, between 0 and 1; NaN where the proportion is NaN.

    Raises:
        ValueError: if n is below 1 or a proportion is outside [0, 1].

    Example:
        >>> wilson_interval(np.array([0.0, 0.5]), 100).round(3).tolist()
        [[0.0, 0.404], [0.037, 0.596]]
    """
    defined = proportion[np.isfinite(proportion)]
    if n < 1 or (defined < 0).any() or (defined > 1).any():
        raise ValueError(
            f"wilson_interval needs n of 1 or more and proportions between 0 and 1, got n = {n} and {defined}"
        )
    bounds = np.full((len(BOUNDS), *proportion.shape), np.nan)
    successes = np.round(proportion * n)
    for count in np.unique(successes[np.isfinite(successes)]):
        interval = binomtest(int(count), n).proportion_ci(confidence_level=confidence, method="wilson")
        bounds[:, successes == count] = [[interval.low], [interval.high]]
    return bounds


def with_bounds(proportion: xr.DataArray, n: int, *, confidence: float = 0.95) -> xr.DataArray:
    """`wilson_interval` of a labeled array: the same dimensions after a first one, `bound`, with `low` and `high`."""
    bounds = wilson_interval(proportion.to_numpy().astype(float), n, confidence=confidence)
    return xr.DataArray(
        bounds, dims=("bound", *proportion.dims), coords={"bound": list(BOUNDS), **dict(proportion.coords)}
    )
