"""Power: textbook sample sizes, and designs that are simulated."""

import math
from itertools import count

import numpy as np
import pytest
from scipy import stats

from grok_interp.analysis.effects_over_seeds import Effect, mean_effect, slope
from grok_interp.statistics.power import repetitions_needed, t_power


@pytest.mark.parametrize(("effect", "n"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10)])
def test_sample_sizes_of_the_one_sample_t_test(effect: float, n: int) -> None:
    """Two-sided, 5%, power 80%: the numbers of Cohen's small, medium and large effects in textbooks."""
    assert repetitions_needed(effect) == repetitions_needed(-effect) == n


@pytest.mark.parametrize(("effect", "power"), [(0.3, 0.8), (1.7, 0.9), (4.0, 0.8)])
def test_one_repetition_fewer_is_too_few(effect: float, power: float) -> None:
    n = repetitions_needed(effect, power=power)
    assert t_power(effect * math.sqrt(n), n - 1) >= power > t_power(effect * math.sqrt(n - 1), n - 2)


def test_without_an_effect_no_number_is_enough_and_without_spread_two_are() -> None:
    assert repetitions_needed(0.0) == math.inf and repetitions_needed(math.inf) == 2
    assert math.isnan(repetitions_needed(math.nan))
    with pytest.raises(ValueError, match="power and level must be between 0 and 1, such as 0.8 and 0.95, got 80"):
        repetitions_needed(1.0, power=80.0)


@pytest.mark.parametrize("wrong", [0.0, 1.0, 1.5, math.nan])
@pytest.mark.parametrize("name", ["power", "level"])
def test_a_probability_is_between_0_and_1(name: str, wrong: float) -> None:
    with pytest.raises(ValueError, match=f"power and level must be between 0 and 1.*got.*{wrong}"):
        repetitions_needed(1.0, **{name: wrong})


def test_a_power_never_exceeds_1() -> None:
    assert t_power(math.inf, 3) == t_power(1e3, 3) == 1


def test_a_wider_interval_needs_more_repetitions() -> None:
    """Two-sided, 1%, power 80%: 51 for a medium effect."""
    n = repetitions_needed(0.5, level=0.99)
    assert n == 51
    assert t_power(0.5 * math.sqrt(n), n - 1, level=0.99) >= 0.8 > t_power(0.5 * math.sqrt(n - 1), n - 2, level=0.99)


def test_numbers_up_to_a_hundred_thousand_are_found() -> None:
    """For many, n = ((z(1 - alpha / 2) + z(power)) / d)^2, to one or two."""
    z = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert repetitions_needed(z / math.sqrt(80_000)) == pytest.approx(80_000, abs=4)
    assert repetitions_needed(z / math.sqrt(99_000)) == pytest.approx(99_000, abs=4)
    assert repetitions_needed(z / math.sqrt(101_000)) == math.inf


def decided(effects: list[Effect], boundary: float) -> float:
    """The fraction of intervals that are wholly above the boundary."""
    return float(np.mean([effect.low > boundary for effect in effects]))


def test_the_power_of_a_mean_is_that_of_simulated_seeds() -> None:
    rng, n = np.random.default_rng(0), int(repetitions_needed(0.9))
    found = [mean_effect(3.0 + 2.0 * rng.standard_normal(n)) for _ in range(4_000)]
    expected = t_power(0.9 * math.sqrt(n), n - 1)
    assert 0.8 <= expected < 0.85
    assert decided(found, 3.0 - 0.9 * 2.0) == pytest.approx(expected, abs=0.02)


def test_the_power_of_a_slope_is_that_of_simulated_seeds() -> None:
    """Three conditions, as the sweeps have; the slope is 0.4 above the boundary of -0.5."""
    rng, x, sigma = np.random.default_rng(1), np.log([8.0, 16.0, 32.0]), 0.5
    of_one_seed = sigma / math.sqrt(((x - x.mean()) ** 2).sum())
    n = next(n for n in count(2) if t_power(0.4 / of_one_seed * math.sqrt(n), 3 * n - 2) >= 0.8)
    design = np.tile(x, n)
    same = np.zeros(len(design), int)
    found = [slope(design, -0.1 * design + sigma * rng.standard_normal(len(design)), same) for _ in range(2_000)]
    expected = t_power(0.4 / of_one_seed * math.sqrt(n), 3 * n - 2)
    assert expected >= 0.8
    assert decided(found, -0.5) == pytest.approx(expected, abs=0.03)


def test_the_power_of_a_slope_within_seeds_is_that_of_simulated_seeds() -> None:
    """The same, with an intercept for each seed: seeds differ by much more, which costs one run of each."""
    rng, x, sigma = np.random.default_rng(2), np.log([8.0, 16.0, 32.0]), 0.5
    of_one_seed = sigma / math.sqrt(((x - x.mean()) ** 2).sum())
    n = int(repetitions_needed(0.4 / of_one_seed, per_repetition=2))
    design, seeds = np.tile(x, n), np.repeat(np.arange(n), 3)
    noise = sigma * rng.standard_normal((2_000, len(design))) + 9 * rng.standard_normal((2_000, n))[:, seeds]
    found = [slope(design, -0.1 * design + each, seeds) for each in noise]
    expected = t_power(0.4 / of_one_seed * math.sqrt(n), 2 * n - 1)
    assert expected >= 0.8
    assert decided(found, -0.5) == pytest.approx(expected, abs=0.03)


def test_an_effect_plans_with_its_own_spread() -> None:
    values = np.array([1.0, 2.0, 3.0])  # mean 2, standard deviation 1
    found = mean_effect(values)
    assert found.n_seeds == 3 and found.seeds_needed() == repetitions_needed(2.0)
    assert found.seeds_needed(fraction=0.5) == repetitions_needed(1.0) == 10
    assert found.seeds_needed(boundary=2.5) == repetitions_needed(0.5) == 34, "it is 0.5 below the boundary"


def test_a_slope_counts_a_run_of_each_condition_as_one_seed() -> None:
    """Of three runs of a seed, two are left beside its intercept; of two, one."""
    x, seeds = np.tile([0.0, 1.0, 2.0], 4), np.repeat(np.arange(4), 3)
    y = 0.1 * x + np.random.default_rng(2).standard_normal(12)
    found = slope(x, y, seeds)
    assert found.n_seeds == 4
    distance = found.value / (found.error * 2)  # of one seed: twice the error of four
    assert found.seeds_needed() == repetitions_needed(distance, per_repetition=2)
    some = slope(x[1:], y[1:], seeds[1:])  # without one run of the first seed
    distance = some.value / (some.error * 2)
    assert some.n_seeds == 4 and some.seeds_needed() == repetitions_needed(distance, per_repetition=7 / 4)


def test_a_slope_over_the_runs_of_one_seed_plans_with_a_line() -> None:
    x = np.tile([0.0, 1.0, 2.0], 4)
    y = 0.1 * x + np.random.default_rng(2).standard_normal(12)
    found, known = slope(x, y, np.zeros(12, int)), stats.linregress(x, y)
    assert found.seeds_needed() == repetitions_needed(known.slope / known.stderr, per_repetition=11)


def test_what_has_no_spread_plans_nothing() -> None:
    assert math.isnan(mean_effect(np.array([2.0])).seeds_needed())
    assert math.isnan(mean_effect(np.array([])).seeds_needed())
    assert mean_effect(np.array([2.0, 2.0])).seeds_needed() == 2
