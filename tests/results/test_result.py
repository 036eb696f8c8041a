"""Labelled results: dimensions that are checked, a file that gives back what went in, and joins along checkpoints."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from grok_interp.results.result import LabelledResult


class Sharpness(LabelledResult):
    name = "sharpness"
    dims = ("checkpoint", "layer")


class Bluntness(LabelledResult):
    name = "bluntness"
    dims = ("checkpoint", "layer")


def sharpness(*steps: int, **attrs: object) -> Sharpness:
    """Two layers; the value is step + layer / 2."""
    values = np.array(steps)[:, None] + np.arange(2) / 2
    coords = {"checkpoint": list(steps), "layer": np.arange(2)}
    return Sharpness(
        xr.DataArray(
            values,
            dims=Sharpness.dims,
            coords=coords,
            attrs={"seed": 2**40, "kind": "x", "none": None, "flag": True, **attrs},
        )
    )


def test_a_saved_result_is_loaded_as_it_was(tmp_path: Path) -> None:
    result = sharpness(0, 7, 11, share=0.25, definition="mean, in nats")
    result.save(tmp_path / "new" / "sharpness.nc")
    loaded = Sharpness.load(tmp_path / "new" / "sharpness.nc")
    assert isinstance(loaded, Sharpness)
    xr.testing.assert_identical(loaded.array, result.array.rename("sharpness"))


def test_missing_values_and_words_survive_the_file(tmp_path: Path) -> None:
    words = xr.DataArray([[np.nan, 0.5]], dims=Sharpness.dims, coords={"checkpoint": [4], "layer": ["low", "high"]})
    Sharpness(words).save(tmp_path / "words.nc")
    loaded = Sharpness.load(tmp_path / "words.nc").array
    assert np.isnan(loaded.sel(layer="low")).all() and loaded.sel(checkpoint=4, layer="high") == 0.5


def test_saving_again_replaces_the_file_and_leaves_no_other(tmp_path: Path) -> None:
    for steps in ((0, 7), (0, 7, 11)):
        sharpness(*steps).save(tmp_path / "sharpness.nc")
    assert Sharpness.load(tmp_path / "sharpness.nc").array["checkpoint"].to_numpy().tolist() == [0, 7, 11]
    assert [file.name for file in tmp_path.iterdir()] == ["sharpness.nc"]


def test_a_file_of_another_quantity_is_refused(tmp_path: Path) -> None:
    sharpness(0).save(tmp_path / "sharpness.nc")
    with pytest.raises(ValueError, match="sharpness.nc holds 'sharpness', not 'bluntness'"):
        Bluntness.load(tmp_path / "sharpness.nc")


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.nc", tmp_path / "cut.nc"
    sharpness(0, 7).save(whole)
    content = whole.read_bytes()
    for length in range(0, len(content), 3):
        cut.write_bytes(content[:length])
        with pytest.raises(ValueError, match="cut.nc is not a result file, or it is damaged .* delete it and analyze"):
            Sharpness.load(cut)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.nc").write_text("# these are notes\n" * 50)
    with pytest.raises(ValueError, match="notes.nc is not a result file"):
        Sharpness.load(tmp_path / "notes.nc")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent.nc"):
        Sharpness.load(tmp_path / "absent.nc")


def test_results_are_joined_and_sorted_by_checkpoint() -> None:
    joined = sharpness(0, 20).extended(sharpness(30), sharpness(10))
    xr.testing.assert_identical(joined.array, sharpness(0, 10, 20, 30).array)
    assert isinstance(joined, Sharpness)


def test_a_loaded_result_is_extended_by_a_fresh_one(tmp_path: Path) -> None:
    sharpness(0, 20).save(tmp_path / "sharpness.nc")
    joined = Sharpness.load(tmp_path / "sharpness.nc").extended(sharpness(10))
    xr.testing.assert_equal(joined.array, sharpness(0, 10, 20).array)


def test_results_of_two_definitions_are_not_joined() -> None:
    with pytest.raises(ValueError, match=r"results of two definitions: .*'seed': 1099511627776.*'seed': 4"):
        sharpness(0).extended(sharpness(10, seed=4))


def test_results_over_other_layers_are_not_joined() -> None:
    with pytest.raises(ValueError, match="layer"):
        sharpness(0).extended(Sharpness(sharpness(10).array.isel(layer=[0])))


def test_joining_changes_neither_part() -> None:
    first, second = sharpness(20), sharpness(10)
    first.extended(second)
    xr.testing.assert_identical(first.array, sharpness(20).array)
    xr.testing.assert_identical(second.array, sharpness(10).array)


def test_a_frame_has_one_row_per_cell_and_the_value_last() -> None:
    frame = sharpness(0, 7).to_frame()
    assert list(frame.columns) == ["checkpoint", "layer", "sharpness"]
    assert frame.to_numpy().tolist() == [[0, 0, 0], [0, 1, 0.5], [7, 0, 7], [7, 1, 7.5]]


@pytest.mark.parametrize("dims", [("layer", "checkpoint"), ("checkpoint", "head")])
def test_other_dimensions_are_refused(dims: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match=r"Sharpness has dims \('checkpoint', 'layer'\), got \('(layer|checkpoint)'"):
        Sharpness(xr.DataArray(np.zeros((2, 3)), dims=dims))


def test_a_result_is_frozen() -> None:
    with pytest.raises(AttributeError, match="cannot assign to field 'array'"):
        sharpness(0).array = sharpness(1).array
