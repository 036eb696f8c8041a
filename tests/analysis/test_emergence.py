"""Emergence: outcomes, labels and checks of a curve over checkpoints. The statistics are tested in tests/statistics."""

import ground_truth
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from grok_interp.analysis.emergence import Emergence, emergence

STEPS = np.arange(0, 4100, 100)


def curve(values: np.ndarray, steps: np.ndarray = STEPS) -> xr.DataArray:
    return ground_truth.labeled(values, ("checkpoint",), {"checkpoint": steps})


def ramp(onset: float, end: float, before: float, after: float, steps: np.ndarray = STEPS) -> np.ndarray:
    return before + (after - before) * np.clip((steps - onset) / (end - onset), 0, 1)


def noisy(values: np.ndarray, scale: float, seed: int) -> np.ndarray:
    return values + scale * np.random.default_rng(seed).standard_normal(len(values))


def test_a_rise_without_noise_is_found_exactly_between_checkpoints_too() -> None:
    for onset, end in ((1200, 1700), (1234, 1567)):
        found = emergence(curve(ramp(onset, end, 0.06, 0.6)))
        values = [found.onset.value, found.midpoint.value, found.end.value, found.width.value]
        np.testing.assert_allclose(values, [onset, (onset + end) / 2, end, end - onset], atol=0.01)
        np.testing.assert_allclose([found.onset.low, found.onset.high], onset, atol=0.01)
        np.testing.assert_allclose([found.before.value, found.after.value], [0.06, 0.6], atol=1e-4)


def test_a_jump_between_two_checkpoints_may_be_anywhere_between_them() -> None:
    found = emergence(curve(np.where(STEPS <= 800, 0.1, 0.9)))
    for estimate in (found.onset, found.midpoint, found.end):
        assert (estimate.low, estimate.high) == (800, 900)
    assert (found.onset.value, found.midpoint.value, found.end.value) == (800, 850, 900)
    assert (found.width.low, found.width.high) == (0, 100)


def test_trials_widen_the_intervals_of_a_steep_accuracy() -> None:
    """Quiet checkpoints before and after a rise of two: their small noise is not that of the rise."""
    accuracy = curve(np.random.default_rng(0).binomial(400, ramp(1030, 1220, 0.0, 0.99)) / 400)
    alone, known = emergence(accuracy), emergence(accuracy, trials=400)
    assert known.onset.low <= 1030 <= known.onset.high and known.end.low <= 1220 <= known.end.high
    assert known.onset.high - known.onset.low > 2 * (alone.onset.high - alone.onset.low)


def test_levels_of_an_accuracy_are_accuracies() -> None:
    """The rise begins at the first checkpoint, so one point and few answers tell the level before it."""
    found = emergence(curve(ramp(0, 150, 0.0, 1.0)), trials=5)
    assert 0 == found.before.low <= found.before.value <= found.before.high <= 1
    assert 0 <= found.after.low <= found.after.value <= found.after.high == 1


@pytest.mark.parametrize(
    ("trials", "message"),
    [
        (0, "1 or more, got 0"),
        (float("nan"), "trials must be a finite number, got nan"),
        (float("inf"), "got inf"),
        (1e12, r"1e\+07 at most, got 1e\+12: leave it out"),
        (9, "from 0 to 3: leave it out"),
    ],
)
def test_trials_that_have_no_meaning_are_refused(trials: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        emergence(curve(ramp(300, 900, 0.0, 3.0)), trials=trials)


def test_a_stricter_test_has_less_power_and_does_not_call_what_it_misses_flat() -> None:
    """Eight checkpoints: a rise with a p-value between 0.5% and 5%."""
    steps = np.arange(8) * 100
    few = curve(noisy(ramp(250, 350, 0.0, 1.0, steps), 0.2, seed=1), steps)
    usual, strict = emergence(few), emergence(few, level=0.995)
    assert usual.emerged and 0.005 < usual.p_value <= 0.05
    assert strict.outcome == "cannot tell" and strict.power < 0.9


def test_a_fall_is_a_change_but_no_rise() -> None:
    found = emergence(curve(noisy(ramp(300, 900, 5.0, 1.0), 0.05, seed=1)))
    assert found.onset.low <= 300 <= found.onset.high
    assert found.emerged and not found.rises


@pytest.mark.parametrize("options", [{"trials": 500}, {"chance": 0.01, "margin": 0.05}])
def test_an_accuracy_that_falls_has_not_emerged(options: dict) -> None:
    falling = curve(np.random.default_rng(0).binomial(500, ramp(1000, 1300, 0.9, 0.3)) / 500)
    found = emergence(falling, **options)
    assert found.outcome == "falls" and not found.emerged and not found.rises
    steps = (found.onset, found.midpoint, found.end, found.width)
    assert np.isnan([each.value for each in steps]).all()
    assert found.before.value == pytest.approx(0.9, abs=0.05) and found.after.value == pytest.approx(0.3, abs=0.05)
    assert str(found).startswith("none: falls over 41 checkpoints (from 0.") and emergence(falling).emerged


def test_a_fall_to_chance_is_told_as_a_fall() -> None:
    lost = emergence(curve(noisy(ramp(1000, 1300, 0.9, 0.01), 0.002, seed=2)), chance=0.01, margin=0.05)
    assert lost.outcome == "falls" and np.isnan(lost.midpoint.value)


@pytest.mark.parametrize("drift", [1e-4, -1e-4])
def test_a_drift_after_the_rise_is_not_part_of_it(drift: float) -> None:
    creeping = ramp(800, 1300, 0.05, 0.5) + drift * np.maximum(STEPS - 1300, 0)
    exact = emergence(curve(creeping))
    np.testing.assert_allclose([exact.onset.value, exact.end.value], [800, 1300], atol=0.01)
    np.testing.assert_allclose([exact.before.value, exact.after.value], [0.05, 0.5], atol=1e-4)
    found = emergence(curve(noisy(creeping, 0.02, seed=4)))
    assert found.onset.low <= 800 <= found.onset.high
    assert found.onset.high - found.onset.low <= 400


def test_a_slow_beginning_is_not_taken_for_the_rise() -> None:
    late = 2e-6 * STEPS + ramp(3000, 3500, 0, 0.5)
    assert emergence(curve(noisy(late, 0.01, seed=6))).onset.value == pytest.approx(3000, abs=200)


@pytest.mark.parametrize("value", [0.0, 0.3, -7.0])
def test_a_constant_curve_has_no_onset(value: float) -> None:
    found = emergence(curve(np.full(len(STEPS), value)))
    assert found.outcome == "flat"
    assert np.isnan([found.onset.value, found.midpoint.value, found.width.value, found.after.value]).all()
    assert str(found).startswith("none: flat")


def test_noise_is_flat_with_41_checkpoints_and_undecided_with_8() -> None:
    long, short = (emergence(curve(noisy(np.zeros(n), 1.0, seed=3), STEPS[:n])) for n in (41, 8))
    assert long.outcome == "flat" and long.power >= 0.9
    assert short.outcome == "cannot tell" and short.power < 0.9
    assert "cannot tell" in str(short) and np.isnan(short.onset.value)


def test_a_rise_that_ends_below_chance_plus_margin_has_no_onset() -> None:
    """From 0% to 4% where a uniform guess is right in 6%: the model has learned which tokens are likely, no more."""
    low = curve(noisy(ramp(1000, 1300, 0.0, 0.04), 0.002, seed=2))
    assert emergence(low).rises
    found = emergence(low, chance=0.0625, margin=0.05)
    assert found.outcome == "at chance" and not found.rises and np.isnan(found.midpoint.value)
    high = curve(noisy(ramp(1000, 1300, 0.0, 0.2), 0.002, seed=2))
    assert emergence(high, chance=0.0625, margin=0.05).rises
    assert emergence(high, chance=0.0625, margin=0.15).outcome == "at chance"


@settings(deadline=None, max_examples=20)
@given(scale=st.sampled_from([-3.0, 0.5, 20.0]), shift=st.floats(-5, 5), stretch=st.sampled_from([0.5, 7.0]))
def test_units_of_the_curve_and_of_the_steps_do_not_matter(scale: float, shift: float, stretch: float) -> None:
    values = noisy(ramp(1000, 2000, 0.0, 1.0), 0.1, seed=3)
    plain = emergence(curve(values))
    changed = emergence(curve(scale * values + shift, STEPS * stretch))
    for name in ("value", "low", "high"):
        assert getattr(changed.onset, name) == pytest.approx(stretch * getattr(plain.onset, name), abs=2 * stretch)
    assert changed.after.value == pytest.approx(scale * plain.after.value + shift, abs=0.01 * abs(scale))


@pytest.mark.parametrize("exponent", [-900, 900])
def test_values_whose_squares_float64_cannot_hold_have_the_same_onset(exponent: int) -> None:
    """A power of two rounds nothing, so all numbers are the same."""
    values = noisy(ramp(1000, 2000, 0.0, 1.0), 0.1, seed=3)
    plain, changed = emergence(curve(values)), emergence(curve(np.ldexp(values, exponent)))
    assert changed.onset == plain.onset and changed.end == plain.end and changed.p_value == plain.p_value
    assert changed.after.value == np.ldexp(plain.after.value, exponent)


def test_the_same_curve_gives_the_same_result_and_is_left_alone() -> None:
    values = curve(noisy(ramp(1000, 1500, 0, 1), 0.2, seed=5))
    before = values.copy()
    assert emergence(values) == emergence(values)
    assert values.equals(before)


@pytest.mark.parametrize("as_strings", [False, True])
def test_the_order_of_the_checkpoints_does_not_matter(as_strings: bool) -> None:
    """Names of files sort as 0, 100, 1000, 1100, ...: the steps decide, not the order."""
    values = noisy(ramp(200, 700, 0, 1), 0.05, seed=7)
    order = np.argsort([str(step) for step in STEPS])
    assert not np.array_equal(order, np.arange(len(STEPS)))
    steps = STEPS[order].astype(str) if as_strings else STEPS[order]
    found = emergence(curve(values[order], steps))
    assert found == emergence(curve(values))
    assert found.onset.low <= 200 <= found.onset.high and found.width.value > 0


def test_uneven_checkpoints_are_fitted_in_steps_not_in_their_number() -> None:
    steps = np.array([0, 1, 2, 5, 10, 22, 46, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000])
    found = emergence(curve(ramp(200, 700, 0, 1, steps), steps))
    np.testing.assert_allclose([found.onset.value, found.end.value], [200, 700], atol=0.01)


def test_a_level_of_99_percent_gives_wider_intervals() -> None:
    values = curve(noisy(ramp(1000, 1500, 0, 1), 0.05, seed=5))
    wide, narrow = emergence(values, level=0.99).onset, emergence(values, level=0.8).onset
    assert wide.low < narrow.low and narrow.high < wide.high


@pytest.mark.parametrize(
    ("broken", "options", "message"),
    [
        (curve(np.arange(7.0), STEPS[:7]), {}, "needs 8 checkpoints or more, got 7: keep more of them"),
        (curve(np.where(STEPS == 300, np.nan, 1.0)), {}, "1 of 41 checkpoints have no finite value"),
        (curve(np.where(STEPS == 300, np.inf, 1.0)), {}, "1 of 41 checkpoints have no finite value"),
        (
            xr.concat([curve(ramp(100, 900, 0, 1))] * 2, dim="head"),
            {},
            r"one curve over `checkpoint`, got dims \('head",
        ),
        (curve(ramp(100, 900, 0, 1), np.where(STEPS == 300, 200, STEPS)), {}, "step 200 is given 2 times: keep one"),
        (
            curve(np.arange(8.0), np.array(list("abcdefgh"))),
            {},
            r"steps must be numbers of optimizer updates, got \['a', 'b', 'c'\]",
        ),
        (curve(STEPS.astype("datetime64[s]")), {}, "values of curve must be real numbers, got datetime64"),
        (curve(STEPS.astype("timedelta64[s]")), {}, "values of curve must be real numbers, got timedelta64"),
        (curve(ramp(100, 900, 0, 1) + 1j), {}, "values of curve must be real numbers, got complex128: convert them"),
        (curve(ramp(100, 900, 0, 1).astype(str)), {}, "values of curve must be real numbers, got <U"),
        (curve(ramp(100, 900, 0, 1)), {"chance": 0.1}, "chance and margin go together"),
        (curve(ramp(100, 900, 0, 1)), {"chance": 0.1, "margin": -1.0}, "margin must be 0 or more, got -1"),
        (curve(ramp(100, 900, 0, 1)), {"level": 95.0}, "level must be between 0 and 1, such as 0.95, got 95"),
    ],
)
def test_bad_input_is_refused(broken: xr.DataArray, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        emergence(broken, **options)


def test_an_emergence_is_made_of_its_estimates() -> None:
    assert str(Emergence(0.3, 1.0, 9, 0.95)) == "none: flat over 9 checkpoints (p = 0.3)"


def test_an_emergence_says_what_its_intervals_are_over() -> None:
    found = emergence(curve(ramp(1200, 1700, 0.06, 0.6)), level=0.9)
    assert (found.n_checkpoints, found.level) == (STEPS.size, 0.9)
    assert str(found).startswith("onset 1,200 [") and str(found).endswith(f"(90% CIs over {STEPS.size} checkpoints)")
