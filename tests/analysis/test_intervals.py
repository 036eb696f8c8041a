"""Wilson's interval against its closed form, and where it is not defined."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from grok_interp.analysis.intervals import wilson_interval, with_bounds


@settings(deadline=None, max_examples=30)
@given(n=st.integers(1, 700), fraction=st.floats(0, 1), confidence=st.sampled_from([0.5, 0.95, 0.99]))
def test_the_interval_is_wilsons_formula(n: int, fraction: float, confidence: float) -> None:
    p, z = round(fraction * n) / n, norm.ppf((1 + confidence) / 2)
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    low, high = wilson_interval(np.array(p), n, confidence=confidence)
    np.testing.assert_allclose([low, high], [middle - half, middle + half], atol=1e-12)
    assert 0 <= low <= p <= high <= 1


def test_each_proportion_gets_its_own_interval_and_nan_has_none() -> None:
    found = wilson_interval(np.array([[0.5, np.nan, 1.0]]), 10)
    np.testing.assert_allclose(found[:, 0, [0, 2]], [[0.2366, 0.7225], [0.7634, 1.0]], atol=1e-4)
    assert np.isnan(found[:, 0, 1]).all()


@pytest.mark.parametrize(("proportion", "n"), [(0.5, 0), (1.5, 10), (-0.1, 10)])
def test_what_is_no_proportion_is_refused(proportion: float, n: int) -> None:
    with pytest.raises(ValueError, match=f"n of 1 or more and proportions between 0 and 1, got n = {n}"):
        wilson_interval(np.array([proportion]), n)


def test_bounds_keep_the_labels() -> None:
    found = with_bounds(xr.DataArray([0.0, 0.3], dims="checkpoint", coords={"checkpoint": [7, 11]}), 10)
    assert found.dims == ("bound", "checkpoint") and found["checkpoint"].to_numpy().tolist() == [7, 11]
    assert float(found.sel(bound="high", checkpoint=7)) == pytest.approx(0.2775, abs=1e-4)
