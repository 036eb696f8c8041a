"""Steps decide the order of checkpoints, in every result."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from grok_interp.analysis.emergence import emergence
from grok_interp.analysis.formation import formation_order
from grok_interp.analysis.fraction_of_change import fraction_of_change, half_change
from grok_interp.analysis.induction import InductionScores
from grok_interp.results.order import by_step

STEPS = [0, 200, 400, 1000]
RISING = np.array([0.0, 0.2, 0.6, 0.9])


def scores(order: list[int], *, as_strings: bool = False) -> InductionScores:
    """One head that forms at 400, and one that is strong early and weak at the last step."""
    values = np.stack([RISING, RISING[::-1]], axis=1)[:, None, :]  # checkpoint layer head
    steps = [str(STEPS[at]) if as_strings else STEPS[at] for at in order]
    coords = {"checkpoint": steps, "layer": [0], "head": [0, 1]}
    return InductionScores.of_arrays(dict.fromkeys(InductionScores.measures, values[order]), coords)


@settings(deadline=None)
@given(order=st.permutations(range(4)), as_strings=st.booleans())
def test_results_are_the_same_in_any_order(order: list[int], as_strings: bool) -> None:
    found, sorted_ = scores(order, as_strings=as_strings), scores([0, 1, 2, 3])
    assert found.dataset.identical(sorted_.dataset)
    assert found.strongest() == [(0, 0)]
    assert formation_order(found, threshold=0.5)["onset"].values.tolist() == [[400, 0]]


def test_a_step_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="step 200 is given 2 times: keep one of them"):
        scores([0, 1, 1, 3])


@pytest.mark.parametrize(("step", "message"), [("step200", "steps must be numbers"), (np.nan, "steps must be finite")])
def test_steps_that_are_no_numbers_are_refused(step: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        by_step(xr.DataArray([1.0, 2.0], {"checkpoint": [0, step]}, ["checkpoint"]))


@pytest.mark.parametrize(
    "steps",
    [
        np.array(["2026-01-01", "2026-01-02"], dtype="datetime64[ns]"),
        np.array([1, 2], dtype="timedelta64[s]"),
        np.array([False, True]),
        np.array([1 + 2j, 3]),
        np.array([np.datetime64("2026-01-01"), "5"], dtype=object),
    ],
)
def test_every_reader_of_curves_refuses_steps_of_another_kind(steps: np.ndarray) -> None:
    curve = xr.DataArray(np.linspace(0, 1, 2), {"checkpoint": steps}, ["checkpoint"])
    long = xr.DataArray(np.linspace(0, 1, 12), {"checkpoint": np.resize(steps, 12)}, ["checkpoint"])
    heads = curve.expand_dims(layer=[0], head=[0]).transpose("checkpoint", ...)
    readers: list[Callable[[], object]] = [
        lambda: by_step(curve),
        lambda: emergence(long),
        lambda: fraction_of_change(curve),
        lambda: half_change(curve),
        lambda: formation_order(heads, threshold=0.5),
        lambda: InductionScores(xr.Dataset(dict.fromkeys(InductionScores.measures, heads))),
    ]
    for read in readers:
        with pytest.raises(ValueError, match="steps must be numbers of optimizer updates, got "):
            read()


def test_unsigned_steps_are_sorted_too() -> None:
    steps = np.array([200, 100], dtype=np.uint16)
    ordered = by_step(xr.DataArray([2.0, 1.0], {"checkpoint": steps}, ["checkpoint"]))
    assert ordered["checkpoint"].to_numpy().tolist() == [100, 200] and ordered.to_numpy().tolist() == [1, 2]


def test_arrays_without_steps_are_left_as_they_are() -> None:
    plain, ordered = (
        xr.DataArray([1.0, 2.0], dims="head"),
        xr.DataArray([1.0, 2.0], {"checkpoint": [3, 5]}, ["checkpoint"]),
    )
    assert by_step(plain) is plain and by_step(ordered) is ordered
