"""Emergence: change points that are known, curves that have none, and intervals that hold what they should."""

import ground_truth
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from grok_interp.analysis.emergence import emergence, ramps_between

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


@pytest.mark.parametrize("drift", [1e-4, -1e-4])
def test_what_creeps_on_after_its_rise_has_risen_before(drift: float) -> None:
    creeping = ramp(800, 1300, 0.05, 0.5) + drift * np.maximum(STEPS - 1300, 0)
    exact = emergence(curve(creeping))
    assert (exact.onset.value, exact.end.value) == (800, 1300)
    np.testing.assert_allclose((exact.before.value, exact.after.value), (0.05, 0.5))
    found = emergence(curve(noisy(creeping, 0.02, seed=4)))
    assert found.onset.low <= 800 <= found.onset.high
    assert found.onset.high - found.onset.low <= 400


def test_a_slow_beginning_is_not_taken_for_the_rise() -> None:
    """The drift is slower than the rise by definition, so the steep part is the rise, wherever it stands."""
    late = 2e-6 * STEPS + ramp(3000, 3500, 0, 0.5)
    assert emergence(curve(noisy(late, 0.01, seed=6))).onset.value == pytest.approx(3000, abs=200)


def test_the_fit_is_the_best_of_all_candidates_by_brute_force() -> None:
    steps = np.array([0.0, 1, 3, 10, 20, 35, 50, 80, 90])
    values = np.random.default_rng(8).standard_normal(len(steps)).cumsum()
    errors = {}
    for at, onset in enumerate(steps):
        for end in steps[at + 1 :]:
            rises = np.clip((steps - onset) / (end - onset), 0, 1)
            drifts = np.maximum(steps - end, 0)
            for columns in ([rises, drifts], [rises]):
                design = np.column_stack([np.ones(len(steps)), *columns])
                weights, *_ = np.linalg.lstsq(design, values, rcond=None)
                if len(columns) == 1 or abs(weights[2]) < abs(weights[1]) / (end - onset):
                    error = ((values - design @ weights) ** 2).sum()
                    errors[onset, end] = min(error, errors.get((onset, end), np.inf))
    best = ramps_between(steps).fit(values[None])[0]
    assert tuple(best[:2]) == min(errors, key=lambda ends: errors[ends])
    total = ((values - values.mean()) ** 2).sum()
    assert total - best[-1] == pytest.approx(min(errors.values()))


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
