"""Effects over seeds, with t-intervals: with three seeds they are wide, and say so.

Seeds that all agree have a spread of 0, which says nothing of other seeds: such an effect is shown with the number of
seeds that agree, and without the interval of width 0.

Runs of one seed share their initial weights in every condition, so they are not independent. Conditions are compared
within each seed: a difference seed by seed, or a slope with an intercept for each seed.

An effect knows how many seeds would decide on which side of a boundary it is (see `statistics.power`), if the true
effect is as large as the observed one, or a fraction of it, and the spread over seeds is the observed one. A spread of
three seeds is itself uncertain: within a factor of 0.5 to 6 with 95%. The effect of few seeds tends to be overestimated
where it was chosen for being large, so half of it is the safer plan.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from grok_interp.analysis.emergence import Estimate
from grok_interp.arguments import checked, require_level
from grok_interp.statistics.power import repetitions_needed

POWER = 0.8
ROUNDING = 1e-9  # relative: an interval that is narrower has no width


@dataclass(frozen=True)
class Effect(Estimate):
    """An estimate over seeds, with its standard error and what it comes from.

    Args:
        value: in any unit.
        low: of the interval.
        high: of the interval.
        error: standard error of the value; NaN where the spread over seeds is not known.
        df: degrees of freedom of the error.
        n_runs: that the value comes from.
        n_seeds: of these runs.
    """

    error: float = np.nan
    df: int = 0
    n_runs: int = 0
    n_seeds: int = 0

    @property
    def agreement(self) -> str:
        """all 3 seeds agree; empty where they differ, and for fewer than two.

        Example:
            >>> print(mean_effect(np.array([2.0, 2.0, 2.0])))
            2 (all 3 seeds agree)
        """
        if not self.high - self.low <= ROUNDING * max(abs(self.value), 1.0):
            return ""
        if self.n_seeds < 2:
            return f"all {self.n_runs} runs are on one line"
        return "both seeds agree" if self.n_seeds == 2 else f"all {self.n_seeds} seeds agree"

    def within(self, low: float, high: float) -> Effect:
        """With the interval cut to the values that are possible, which costs no coverage; no interval stays none.

        Args:
            low: the least possible value.
            high: the largest possible value.

        Example:
            >>> print(mean_effect(np.array([0.7, 0.9, 1.0])).within(-1.0, 1.0))
            0.8667 [0.4872, 1]
        """
        if not np.isfinite([self.low, self.high]).all():
            return self
        return replace(self, low=max(self.low, low), high=min(self.high, high))

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
        return repetitions_needed(effect, power=power, per_repetition=(self.df + 1) / self.n_seeds)


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
        return Effect(mean, -np.inf, np.inf, n_runs=n, n_seeds=n)
    error = float(values.std(ddof=1) / np.sqrt(n))
    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * error
    return Effect(mean, mean - half, mean + half, error, n - 1, n, n)


@checked
def slope(
    x: Float[np.ndarray, " run"], y: Float[np.ndarray, " run"], seeds: Int[np.ndarray, " run"], *, level: float = 0.95
) -> Effect:
    """Least squares slope of y on x, the same for all seeds, with an intercept for each seed.

    What the runs of a seed have in common does not matter, and a seed with a single run contributes nothing. The
    interval is Student's, with as many degrees of freedom as runs minus seeds minus 1. With two values of x, and a run
    of each seed at both, this is the mean difference seed by seed, divided by the distance.

    Args:
        x: of each run.
        y: of each run.
        seeds: of each run.
        level: of confidence, between 0 and 1.

    Returns:
        The slope; none where x varies within no seed, no interval without a degree of freedom.

    Raises:
        ValueError: for a level outside (0, 1).

    Example:
        >>> x, seeds = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0, 0, 1, 1])
        >>> print(slope(x, np.array([5.0, 7.0, 1.0, 3.2]), seeds))
        2.1 [0.8294, 3.371]
    """
    from sklearn.linear_model import LinearRegression  # takes a second to import

    require_level(level)
    if len(set(zip(seeds.tolist(), x.tolist(), strict=True))) == len(set(seeds.tolist())):
        return Effect()
    _, seed, n_each = np.unique(seeds, return_inverse=True, return_counts=True)
    n_runs, n_seeds = int(n_each[n_each > 1].sum()), int((n_each > 1).sum())
    df = n_runs - n_seeds - 1
    x, y = (values - (np.bincount(seed, values) / n_each)[seed] for values in (x, y))
    line = LinearRegression(fit_intercept=False).fit(x[:, None], y)
    value, residuals = float(line.coef_[0]), y - line.predict(x[:, None])
    if not df:
        return Effect(value, -np.inf, np.inf, n_runs=n_runs, n_seeds=n_seeds)
    error = float(np.sqrt(residuals @ residuals / df / (x @ x)))
    half = float(stats.t.ppf((1 + level) / 2, df)) * error
    return Effect(value, value - half, value + half, error, df, n_runs, n_seeds)
