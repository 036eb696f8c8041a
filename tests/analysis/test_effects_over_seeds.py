"""Effects over seeds: textbook t-intervals."""

import numpy as np
import pytest
from scipy import stats

from grok_interp.analysis.effects_over_seeds import mean_effect, slope
from grok_interp.studies.change_points import steps_in_words
from grok_interp.studies.copying.first_screen import fraction_in_words

ONE_SEED = np.zeros(4, int)


def test_the_mean_of_three_seeds_has_students_interval() -> None:
    found = mean_effect(np.array([1.0, 2.0, 3.0]))
    assert found.value == 2
    half = 4.302652729749464 / np.sqrt(3)  # t of two degrees of freedom at 97.5%, standard deviation 1
    np.testing.assert_allclose((found.low, found.high), (2 - half, 2 + half))


def test_one_seed_has_a_value_and_no_interval_and_none_has_neither() -> None:
    assert (mean_effect(np.array([5.0])).low, mean_effect(np.array([5.0])).high) == (-np.inf, np.inf)
    assert str(mean_effect(np.array([]))) == "none"


def test_seeds_that_agree_are_counted_instead_of_an_interval_of_width_0() -> None:
    for value in (0.0, 0.1, 2.0, 640.0):
        found = mean_effect(np.array([value] * 3))
        assert found.agreement == "all 3 seeds agree" and str(found) == f"{value:.4g} (all 3 seeds agree)"
    assert mean_effect(np.array([0.1, 0.1, 0.1001])).agreement == ""
    assert mean_effect(np.array([1.0])).agreement == mean_effect(np.array([])).agreement == ""
    x = np.array([0.0, 1.0, 2.0])
    assert str(slope(x, 2 * x, ONE_SEED[:3])) == "2 (all 3 runs are on one line)"
    agreeing = mean_effect(np.array([1.0, 1.0]))
    assert fraction_in_words(agreeing) == "100% (both seeds agree)"
    assert steps_in_words(agreeing) == "1 (both seeds agree)"


def test_the_slope_is_that_of_least_squares() -> None:
    x, y = np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 2.9, 5.2, 6.9])
    found, known = slope(x, y, ONE_SEED), stats.linregress(x, y)
    assert found.value == pytest.approx(known.slope)
    assert found.high - found.value == pytest.approx(4.302652729749464 * known.stderr)


@pytest.mark.parametrize("level", [0.0, 1.0, 2.0, -0.5, float("nan")])
def test_a_level_is_a_probability(level: float) -> None:
    with pytest.raises(ValueError, match="level must be between 0 and 1, such as 0.95, got"):
        mean_effect(np.array([1.0, 2.0]), level=level)
    with pytest.raises(ValueError, match="level must be between 0 and 1"):
        slope(np.array([1.0, 2.0]), np.array([1.0, 2.0]), ONE_SEED[:2], level=level)


def test_a_slope_needs_two_values_of_x() -> None:
    assert str(slope(np.array([2.0, 2.0]), np.array([0.0, 1.0]), ONE_SEED[:2])) == "none"
    assert slope(np.array([1.0, 2.0]), np.array([0.0, 1.0]), ONE_SEED[:2]).low == -np.inf


def runs_of(*n_each: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y and seeds: that many runs of each seed, shuffled, with intercepts that vary more than what is left."""
    rng = np.random.default_rng(sum(n_each))
    seeds = rng.permutation(np.repeat(np.arange(len(n_each)) + 5, n_each))
    x = rng.standard_normal(len(seeds))
    return x, 0.7 * x + 3.0 * np.sin(seeds) + 0.2 * rng.standard_normal(len(seeds)), seeds


@pytest.mark.parametrize("n_each", [(3, 3, 3), (2, 3, 1, 3, 1, 2), (4,), (2, 2), (1, 5)])
def test_the_slope_within_seeds_is_that_of_a_regression_with_a_column_for_each_seed(n_each: tuple[int, ...]) -> None:
    x, y, seeds = runs_of(*n_each)
    columns = np.column_stack([x, *(seeds == seed for seed in set(seeds.tolist()))]).astype(float)
    (value, *_), *_ = np.linalg.lstsq(columns, y, rcond=None)
    left = y - columns @ np.linalg.lstsq(columns, y, rcond=None)[0]
    df = len(x) - columns.shape[1]  # a seed with one run has a column of its own: it adds neither residual nor freedom
    error = np.sqrt(left @ left / df * np.linalg.inv(columns.T @ columns)[0, 0])
    half = stats.t.ppf(0.975, df) * error
    found = slope(x, y, seeds)
    np.testing.assert_allclose((found.value, found.error, found.low), (value, error, value - half), rtol=1e-9)
    several = [n for n in n_each if n > 1]
    assert (found.df, found.n_runs, found.n_seeds) == (df, sum(several), len(several))


def test_what_the_runs_of_a_seed_have_in_common_does_not_matter() -> None:
    x, y, seeds = runs_of(2, 3, 1, 4)
    found = slope(x, y, seeds)
    shifted = slope(x, y + np.array([9.0, -40.0, 300.0, 0.5])[seeds - 5], seeds)
    np.testing.assert_allclose((shifted.value, shifted.low, shifted.high), (found.value, found.low, found.high))
    several = seeds != 7
    assert slope(x[several], y[several], seeds[several]).value == pytest.approx(found.value)


def test_a_slope_over_two_conditions_is_the_mean_difference_within_seeds() -> None:
    first, second = np.random.default_rng(3).standard_normal((2, 5))
    differences = mean_effect((second - first) / 2)
    found = slope(np.repeat([1.0, 3.0], 5), np.concatenate([first, second]), np.tile(np.arange(5), 2))
    np.testing.assert_allclose(
        (found.value, found.low, found.high), (differences.value, differences.low, differences.high)
    )
    assert found.seeds_needed() == differences.seeds_needed()


def test_pairing_decides_where_seeds_differ_more_than_conditions() -> None:
    x, seeds = np.tile([0.0, 1.0], 4), np.repeat(np.arange(4), 2)
    y = np.array([0.0, 0.9, 10.0, 11.1, 20.0, 21.0, 30.0, 31.0])
    assert slope(x, y, seeds).low > 0.8
    assert slope(x, y, np.zeros(8, int)).low < 0 < slope(x, y, np.zeros(8, int)).high


def test_seeds_with_one_run_each_have_no_slope() -> None:
    found = slope(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.5]), np.arange(3))
    assert str(found) == "none" and (found.n_runs, found.n_seeds) == (0, 0) and np.isnan(found.seeds_needed())


def test_seeds_that_agree_on_a_slope_are_counted() -> None:
    found = slope(np.tile([0.0, 1.0, 2.0], 3), np.tile([0.0, 2.0, 4.0], 3), np.repeat(np.arange(3), 3))
    assert str(found) == "2 (all 3 seeds agree)"


def test_an_interval_is_cut_to_what_is_possible() -> None:
    found = mean_effect(np.array([0.2, 0.9, 1.0]))
    assert found.high > 1 and (found.within(-1.0, 1.0).high, found.within(-1.0, 1.0).low) == (1, found.low)
    assert found.within(0.0, 2.0).low == 0 and found.within(0.0, 2.0).seeds_needed() == found.seeds_needed()
    assert mean_effect(np.array([0.5])).within(0.0, 1.0).high == np.inf, "one seed still has no interval"
