"""Change points: coverage by simulation with fixed seeds."""

import numpy as np
import pytest
from scipy.special import expit, logit

from grok_interp.statistics.change_point import change_point
from grok_interp.statistics.flatness import autocorrelated, flatness

EVEN = np.linspace(0, 1, 41)


@pytest.mark.parametrize(("onset", "end"), [(0.05, 0.95), (0.02, 0.7), (0.3, 0.98)])
def test_intervals_cover_rises_that_take_most_of_training(onset: float, end: float) -> None:
    """Few checkpoints tell the drifts; 37 of 48 or fewer would have a probability below 0.1%."""
    rng, covered = np.random.default_rng(7), []
    for _ in range(48):
        pairs = change_point(EVEN, np.clip((EVEN - onset) / (end - onset), 0, 1) + 0.1 * rng.standard_normal(41)).pairs
        values = np.column_stack([pairs, pairs.mean(axis=1)])
        truth = np.array([onset, end, (onset + end) / 2])
        covered.append((values.min(axis=0) <= truth + 1e-6) & (truth <= values.max(axis=0) + 1e-6))
        assert (np.ptp(values, axis=0) > 0).all()
    assert (np.sum(covered, axis=0) > 37).all()


@pytest.mark.parametrize("kind", ["between checkpoints", "jump"])
@pytest.mark.parametrize("rho", [0.0, 0.7])
def test_intervals_cover(kind: str, rho: float) -> None:
    """95% is promised; 51 of 60 or fewer would have a probability below 0.1% at 95%."""
    rng, covered = np.random.default_rng(1), []
    for curve in 0.15 * autocorrelated(rng, (60, 41), rho):
        onset = rng.uniform(0.3, 0.5)
        end = onset + (0.13 if kind == "between checkpoints" else 1e-9)
        pairs = change_point(EVEN, np.clip((EVEN - onset) / (end - onset), 0, 1) + curve).pairs
        values = np.column_stack([pairs, pairs.mean(axis=1)])
        truth = np.array([onset, end, (onset + end) / 2])
        covered.append((values.min(axis=0) <= truth + 1e-6) & (truth <= values.max(axis=0) + 1e-6))
    assert (np.sum(covered, axis=0) > 51).all()


@pytest.mark.parametrize(("before", "after", "n"), [(0.01, 0.993, 3000), (0.0, 0.96, 600), (0.0, 1.0, 600)])
def test_intervals_cover_steep_rises_of_a_fraction(before: float, after: float, n: int) -> None:
    """Few points on the rise, which have all of the noise; 18 of 24 or fewer would have a probability below 0.1%."""
    rng, covered = np.random.default_rng(2), []
    for _ in range(24):
        onset = rng.uniform(0.3, 0.7)
        end = onset + rng.uniform(0.03, 0.1)
        fraction = before + (after - before) * np.clip((EVEN - onset) / (end - onset), 0, 1)
        pairs = change_point(EVEN, rng.binomial(n, fraction) / n, trials=n).pairs
        values = np.column_stack([pairs, pairs.mean(axis=1)])
        truth = np.array([onset, end, (onset + end) / 2])
        covered.append((values.min(axis=0) <= truth + 1e-6) & (truth <= values.max(axis=0) + 1e-6))
    assert (np.sum(covered, axis=0) > 18).all()


def test_intervals_cover_steep_rises_in_training_that_fluctuates() -> None:
    """AR(0.5) noise with a standard deviation of 0.5 on the logit of a fraction of 3,000 answers."""
    rng, covered = np.random.default_rng(2), []
    for noise in 0.5 * autocorrelated(rng, (24, 41), 0.5):
        onset = rng.uniform(0.3, 0.7)
        end = onset + rng.uniform(0.03, 0.1)
        level = logit(0.01 + 0.983 * np.clip((EVEN - onset) / (end - onset), 0, 1)) + noise
        pairs = change_point(EVEN, rng.binomial(3000, expit(level)) / 3000, trials=3000).pairs
        values = np.column_stack([pairs, pairs.mean(axis=1)])
        truth = np.array([onset, end, (onset + end) / 2])
        covered.append((values.min(axis=0) <= truth + 1e-6) & (truth <= values.max(axis=0) + 1e-6))
    assert (np.sum(covered, axis=0) > 18).all()


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.7])
def test_flat_curves_are_seldom_taken_for_a_change(rho: float) -> None:
    """7% at most: 18 of 120 or more would have a probability below 0.2%."""
    curves = autocorrelated(np.random.default_rng(3), (120, 41), rho)
    assert sum(flatness(EVEN, curve).p_value <= 0.05 for curve in curves) < 18


@pytest.mark.parametrize("rho", [0.0, 0.5])
def test_clear_jumps_are_detected(rho: float) -> None:
    """90% at least: 45 of 60 or fewer would have a probability below 0.1%."""
    curves = autocorrelated(np.random.default_rng(4), (60, 41), rho) + 5 * (EVEN > 0.41)
    assert sum(flatness(EVEN, curve).p_value <= 0.05 for curve in curves) > 45
