"""Effects over seeds, with t-intervals: with three seeds they are wide, and say so."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import stats

from grok_interp.analysis.arguments import require_level
from grok_interp.analysis.emergence import Estimate


def mean_effect(values: Float[np.ndarray, " seed"], *, level: float = 0.95) -> Estimate:
    """The mean of one number a seed; no interval from fewer than two. Raises ValueError for a level outside (0, 1)."""
    require_level(level)
    if not len(values):
        return Estimate()
    mean = float(values.mean())
    if len(values) < 2:
        return Estimate(mean, -np.inf, np.inf)
    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Estimate(mean, mean - half, mean + half)


def slope(x: Float[np.ndarray, " run"], y: Float[np.ndarray, " run"], *, level: float = 0.95) -> Estimate:
    """Least squares slope of y on x; none when x does not vary, no interval from fewer than three runs.

    Raises ValueError for a level outside (0, 1).
    """
    require_level(level)
    if len(set(x.tolist())) < 2:
        return Estimate()
    fit: Any = stats.linregress(x, y)
    if len(x) < 3:
        return Estimate(float(fit.slope), -np.inf, np.inf)
    half = float(stats.t.ppf((1 + level) / 2, len(x) - 2)) * float(fit.stderr)
    return Estimate(float(fit.slope), float(fit.slope) - half, float(fit.slope) + half)
