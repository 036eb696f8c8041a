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
rise does. The other pairs have the likelihood of a line without drifts, which is admissible: few checkpoints before or
after a slow rise do not tell the drift, and a pair that they seem to exclude may be the true one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from grok_interp.statistics.noise import N_LINEAR, UNKNOWN_NOISE, Noise

MAX_DRIFT = 0.5
ANY_DRIFT = 1e200  # finite, so that 0 times it is 0
Slopes = np.ndarray | np.floating  # that broadcast against each other
PRECISION = 1e-13  # smallest RSS, relative to the sum of squares of the curve


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
    """log L of each pair of knots for each curve, up to one constant; -inf for a line that is constant.

    Args:
        steps: of the points, sorted.
        pairs: of knots.
        curves: one value for each point.
        noise: its autocorrelations, and what is known about its standard deviation.
    """
    scale, ratios = _Hinges.at(0.0, steps, pairs.knots, noise).log_det(pairs), largest_drifts(steps, pairs.evaluated)
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
    whitened = noise.whitened(curves, rho)
    on_line = whitened @ at.line.T
    y = whitened - on_line @ at.line
    onto = y @ at.hinges.T
    u, v = onto[:, first], onto[:, second]
    c, d = (other * u - both * v) / det, (one * v - both * u) / det
    rss = np.maximum((y**2).sum(axis=1)[:, None] - c * u - d * v, _smallest(y)[:, None])
    b = (on_line @ at.slopes_of_line)[:, None] - c * at.slopes[first] - d * at.slopes[second]
    fits = admissible(b, b + c, b + c + d, ratios)
    rss = np.where(fits, rss, _rss_without_drifts(rho, steps, pairs, whitened, noise))
    exists = fits | np.isfinite(rss)
    rss = np.where(exists, rss, 1)
    if noise.sd is not None:
        return np.where(exists, -0.5 * (noise.log_det(n, rho) + rss / noise.sd**2), -np.inf)
    log_dets = noise.log_det(n, rho) + at.log_det(pairs) - scale
    variance, free = noise.variance(rss, n), noise.n_free(n)
    fit = -free / 2 * (np.log(free * variance) + rss / (free * variance) - 1)
    return np.where(exists, -0.5 * log_dets + fit, -np.inf)


def _rss_without_drifts(
    rho: float, steps: np.ndarray, pairs: KnotPairs, whitened: np.ndarray, noise: Noise
) -> Float[np.ndarray, "curve pair"]:
    """Of a level, the rise and a level; infinite where the rise is outside the steps."""
    one = noise.whitened(np.ones((1, len(steps))), rho)[0]
    one /= np.linalg.norm(one)
    hinges = noise.whitened(np.maximum(steps - pairs.knots[:, None], 0), rho)
    hinges -= np.outer(hinges @ one, one)
    y = whitened - np.outer(whitened @ one, one)
    first, second = pairs.index.T
    products, onto = hinges @ hinges.T, y @ hinges.T
    squares = products[first, first] - 2 * products[first, second] + products[second, second]
    explained = (onto[:, first] - onto[:, second]) ** 2 / np.where(squares > 0, squares, 1)
    rss = np.maximum((y**2).sum(axis=1)[:, None] - explained, _smallest(y)[:, None])
    return np.where(squares > 1e-12, rss, np.inf)


def admissible(before: Slopes, rise: Slopes, after: Slopes, largest: tuple[Slopes, Slopes]) -> np.ndarray:
    """Whether the drifts are not too steep for the rise, which is not constant.

    Args:
        before: slope of the drift before the rise.
        rise: of the rise.
        after: of the drift after it.
        largest: what `largest_drifts` gives for the knots.
    """
    steepest = np.abs(rise) * (1 + 1e-9)
    return np.asarray(
        (steepest > 0) & (np.abs(before) <= steepest * largest[0]) & (np.abs(after) <= steepest * largest[1])
    )


def largest_drifts(
    steps: Float[np.ndarray, " point"], knots: Float[np.ndarray, "*pair 2"]
) -> tuple[Float[np.ndarray, "*pair"], Float[np.ndarray, "*pair"]]:
    """Largest admissible slopes of the drifts before and after, relative to the rise's; any outside the steps.

    Args:
        steps: of the points, sorted.
        knots: onset and end of each pair.
    """
    onset, end = knots[..., 0], knots[..., 1]
    ratios = []
    for drift_length in (onset - steps[0], steps[-1] - end):
        exists = drift_length > 0
        by_change = (end - onset) / np.where(exists, drift_length, 1)
        ratios.append(np.where(exists, np.minimum(MAX_DRIFT, by_change), ANY_DRIFT))
    return ratios[0], ratios[1]


def _smallest(curves: np.ndarray) -> np.ndarray:
    return PRECISION * (curves**2).sum(axis=1) + 1e-300
