"""Effects over seeds, with t-intervals: with three seeds they are wide, and say so.

Seeds that all agree have a spread of 0, which says nothing of other seeds: such an effect is shown with the number of
seeds that agree, and without the interval of width 0.

An effect knows how many seeds would decide on which side of a boundary it is (see `statistics.power`), if the true
effect is as large as the observed one, or a fraction of it, and the spread over seeds is the observed one. A spread of
three seeds is itself uncertain: within a factor of 0.5 to 6 with 95%. The effect of few seeds tends to be overestimated
where it was chosen for being large, so half of it is the safer plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import stats

from grok_interp.analysis.arguments import require_level
from grok_interp.analysis.emergence import Estimate
from grok_interp.arguments import checked
from grok_interp.statistics.power import repetitions_needed

POWER = 0.8
ROUNDING = 1e-9  # relative: an interval that is narrower has no width


@dataclass(frozen=True)
class Effect(Estimate):
    """An estimate over seeds, with its standard error and the design that it comes from."""

    error: float = np.nan
    n_runs: int = 0
    n_conditions: int = 1  # a seed is one run of each
    n_fitted: int = 1

    @property
    def n_seeds(self) -> float:
        """Runs of each condition; not whole where some conditions have more runs than others."""
        return self.n_runs / self.n_conditions

    @property
    def agreement(self) -> str:
        """all 3 seeds agree; empty where they differ, and for fewer than two.

        Example:
            >>> print(mean_effect(np.array([2.0, 2.0, 2.0])))
            2 (all 3 seeds agree)
        """
        if not self.high - self.low <= ROUNDING * max(abs(self.value), 1.0):
            return ""
        if self.n_fitted > 1:
            return f"all {self.n_runs} runs are on one line"
        return "both seeds agree" if self.n_runs == 2 else f"all {self.n_runs} seeds agree"

    @checked
    def seeds_needed(self, *, boundary: float = 0.0, fraction: float = 1.0, power: float = POWER) -> float:
        """How many seeds decide with a probability of `power` that the effect is on its side of a boundary.

        Args:
            boundary: in the unit of the effect.
            fraction: of the observed distance to the boundary that is taken to be true, above 0.
            power: probability that the 95% interval is wholly on that side, between 0 and 1.

        Returns:
            A whole number, 2 or more; infinite above 100,000, NaN where the spread over seeds is not known.

        Example:
            >>> mean_effect(np.array([1.0, 2.0, 3.0])).seeds_needed()
            5.0
        """
        if not self.error >= 0:
            return np.nan
        distance = abs(self.value - boundary)
        of_one_seed = self.error * np.sqrt(self.n_seeds)
        effect = fraction * distance / of_one_seed if of_one_seed else np.inf if distance else np.nan
        return repetitions_needed(effect, power=power, per_repetition=self.n_conditions, n_fitted=self.n_fitted)


@checked
def mean_effect(values: Float[np.ndarray, " seed"], *, level: float = 0.95) -> Effect:
    """Mean of one number per seed; no interval from fewer than two. Raises ValueError for a level outside (0, 1).

    Args:
        values: one per seed, in any unit.
        level: of the interval, between 0 and 1.
    """
    require_level(level)
    if not len(values):
        return Effect()
    n, mean = len(values), float(values.mean())
    if n < 2:
        return Effect(mean, -np.inf, np.inf, n_runs=n)
    error = float(values.std(ddof=1) / np.sqrt(n))
    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * error
    return Effect(mean, mean - half, mean + half, error, n)


@checked
def slope(x: Float[np.ndarray, " run"], y: Float[np.ndarray, " run"], *, level: float = 0.95) -> Effect:
    """Least squares slope of y on x; none when x does not vary, no interval from fewer than three runs.

    Args:
        x: of each run.
        y: of each run.
        level: of confidence, between 0 and 1.

    Raises:
        ValueError: for a level outside (0, 1).
    """
    require_level(level)
    design = {"n_runs": len(x), "n_conditions": len(set(x.tolist())), "n_fitted": 2}
    if design["n_conditions"] < 2:
        return Effect()
    fit: Any = stats.linregress(x, y)
    value, error = float(fit.slope), float(fit.stderr)
    if len(x) < 3:
        return Effect(value, -np.inf, np.inf, **design)
    half = float(stats.t.ppf((1 + level) / 2, len(x) - 2)) * error
    return Effect(value, value - half, value + half, error, **design)
