"""Shares of a curve's own way, whatever its height, sign and direction."""

import ground_truth
import numpy as np
import pytest
import xarray as xr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from grok_interp.analysis.fraction_of_change import fraction_of_change, half_change

STEPS = [0, 10, 40, 50]


def curve(*values: float) -> xr.DataArray:
    return ground_truth.labeled(np.array(values), ("checkpoint",), {"checkpoint": STEPS})


@pytest.mark.parametrize(
    ("values", "shares", "middle"),
    [
        ((0.0, 0.25, 0.75, 1.0), (0, 0.25, 0.75, 1), 40),
        ((4.0, 2.0, 1.5, 1.0), (0, 2 / 3, 5 / 6, 1), 10),  # a loss makes its way down
        ((1.0, 1.0, 1.0, 3.0), (0, 0, 0, 1), 50),
        ((0.0, 3.0, -1.0, 2.0), (0, 1.5, -0.5, 1), 10),  # noise passes the last value and the first
        ((0.0, 0.5, 0.2, 1.0), (0, 0.5, 0.2, 1), 10),  # half is enough, the first time counts
    ],
)
def test_shares_and_half_changes_read_by_eye(values: tuple, shares: tuple, middle: int) -> None:
    np.testing.assert_allclose(fraction_of_change(curve(*values)), shares)
    assert half_change(curve(*values)) == middle


def test_a_curve_that_ends_where_it_began_has_no_half_change() -> None:
    flat = curve(1.0, 0.2, 3.0, 1.0)
    assert np.isnan(fraction_of_change(flat)).all()
    assert np.isnan(half_change(flat))


@settings(deadline=None)
@given(
    values=st.lists(st.floats(-10, 10, width=32), min_size=4, max_size=4),
    slope=st.sampled_from([-3.0, -0.5, 0.25, 7.0]),
    shift=st.floats(-5, 5),
)
def test_height_scale_and_direction_do_not_matter(values: list[float], slope: float, shift: float) -> None:
    assume(abs(values[-1] - values[0]) > 0.1)
    plain, changed = fraction_of_change(curve(*values)), fraction_of_change(slope * curve(*values) + shift)
    np.testing.assert_allclose(changed, plain, atol=1e-9)
    assert (plain[0], plain[-1]) == (0, 1)


def test_the_order_of_the_checkpoints_does_not_matter() -> None:
    shuffled = curve(0.0, 0.25, 0.75, 1.0).isel(checkpoint=[3, 0, 2, 1])
    np.testing.assert_allclose(fraction_of_change(shuffled), [0, 0.25, 0.75, 1])
    assert half_change(shuffled) == 40


def test_other_dimensions_are_kept_and_each_makes_its_own_way() -> None:
    together = xr.concat([curve(0.0, 1.0, 2.0, 4.0), curve(5.0, 5.0, 5.0, 5.0)], dim="head")
    shares = fraction_of_change(together)
    np.testing.assert_allclose(shares.isel(head=0), [0, 0.25, 0.5, 1])
    assert np.isnan(shares.isel(head=1)).all()
