"""Emergence: change points that are known, curves that have none, and intervals that hold what they should."""

import ground_truth
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from grok_interp.analysis.emergence import emergence

STEPS = np.arange(0, 4100, 100)


def curve(values: np.ndarray, steps: np.ndarray = STEPS) -> xr.DataArray:
    return ground_truth.labelled(values, ("checkpoint",), {"checkpoint": steps})


def ramp(onset: float, end: float, before: float, after: float, steps: np.ndarray = STEPS) -> np.ndarray:
    return before + (after - before) * np.clip((steps - onset) / (end - onset), 0, 1)


def noisy(values: np.ndarray, scale: float, seed: int) -> np.ndarray:
    return values + scale * np.random.default_rng(seed).standard_normal(len(values))


def test_a_rise_without_noise_is_found_exactly() -> None:
    found = emergence(curve(ramp(1200, 1700, 0.06, 0.6)))
    assert (found.onset.value, found.end.value, found.width.value) == (1200, 1700, 500)
    assert found.midpoint.value == 1450
    np.testing.assert_allclose((found.before.value, found.after.value), (0.06, 0.6))
    assert (found.onset.low, found.onset.high) == (1200, 1200), "no noise, no doubt"


def test_a_fall_is_a_change_too() -> None:
    found = emergence(curve(noisy(ramp(300, 900, 5.0, 1.0), 0.05, seed=1)))
    assert found.onset.low <= 300 <= found.onset.high
    assert found.before.value > found.after.value


@pytest.mark.parametrize("value", [0.0, 0.3, -7.0])
def test_a_constant_curve_has_no_onset(value: float) -> None:
    found = emergence(curve(np.full(len(STEPS), value)))
    assert not found.emerged
    assert np.isnan([found.onset.value, found.midpoint.value, found.width.value, found.after.value]).all()
    assert str(found).startswith("none: flat")


def test_noise_alone_is_called_flat_about_as_often_as_promised() -> None:
    """At a level of 95%, one flat curve in twenty is taken for a change: 3 of 60 expected, 9 is beyond 99.8%."""
    flat = np.zeros(len(STEPS))
    found = [emergence(curve(noisy(flat, 1.0, seed)), n_resamples=199) for seed in range(60)]
    assert sum(each.emerged for each in found) <= 9


def test_intervals_hold_the_truth_about_as_often_as_promised() -> None:
    """Block bootstraps are a little narrow at this size: 95% promised, four of five demanded."""
    truth = ramp(1500, 2100, 0.1, 0.7)
    found = [emergence(curve(noisy(truth, 0.05, seed)), n_resamples=199).midpoint for seed in range(40)]
    assert sum(each.low <= 1800 <= each.high for each in found) >= 32


@settings(deadline=None, max_examples=20)
@given(scale=st.sampled_from([-3.0, 0.5, 20.0]), shift=st.floats(-5, 5), stretch=st.sampled_from([0.5, 7.0]))
def test_units_of_the_curve_and_of_the_steps_do_not_matter(scale: float, shift: float, stretch: float) -> None:
    values = noisy(ramp(1000, 2000, 0.0, 1.0), 0.1, seed=3)
    plain = emergence(curve(values), n_resamples=99)
    changed = emergence(curve(scale * values + shift, STEPS * stretch), n_resamples=99)
    for name in ("value", "low", "high"):
        assert getattr(changed.onset, name) == pytest.approx(stretch * getattr(plain.onset, name))
    assert changed.after.value == pytest.approx(scale * plain.after.value + shift)


def test_the_same_seed_gives_the_same_intervals_and_the_curve_is_left_alone() -> None:
    values = curve(noisy(ramp(1000, 1500, 0, 1), 0.2, seed=5))
    before = values.copy()
    assert emergence(values, seed=7) == emergence(values, seed=7)
    assert values.equals(before)


def test_uneven_checkpoints_are_fitted_in_steps_not_in_their_number() -> None:
    steps = np.array([0, 1, 2, 5, 10, 22, 46, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000])
    found = emergence(curve(ramp(200, 700, 0, 1, steps), steps))
    assert (found.onset.value, found.end.value) == (200, 700)


def test_a_long_series_is_searched_at_a_coarser_resolution() -> None:
    steps = np.arange(0, 3000, 5)
    found = emergence(curve(noisy(ramp(1000, 1500, 0, 1, steps), 0.05, seed=2), steps), n_resamples=99)
    assert found.onset.value == pytest.approx(1000, abs=40)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (curve(np.arange(7.0), STEPS[:7]), "needs 8 checkpoints or more, got 7: keep more of them"),
        (curve(np.where(STEPS == 300, np.nan, 1.0)), "1 of 41 checkpoints have no value"),
        (xr.concat([curve(ramp(100, 900, 0, 1))] * 2, dim="head"), r"one curve over `checkpoint`, got dims \('head'"),
    ],
)
def test_bad_curves_are_refused(broken: xr.DataArray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        emergence(broken)
