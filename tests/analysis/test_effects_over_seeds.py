"""Effects over seeds: textbook t-intervals."""

import numpy as np
import pytest
from scipy import stats

from grok_interp.analysis.effects_over_seeds import mean_effect, slope
from grok_interp.studies.copying.first_screen import fraction_in_words
from grok_interp.studies.copying.seeds import steps_in_words


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
    assert str(slope(x, 2 * x)) == "2 (all 3 runs are on one line)"
    agreeing = mean_effect(np.array([1.0, 1.0]))
    assert fraction_in_words(agreeing) == "100% (both seeds agree)"
    assert steps_in_words(agreeing) == "1 (both seeds agree)"


def test_the_slope_is_that_of_least_squares() -> None:
    x, y = np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 2.9, 5.2, 6.9])
    found, known = slope(x, y), stats.linregress(x, y)
    assert found.value == pytest.approx(known.slope)
    assert found.high - found.value == pytest.approx(4.302652729749464 * known.stderr)


@pytest.mark.parametrize("level", [0.0, 1.0, 2.0, -0.5, float("nan")])
def test_a_level_is_a_probability(level: float) -> None:
    with pytest.raises(ValueError, match="level must be between 0 and 1, such as 0.95, got"):
        mean_effect(np.array([1.0, 2.0]), level=level)
    with pytest.raises(ValueError, match="level must be between 0 and 1"):
        slope(np.array([1.0, 2.0]), np.array([1.0, 2.0]), level=level)


def test_a_slope_needs_two_values_of_x() -> None:
    assert str(slope(np.array([2.0, 2.0]), np.array([0.0, 1.0]))) == "none"
    assert slope(np.array([1.0, 2.0]), np.array([0.0, 1.0])).low == -np.inf
