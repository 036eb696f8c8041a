"""Is a curve flat? A test of a constant against a broken line, with critical values simulated for its autocorrelation.

The statistic is the log-likelihood ratio of the best broken line and a constant, both averaged over rho:

    T = log max over (onset, end) of L(onset, end) - log L_flat

A flat curve has no knots, so T has no textbook distribution. It is simulated for the curve's own steps and for each rho
of `RHO_TABLE`, from a fixed seed, once per schedule of checkpoints. The p-value is the mean over rho, weighted by the
posterior of rho under the best line. `RHO_SHIFT` is added to rho because the best line follows the noise, which lowers
its estimate. `RHOS` ends at 0.82: a constant with a larger rho would explain a slow rise as noise.

The power is the probability, by the same simulation, that the test detects a rise of `CLEAR_RISE` standard deviations
of the noise at these steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from scipy.signal import lfilter
from scipy.special import logsumexp

from grok_interp.arguments import checked
from grok_interp.statistics.broken_line import flat_log_likelihoods, knot_pairs, log_likelihoods
from grok_interp.statistics.curves import mean_and_sd, require_curve
from grok_interp.statistics.noise import Noise

RHOS = np.linspace(0, 0.82, 9)
RHO_TABLE = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95)
RHO_SHIFT = 0.1
N_DRAWS, N_RISES, SEED = 500, 200, 20_240_911
MAX_KNOTS = 40  # of the test; longer schedules are thinned
CLEAR_RISE = 5.0
NEGLIGIBLE = 0.02  # weight of a rho
BATCH = 50  # curves at a time: their arrays fit a processor's cache
Schedule = tuple[float, ...]  # steps from 0 to 1


@dataclass(frozen=True)
class Flatness:
    """p-value of a flat curve, and the power against a clear rise; both 0 to 1."""

    p_value: float
    power: float


@checked
def flatness(steps: Float[np.ndarray, " point"], curve: Float[np.ndarray, " point"], *, size: float = 0.05) -> Flatness:
    """Test of a flat curve against one with a change point.

    Args:
        steps: increasing; 8 or more.
        curve: one value per step, not constant.
        size: of the test, between 0 and 1: a curve with a p-value of this or less is not taken for a flat one. The
            smallest p-value is 1 / 501.

    Returns:
        The power is computed only when the p-value is above the size; it is 1 otherwise.

    Raises:
        ValueError: for fewer than 8 points, steps that do not increase, a constant curve, and a size outside (0, 1).

    Example:
        >>> steps = np.arange(40.0)
        >>> flatness(steps, np.cos(steps)).p_value > 0.05
        True
        >>> flatness(steps, np.cos(steps) + 5 * (steps > 20)).p_value < 0.05
        True
    """
    require_curve(steps, curve)
    if not 0 < size < 1:
        raise ValueError(f"size must be between 0 and 1, such as 0.05, got {size}")
    schedule = tuple(((steps - steps[0]) / (steps[-1] - steps[0])).tolist())
    center, scale = mean_and_sd(curve)
    statistics, weights = _fits(schedule, (curve[None] - center) / scale)
    p_value = float(_p_values(schedule, statistics, weights)[0])
    if p_value <= size:
        return Flatness(p_value, 1.0)
    used = np.flatnonzero(weights[:, 0])
    power = sum(weights[at, 0] * _power(schedule, RHO_TABLE[at], size) for at in used) / weights[used, 0].sum()
    return Flatness(p_value, float(power))


@checked
def autocorrelated(rng: np.random.Generator, shape: tuple[int, int], rho: float) -> Float[np.ndarray, "curve point"]:
    """Stationary AR(1) noise with a variance of 1.

    Args:
        rng: draws it.
        shape: (curves, points).
        rho: correlation of neighboring points, between -1 and 1.
    """
    innovations = rng.standard_normal(shape)
    innovations[:, 1:] *= np.sqrt(1 - rho**2)
    return np.asarray(lfilter([1], [1, -rho], innovations, axis=1))


def _fits(schedule: Schedule, curves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """T of each curve, and the weights of `RHO_TABLE` (rho x curve)."""
    steps = np.array(schedule)
    knots = steps[np.unique(np.linspace(0, len(steps) - 1, min(len(steps), MAX_KNOTS)).round().astype(int))]
    pairs = knot_pairs(steps, knots, knots)
    parts = np.array_split(curves, -(-len(curves) // BATCH))
    of_best = np.concatenate(
        [_of_best_line(log_likelihoods(steps, pairs, part, Noise(RHOS))) for part in parts], axis=1
    )
    total = np.asarray(logsumexp(of_best, axis=0))
    flat = np.asarray(logsumexp(flat_log_likelihoods(curves, RHOS), axis=0))
    return total - flat, _on_table(np.exp(of_best - total))


def _of_best_line(log_l: Float[np.ndarray, "rho curve pair"]) -> Float[np.ndarray, "rho curve"]:
    best = np.asarray(logsumexp(log_l, axis=0)).argmax(axis=1)
    return np.take_along_axis(log_l, best[None, :, None], axis=2)[..., 0]


def _on_table(weights: Float[np.ndarray, "rho curve"]) -> Float[np.ndarray, "tabled curve"]:
    """The weights of `RHOS`, shifted, each shared by its two neighbors in `RHO_TABLE`."""
    shifted = np.minimum(RHOS + RHO_SHIFT, RHO_TABLE[-1])
    parts = np.stack([np.interp(shifted, RHO_TABLE, row) for row in np.eye(len(RHO_TABLE))])
    shared = parts @ weights
    return np.where(shared < NEGLIGIBLE, 0, shared)


def _p_values(schedule: Schedule, statistics: np.ndarray, weights: np.ndarray) -> Float[np.ndarray, " curve"]:
    total = np.zeros(len(statistics))
    for rho, weight in zip(RHO_TABLE, weights, strict=True):
        if weight.any():
            draws = _flat_draws(schedule, rho)
            exceeding = len(draws) - np.searchsorted(draws, statistics)
            total += weight * (1 + exceeding) / (1 + len(draws))
    return total / weights.sum(axis=0)


@lru_cache(maxsize=128)
def _flat_draws(schedule: Schedule, rho: float) -> Float[np.ndarray, " draw"]:
    """T of flat curves, in increasing order."""
    return np.sort(_fits(schedule, autocorrelated(np.random.default_rng(SEED), (N_DRAWS, len(schedule)), rho))[0])


@lru_cache(maxsize=128)
def _power(schedule: Schedule, rho: float, size: float) -> float:
    rng = np.random.default_rng(SEED + 1)
    curves = CLEAR_RISE * _random_rises(rng, np.array(schedule)) + autocorrelated(rng, (N_RISES, len(schedule)), rho)
    return float((_p_values(schedule, *_fits(schedule, curves)) <= size).mean())


def _random_rises(rng: np.random.Generator, steps: np.ndarray) -> Float[np.ndarray, "curve point"]:
    """From 0 to 1: onset after 20% to 70% of the checkpoints, length up to 15% of them."""
    points = np.arange(len(steps)) / (len(steps) - 1)
    onset = rng.uniform(0.2, 0.7, (N_RISES, 1))
    end = onset + rng.uniform(0, 0.15, (N_RISES, 1))
    first, last = (np.interp(each, points, steps) for each in (onset, end))
    return np.clip((steps - first) / np.maximum(last - first, 1e-9), 0, 1)
