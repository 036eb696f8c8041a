"""Change points: against brute force, and coverage by simulation with fixed seeds."""

import numpy as np
import pytest
from scipy import stats
from scipy.linalg import toeplitz

from grok_interp.statistics.broken_line import flat_log_likelihoods, knot_pairs, log_likelihoods
from grok_interp.statistics.change_point import change_point
from grok_interp.statistics.flatness import autocorrelated
from grok_interp.statistics.noise import Noise

STEPS = np.array([0.0, 1, 3, 10, 20, 35, 50, 80, 90, 100, 120]) / 120
EVEN = np.linspace(0, 1, 41)


def random_curve(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(n).cumsum()


def restricted_log_likelihood(
    design: np.ndarray, curve: np.ndarray, rho: float, fitted: np.ndarray | None = None
) -> float:
    """From the matrices, as the formula is written; `fitted` is the design of the residuals, if it is another."""
    n = len(curve)
    covariance = toeplitz(rho ** np.arange(n))
    inverse = np.linalg.inv(covariance)
    information, of_fit = design.T @ inverse @ design, design if fitted is None else fitted
    residuals = curve - of_fit @ np.linalg.solve(of_fit.T @ inverse @ of_fit, of_fit.T @ inverse @ curve)
    log_dets = [np.linalg.slogdet(each)[1] for each in (covariance, information, design.T @ design)]
    rss = residuals @ inverse @ residuals
    return float(-0.5 * (log_dets[0] + log_dets[1] - log_dets[2]) - (n - 4) / 2 * np.log(rss))


def hinges(knots: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(len(STEPS)), STEPS, *np.maximum(STEPS - knots[:, None], 0)])


def drifts_are_admissible(knots: np.ndarray, curve: np.ndarray, rho: float) -> bool:
    """By generalized least squares, from the matrices."""
    (onset, end), design = knots, hinges(knots)
    inverse = np.linalg.inv(toeplitz(rho ** np.arange(len(STEPS))))
    _, before, *bends = np.linalg.lstsq(design.T @ inverse @ design, design.T @ inverse @ curve, rcond=None)[0]
    rise, after = before + bends[0], before + sum(bends)
    change = abs(rise) * (end - onset)
    drifts = [(abs(before), onset), (abs(after), 1 - end)]
    return all(length <= 0 or (slope <= abs(rise) / 2 and slope * length <= change) for slope, length in drifts)


@pytest.mark.parametrize("rho", [0.0, 0.4, 0.9])
def test_likelihoods_are_those_of_the_matrices(rho: float) -> None:
    """Where a drift is too steep, the residuals are those of a line without drifts."""
    curve = 3 * np.clip((STEPS - 0.2) / 0.3, 0, 1) + 0.2 * random_curve(8, len(STEPS))
    grid = np.array([0.15, 0.2, 0.4, 0.45, 0.6, 0.7])
    pairs = knot_pairs(STEPS, grid, grid)
    found = log_likelihoods(STEPS, pairs, curve[None], Noise(np.array([rho])))[0, 0]
    admissible = [drifts_are_admissible(pair, curve, rho) for pair in pairs.evaluated]
    assert 0 < sum(admissible) < len(found), "the test needs pairs of both kinds"
    for pair, fits, value in zip(pairs.evaluated, admissible, found, strict=True):
        ramp = np.clip(STEPS, *pair) - pair[0]
        fitted = None if fits else np.column_stack([np.ones(len(STEPS)), ramp])
        assert value == pytest.approx(restricted_log_likelihood(hinges(pair), curve, rho, fitted))
    flat = flat_log_likelihoods(curve[None], np.array([rho]))[0, 0]
    assert flat == pytest.approx(restricted_log_likelihood(np.ones((len(STEPS), 1)), curve, rho))


def test_inside_one_gap_only_the_jump_is_a_candidate() -> None:
    pairs = knot_pairs(EVEN, EVEN[10:12], EVEN[10:12])
    np.testing.assert_array_equal(pairs.evaluated, [EVEN[10:12]] * 3)
    np.testing.assert_array_equal(pairs.ends, [EVEN[10:12], EVEN[[10, 10]], EVEN[[11, 11]]])


def test_the_interval_of_a_mean_shift_with_known_noise_is_that_of_brute_force() -> None:
    """All pairs of a fine grid: those within the chi-squared bound are the confidence set."""
    curve = np.clip((EVEN - 0.41) / 0.2, 0, 1) + 0.1 * random_curve(2, 41) / 5
    noise = Noise(np.array([0.5]), 0.1)
    fine = np.union1d(np.linspace(0.2, 0.9, 351), EVEN)
    pairs = knot_pairs(EVEN, fine, fine)
    log_l = log_likelihoods(EVEN, pairs, curve[None], noise)[0, 0]
    inside = pairs.ends[log_l >= log_l.max() - stats.chi2.ppf(0.95, 2) / 2]
    found = change_point(EVEN, curve, noise=noise)
    np.testing.assert_allclose(found.pairs.min(axis=0), inside.min(axis=0), atol=0.01)
    np.testing.assert_allclose(found.pairs.max(axis=0), inside.max(axis=0), atol=0.01)


def test_intervals_of_the_levels_cover_them_when_the_rise_is_certain() -> None:
    """A jump and independent noise: the levels at its two checkpoints cover the truth, narrowly."""
    curve = np.where(EVEN > 0.52, 1.0, 0.0) + 0.01 * np.random.default_rng(5).standard_normal(41)
    found = change_point(EVEN, curve)
    low, high = found.levels.min(axis=(0, 2)), found.levels.max(axis=(0, 2))
    np.testing.assert_allclose(found.best_levels, [0, 1], atol=0.02)
    assert (low < [0, 1]).all() and (high > [0, 1]).all() and (high - low < 0.06).all()


def test_a_fraction_without_noise_leaves_that_of_its_trials() -> None:
    """All quiet but for one point on the rise: it is known as well as its trials tell, not exactly."""
    fraction = np.clip((EVEN - 0.49) / 0.02, 0, 1)
    widths = [np.ptp(change_point(EVEN, fraction, trials=n).pairs.mean(axis=1)) for n in (100, 10_000)]
    assert widths[0] > 3 * widths[1] > 0


def test_likelihoods_with_unequal_noise_are_those_of_the_divided_curve() -> None:
    ratios, grid = np.linspace(0.5, 2, len(STEPS)), np.array([0.2, 0.4, 0.6])
    curve, pairs = (
        3 * np.clip((STEPS - 0.2) / 0.3, 0, 1) + 0.1 * random_curve(8, len(STEPS)),
        knot_pairs(STEPS, grid, grid),
    )
    found = log_likelihoods(STEPS, pairs, curve[None], Noise(np.array([0.4]), ratios=ratios))[0, 0]
    admissible = np.isfinite(found)
    assert admissible.any()
    for pair, value in zip(pairs.evaluated[admissible], found[admissible], strict=True):
        assert value == pytest.approx(restricted_log_likelihood(hinges(pair) / ratios[:, None], curve / ratios, 0.4))


def test_autocorrelated_noise_has_its_autocorrelation() -> None:
    noise = autocorrelated(np.random.default_rng(0), (2000, 41), 0.6)
    assert noise.var() == pytest.approx(1, abs=0.03)
    assert (noise[:, 1:] * noise[:, :-1]).mean() == pytest.approx(0.6, abs=0.03)


def test_trials_and_noise_are_not_both_given() -> None:
    with pytest.raises(ValueError, match="trials or noise, not both"):
        change_point(EVEN, EVEN, noise=Noise(np.zeros(1), 0.1), trials=100)


def test_too_few_points_are_refused() -> None:
    with pytest.raises(ValueError, match="needs at least 8 points, got 7"):
        change_point(EVEN[:7], EVEN[:7])
