"""Where a curve changes: the confidence set of (onset, end) under a broken line with AR(1) errors.

rho is averaged out of the likelihood of `broken_line`. The set holds the pairs whose likelihood is close to the
largest, with the 95% point of an F distribution as for three parameters (onset, end, rho):

    2 log (L_max / L) <= (n - 4) log(1 + 3 F(3, n - 5) / (n - 5))

When the noise is known there are two parameters, and the bound is the 95% point of chi-squared. The interval of onset,
midpoint, end or width is the range of that number over the set. A likelihood ratio of one parameter would cover too
seldom: the likelihood is not smooth where the curve jumps, and rho is uncertain in short series.

The search starts at the checkpoints and refines the grid around the set, so onset and end may be between checkpoints.

The noise of a fraction of n answers follows its level (`fraction_noise`). The line is fitted `REWEIGHTED` times more,
each time with the noise around the line before. Levels of a fraction and their intervals are cut off at 0 and 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats
from scipy.special import logsumexp

from grok_interp.arguments import checked, require_level
from grok_interp.statistics.broken_line import KnotPairs, admissible, knot_pairs, largest_drifts, log_likelihoods
from grok_interp.statistics.curves import mean_and_sd, require_curve
from grok_interp.statistics.fraction_noise import fraction_noise
from grok_interp.statistics.noise import UNKNOWN_NOISE, Noise

MAX_POINTS_SEARCHED = 400  # longer series start from every second point, every third, ...
REFINED, ROUNDS, RESOLVED = 40, 8, 12  # grid points per axis; rounds; grid points in the set that are enough
LEVELS_FROM = 80  # pairs of the set from which the intervals of the levels are computed
REWEIGHTED = 2


@dataclass(frozen=True)
class ChangePoint:
    """The best pair of knots and the confidence set; in the units of the steps and of the curve."""

    best: Float[np.ndarray, " 2"]  # onset, end
    pairs: Float[np.ndarray, "pair 2"]
    best_levels: Float[np.ndarray, " 2"]  # of the fitted line at the onset and at the end
    levels: Float[np.ndarray, "used 2 2"]  # of some of the pairs: for both levels, lower and upper bound
    line: Float[np.ndarray, " point"]  # with the best knots, by weighted least squares, at the given steps


@checked
def change_point(
    steps: Float[np.ndarray, " point"],
    curve: Float[np.ndarray, " point"],
    *,
    level: float = 0.95,
    noise: Noise = UNKNOWN_NOISE,
    trials: float | int | None = None,
) -> ChangePoint:
    """The rise or fall of a curve that is known to have one.

    Args:
        steps: increasing.
        curve: one value per step, not constant.
        level: confidence level, between 0 and 1.
        noise: what is known about the errors; its standard deviation is in units of the curve, its ratios are those of
            the points.
        trials: the curve is a fraction of so many answers, so its variance follows its level. It takes the place of
            `noise`. None: one variance.

    Raises:
        ValueError: for fewer than 8 points, steps that do not increase, a constant curve, and for both `noise` and
            `trials`.

    Example:
        >>> steps = np.arange(0.0, 1000, 50)
        >>> change_point(steps, np.clip((steps - 330) / 200, 0, 1)).best.round()
        array([330., 530.])
    """
    require_curve(steps, curve)
    require_level(level)
    if trials is not None and noise is not UNKNOWN_NOISE:
        raise ValueError("trials say what the noise is: give trials or noise, not both")
    found = _change_point(steps, curve, level, noise)
    if trials is not None:
        for _ in range(REWEIGHTED):
            found = _change_point(steps, curve, level, fraction_noise(curve, found.line, trials=trials))
        found = replace(found, best_levels=found.best_levels.clip(0, 1), levels=found.levels.clip(0, 1))
    return found


def _change_point(steps: np.ndarray, curve: np.ndarray, level: float, noise: Noise) -> ChangePoint:
    start, span, (center, scale) = steps[0], steps[-1] - steps[0], mean_and_sd(curve)
    noise = noise.in_units_of(scale)
    s, y = (steps - start) / span, (curve - center) / scale
    slack = allowed_drop(noise.n_free(len(steps)), level, known=noise.sd is not None)
    pairs, log_l = _search(s, y, noise, slack)
    best = int(log_l.argmax())
    inside = np.flatnonzero(log_l >= log_l[best] - slack)
    rho = _likeliest_rho(s, y, pairs, best, noise)
    levels = _levels(s, y, pairs, log_l, np.append(inside, best), slack, rho, noise)
    fitted = _Fit.of(s, y, pairs.evaluated[best], rho, noise)
    return ChangePoint(
        start + span * pairs.evaluated[best],
        start + span * pairs.ends[inside],
        center + scale * fitted.at_knots,
        center + scale * levels,
        center + scale * _Fit.of(s, y, pairs.evaluated[best], 0.0, noise).line,
    )


def allowed_drop(n_free: float, level: float, *, known: bool) -> float:
    """How far below its maximum the log-likelihood may be inside the confidence set.

    Args:
        n_free: degrees of freedom of the variance, above 1.
        level: of confidence, between 0 and 1.
        known: is the noise known?
    """
    if known:
        return float(stats.chi2.ppf(level, 2)) / 2
    return n_free / 2 * float(np.log1p(3 * stats.f.ppf(level, 3, n_free - 1) / (n_free - 1)))


def _search(s: np.ndarray, y: np.ndarray, noise: Noise, slack: float) -> tuple[KnotPairs, np.ndarray]:
    """Candidates that resolve the confidence set, and their log-likelihoods."""
    onsets = ends = _first_grid(s)
    pairs, log_l = _evaluated(s, y, onsets, ends, noise)
    for _ in range(ROUNDS):
        best = int(log_l.argmax())
        windows = [
            _Window.around(grid, pairs.ends[:, axis], log_l - log_l[best], slack)
            for axis, grid in enumerate((onsets, ends))
        ]
        if all(window.resolved for window in windows):
            break
        onsets, ends = (window.refined(s, pairs.evaluated[best, axis]) for axis, window in enumerate(windows))
        pairs, log_l = _evaluated(s, y, onsets, ends, noise)
    return pairs, log_l


def _evaluated(
    s: np.ndarray, y: np.ndarray, onsets: np.ndarray, ends: np.ndarray, noise: Noise
) -> tuple[KnotPairs, np.ndarray]:
    pairs = knot_pairs(s, onsets, ends)
    return pairs, np.asarray(logsumexp(log_likelihoods(s, pairs, y[None], noise)[:, 0], axis=0))


def _first_grid(s: np.ndarray) -> np.ndarray:
    kept = s[np.unique(np.linspace(0, len(s) - 1, min(len(s), MAX_POINTS_SEARCHED)).round().astype(int))]
    return np.union1d(kept, (kept[1:] + kept[:-1]) / 2) if len(kept) <= MAX_POINTS_SEARCHED // 4 else kept


@dataclass(frozen=True)
class _Window:
    """The part of a grid in which the confidence set is, and whether the grid is fine enough."""

    low: float
    high: float
    resolved: bool

    @classmethod
    def around(cls, grid: np.ndarray, values: np.ndarray, below_best: np.ndarray, slack: float) -> _Window:
        inside, near = values[below_best >= -slack], values[below_best >= -2 * slack]
        count = np.searchsorted(grid, inside.max()) - np.searchsorted(grid, inside.min())
        low, high = np.searchsorted(grid, near.min()) - 1, np.searchsorted(grid, near.max()) + 1
        return cls(grid[max(low, 0)], grid[min(high, len(grid) - 1)], bool(count >= RESOLVED))

    def refined(self, s: np.ndarray, best: float) -> np.ndarray:
        """Evenly spaced, with the best value, the checkpoints in between, and their two neighbors."""
        first, last = np.searchsorted(s, self.low, side="right") - 1, np.searchsorted(s, self.high)
        checkpoints = s[max(first, 0) : last + 1]
        if len(checkpoints) > 2 * REFINED:
            checkpoints = checkpoints[np.linspace(0, len(checkpoints) - 1, 2 * REFINED).round().astype(int)]
        return np.unique(np.concatenate([np.linspace(self.low, self.high, REFINED), checkpoints, [best]]))


def _levels(
    s: np.ndarray,
    y: np.ndarray,
    pairs: KnotPairs,
    log_l: np.ndarray,
    inside: np.ndarray,
    slack: float,
    rho: float,
    noise: Noise,
) -> Float[np.ndarray, "used 2 2"]:
    """Bounds of the levels at both ends of the rise, for some of the set: all values within `slack` of the best."""
    bounds = []
    for pair in inside[np.unique(np.linspace(0, len(inside) - 1, LEVELS_FROM).astype(int))]:
        fit = _Fit.of(s, y, pairs.evaluated[pair], rho, noise)
        left = max(slack - (log_l.max() - log_l[pair]), 0)
        free = noise.n_free(len(s))
        squares = free * float(noise.variance(np.array([fit.rss]), len(s))[0])
        reach = 2 * left * noise.sd**2 if noise.sd is not None else squares * np.expm1(2 * left / free)
        bounds.append(fit.at_knots[:, None] + np.sqrt(fit.variances * reach)[:, None] * np.array([-1, 1]))
    return np.stack(bounds)


def _likeliest_rho(s: np.ndarray, y: np.ndarray, pairs: KnotPairs, best: int, noise: Noise) -> float:
    alone = KnotPairs(pairs.ends[[best]], pairs.knots, pairs.index[[best]])
    return float(noise.rhos[log_likelihoods(s, alone, y[None], noise)[:, 0, 0].argmax()])


class _Fit(NamedTuple):
    """A broken line with given knots, without drifts if they would be too steep."""

    at_knots: Float[np.ndarray, " 2"]
    variances: Float[np.ndarray, " 2"]  # of `at_knots`, in units of the error's
    rss: float
    line: Float[np.ndarray, " point"]

    @classmethod
    def of(cls, s: np.ndarray, y: np.ndarray, knots: np.ndarray, rho: float, noise: Noise) -> _Fit:
        design, at = (
            np.stack([np.ones_like(x), x, *np.maximum(x - knots[:, None], 0)]) for x in (s, np.asarray(knots))
        )
        fit, (_, drift, bend, other) = cls._by(design, at, y, rho, noise)
        if admissible(drift, drift + bend, drift + bend + other, largest_drifts(s, knots)):
            return fit
        return cls._by(_without_drifts(design), _without_drifts(at), y, rho, noise)[0]

    @classmethod
    def _by(
        cls, design: np.ndarray, at: np.ndarray, y: np.ndarray, rho: float, noise: Noise
    ) -> tuple[_Fit, np.ndarray]:
        """Generalized least squares, and its coefficients."""
        x, z = noise.whitened(design, rho).T, noise.whitened(y[None], rho)[0]
        inverse = np.linalg.pinv(x)
        coefficients = inverse @ z
        residuals = z - x @ coefficients
        variances = ((at.T @ inverse) ** 2).sum(axis=1)
        return cls(at.T @ coefficients, variances, float(residuals @ residuals), coefficients @ design), coefficients


def _without_drifts(rows: np.ndarray) -> np.ndarray:
    """A level and the rise, of the rows of a broken line."""
    return np.stack([rows[0], rows[2] - rows[3]])
