"""Likelihood of a continuous broken line with two knots and AR(1) errors, for many pairs of knots at once.

    y[t] = a + b s[t] + c max(s[t] - onset, 0) + d max(s[t] - end, 0) + e[t],   corr(e[t], e[u]) = rho ** |t - u|

a, b, c, d and the variance of e are eliminated, which leaves the restricted likelihood of onset, end and rho:

    L = |R|^(-1/2) (|X' R^-1 X| / |X' X|)^(-1/2) RSS^(-(n - 4) / 2)

RSS is the residual sum of squares of generalized least squares. The determinants of the design correct the downward
bias of rho in short series; their ratio does not depend on the scale of the columns. With the standard deviation of e
known, the Gaussian likelihood replaces it; with a least standard deviation m, RSS / (n - 4) is not taken below m^2.
Where the standard deviation differs between points by known ratios, the curve and the columns of X are first divided by
them.

Two knots between the same two checkpoints make a jump. Its likelihood does not depend on where they are.

The line between the knots is the rise (or fall), the lines before and after it are drifts. A pair of knots is
admissible when each drift is at most `MAX_DRIFT` times as steep as the rise and changes the curve by no more than the
rise does. L is 0 for the other pairs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

RHOS = np.linspace(0, 0.95, 20)  # autocorrelations that the likelihood is averaged over
MAX_DRIFT = 0.5
ANY_DRIFT = 1e200  # finite, so that 0 times it is 0
N_LINEAR = 4  # a, b, c, d
LEAST_FREE = 4  # degrees of freedom
PRECISION = 1e-13  # smallest RSS, relative to the sum of squares of the curve


@dataclass(frozen=True)
class Noise:
    """What is assumed about the errors: the values of rho, and the standard deviation (None: unknown).

    `ratios` are the standard deviations of the points relative to each other (None: equal), `least` is a lower bound of
    the standard deviation where the ratio is 1, `n_varying` is the number of points that tell rho and the standard
    deviation (None: all).
    """

    rhos: Float[np.ndarray, " rho"]
    sd: float | None = None
    ratios: Float[np.ndarray, " point"] | None = None
    least: float = 0.0
    n_varying: float | None = None

    def in_units_of(self, scale: float) -> Noise:
        """The noise of the same curve divided by a scale above 0.

        Args:
            scale: in units of the curve.
        """
        return replace(self, sd=None if self.sd is None else self.sd / scale, least=self.least / scale)

    def log_det(self, n: int, rho: float) -> float:
        """Of R, for the points that vary.

        Args:
            n: number of points.
            rho: the correlation of neighboring points, from 0 to below 1.
        """
        n_varying = float(n if self.n_varying is None else self.n_varying)
        return max(n_varying - 1, 0.0) * float(np.log(1 - rho**2))

    def n_free(self, n: int) -> float:
        """Degrees of freedom of the variance.

        Args:
            n: number of points.
        """
        return float(n - N_LINEAR if self.n_varying is None else max(self.n_varying - N_LINEAR, LEAST_FREE))

    def variance(self, rss: Float[np.ndarray, "*any"], n: int) -> Float[np.ndarray, "*any"]:
        """The likeliest one.

        Args:
            rss: residual sums of squares of whitened rows.
            n: number of points.
        """
        return np.maximum(rss / self.n_free(n), self.least**2)

    def whitened(self, rows: Float[np.ndarray, "row point"], rho: float) -> Float[np.ndarray, "row point"]:
        """Rows whose inner products are x' V^-1 y, V = D R D (Prais-Winsten), D the diagonal of `ratios`.

        Args:
            rows: one series per row.
            rho: the correlation of neighboring points, from 0 to below 1.
        """
        rows = rows if self.ratios is None else rows / self.ratios
        later = (rows[:, 1:] - rho * rows[:, :-1]) / np.sqrt(1 - rho**2)
        return np.concatenate([rows[:, :1], later], axis=1)


UNKNOWN_NOISE = Noise(RHOS)


@dataclass(frozen=True)
class KnotPairs:
    """Candidates for (onset, end), and the knots at which the likelihood of each is computed."""

    ends: Float[np.ndarray, "pair 2"]
    knots: Float[np.ndarray, " knot"]
    index: Int[np.ndarray, "pair 2"]  # of each pair's two knots

    @cached_property
    def evaluated(self) -> Float[np.ndarray, "pair 2"]:
        return self.knots[self.index]


def knot_pairs(
    steps: Float[np.ndarray, " point"], onsets: Float[np.ndarray, " onset"], ends: Float[np.ndarray, " end"]
) -> KnotPairs:
    """All pairs with onset < end that are not inside one gap, and the jumps in the gaps that both grids contain.

    A jump is listed as the whole gap and as each of the gap's two ends: it may be anywhere between them.

    Args:
        steps: of the points, sorted.
        onsets: candidates for the first knot.
        ends: candidates for the second.
    """
    pairs = np.stack(np.meshgrid(onsets, ends, indexing="ij"), axis=-1).reshape(-1, 2)
    next_step = steps[np.searchsorted(steps[1:-1], pairs[:, 0], side="right") + 1]
    pairs = pairs[pairs[:, 1] > next_step]
    both = np.isin(steps, onsets) & np.isin(steps, ends)
    gaps = np.stack([steps[:-1], steps[1:]], axis=1)[both[:-1] & both[1:]]
    listed = np.concatenate([pairs, gaps, gaps[:, [0, 0]], gaps[:, [1, 1]]])
    knots, index = np.unique(np.concatenate([pairs, gaps, gaps, gaps]), return_inverse=True)
    return KnotPairs(listed, knots, index.reshape(-1, 2))


def log_likelihoods(
    steps: Float[np.ndarray, " point"],
    pairs: KnotPairs,
    curves: Float[np.ndarray, "curve point"],
    noise: Noise = UNKNOWN_NOISE,
) -> Float[np.ndarray, "rho curve pair"]:
    """log L of each pair of knots for each curve, up to one constant; -inf where a drift is too steep.

    Args:
        steps: of the points, sorted.
        pairs: of knots.
        curves: one value for each point.
        noise: its autocorrelations, and what is known about its standard deviation.
    """
    scale, ratios = _Hinges.at(0.0, steps, pairs.knots, noise).log_det(pairs), _largest_ratios(steps, pairs)
    return np.stack([_log_likelihoods_at(rho, steps, pairs, curves, scale, ratios, noise) for rho in noise.rhos])


def flat_log_likelihoods(
    curves: Float[np.ndarray, "curve point"], rhos: Float[np.ndarray, " rho"]
) -> Float[np.ndarray, "rho curve"]:
    """log L of a constant, comparable with `log_likelihoods`: the same power of RSS.

    Args:
        curves: one per row, in any unit.
        rhos: correlations of neighboring points, from 0 to below 1.
    """
    n, found = curves.shape[1], []
    for rho in rhos:
        one, y = UNKNOWN_NOISE.whitened(np.ones((1, n)), rho)[0], UNKNOWN_NOISE.whitened(curves, rho)
        rss = (y**2).sum(axis=1) - (y @ one) ** 2 / (one @ one)
        log_dets = UNKNOWN_NOISE.log_det(n, rho) + np.log(one @ one / n)
        found.append(-0.5 * log_dets - (n - N_LINEAR) / 2 * np.log(np.maximum(rss, _smallest(y))))
    return np.stack(found)


class _Hinges(NamedTuple):
    """At one rho: max(s - knot, 0) of all knots with their straight lines removed, and what was removed."""

    line: Float[np.ndarray, "2 point"]  # orthonormal basis of 1, s
    slopes_of_line: Float[np.ndarray, " 2"]  # slope of each row of `line`
    log_det_line: float
    hinges: Float[np.ndarray, "knot point"]
    slopes: Float[np.ndarray, " knot"]  # of what was removed
    products: Float[np.ndarray, "knot knot"]
    outside: Bool[np.ndarray, " knot"]  # no checkpoint before the knot, or none after it: its hinge is a line

    @classmethod
    def at(cls, rho: float, steps: np.ndarray, knots: np.ndarray, noise: Noise) -> _Hinges:
        q, r = np.linalg.qr(noise.whitened(np.stack([np.ones_like(steps), steps]), rho).T)
        slopes_of_line = np.linalg.inv(r)[1]
        raw = noise.whitened(np.maximum(steps - knots[:, None], 0), rho)
        on_line = raw @ q
        outside = (knots <= steps[0]) | (knots >= steps[-1])
        hinges = np.where(outside[:, None], 0, raw - on_line @ q.T)
        log_det = float(2 * np.log(np.abs(np.diag(r))).sum())
        return cls(q.T, slopes_of_line, log_det, hinges, on_line @ slopes_of_line, hinges @ hinges.T, outside)

    def gram(self, pairs: KnotPairs) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Of each pair: both squared norms, the inner product and the determinant; 1 for a hinge that is a line."""
        first, second = pairs.index.T
        norms = np.where(self.outside, 1, np.diag(self.products))
        one, other, both = norms[first], norms[second], self.products[first, second]
        return one, other, both, np.maximum(one * other - both**2, 1e-12 * one * other)

    def log_det(self, pairs: KnotPairs) -> Float[np.ndarray, " pair"]:
        return self.log_det_line + np.log(self.gram(pairs)[-1])


def _log_likelihoods_at(
    rho: float,
    steps: np.ndarray,
    pairs: KnotPairs,
    curves: np.ndarray,
    scale: np.ndarray,
    ratios: tuple[np.ndarray, np.ndarray],
    noise: Noise,
) -> Float[np.ndarray, "curve pair"]:
    at, n = _Hinges.at(rho, steps, pairs.knots, noise), len(steps)
    (first, second), (one, other, both, det) = pairs.index.T, at.gram(pairs)
    y = noise.whitened(curves, rho)
    on_line = y @ at.line.T
    y = y - on_line @ at.line
    onto = y @ at.hinges.T
    u, v = onto[:, first], onto[:, second]
    c, d = (other * u - both * v) / det, (one * v - both * u) / det
    rss = np.maximum((y**2).sum(axis=1)[:, None] - c * u - d * v, _smallest(y)[:, None])
    b = (on_line @ at.slopes_of_line)[:, None] - c * at.slopes[first] - d * at.slopes[second]
    rise = np.abs(b + c) * (1 + 1e-9)
    admissible = (rise > 0) & (np.abs(b) <= rise * ratios[0]) & (np.abs(b + c + d) <= rise * ratios[1])
    if noise.sd is not None:
        return np.where(admissible, -0.5 * (noise.log_det(n, rho) + rss / noise.sd**2), -np.inf)
    log_dets = noise.log_det(n, rho) + at.log_det(pairs) - scale
    variance, free = noise.variance(rss, n), noise.n_free(n)
    fit = -free / 2 * (np.log(free * variance) + rss / (free * variance) - 1)
    return np.where(admissible, -0.5 * log_dets + fit, -np.inf)


def _largest_ratios(steps: np.ndarray, pairs: KnotPairs) -> tuple[np.ndarray, np.ndarray]:
    """Largest admissible slopes of the drifts before and after, relative to the rise's; any outside the steps."""
    onset, end = pairs.evaluated.T
    ratios = []
    for drift_length in (onset - steps[0], steps[-1] - end):
        exists = drift_length > 0
        by_change = (end - onset) / np.where(exists, drift_length, 1)
        ratios.append(np.where(exists, np.minimum(MAX_DRIFT, by_change), ANY_DRIFT))
    return ratios[0], ratios[1]


def _smallest(curves: np.ndarray) -> np.ndarray:
    return PRECISION * (curves**2).sum(axis=1) + 1e-300
