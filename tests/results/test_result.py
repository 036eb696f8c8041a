"""Results: dimensions that are checked, a file that gives back what went in, and joins along checkpoints."""

import re
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import xarray as xr

from grok_interp.results.result import Measure, Result


class Sharpness(Result):
    name = "sharpness"
    dims = ("checkpoint", "layer")
    measures: ClassVar = {"sharpness": Measure("sharpness of a layer", "nats")}


class Bluntness(Result):
    name = "bluntness"
    dims = ("checkpoint", "layer")
    measures: ClassVar = {"sharpness": Measure("sharpness of a layer", "nats")}


class Tools(Result):
    """Several measures; one of each checkpoint, one that may be undefined, one that is no number."""

    name = "tools"
    dims = ("checkpoint", "layer")
    measures: ClassVar = {
        "sharpness": Measure("sharpness of a layer", "nats"),
        "wear": Measure("wear", "fraction", ("checkpoint",)),
        "age": Measure("age", "updates", may_be_undefined=True),
    }


def sharpness(*steps: int, **attrs: object) -> Sharpness:
    """Two layers; the value is step + layer / 2."""
    values = np.array(steps)[:, None] + np.arange(2) / 2
    coords = {"checkpoint": list(steps), "layer": np.arange(2)}
    attributes = {"seed": 2**40, "kind": "x", "none": None, "flag": True, **attrs}
    return Sharpness.of_arrays({"sharpness": values}, coords, attributes)


def tools() -> Tools:
    arrays = {"sharpness": [[0.5, 0.25], [2, 1e-6]], "wear": [0.125, 0.75], "age": [[1, 2], [3, np.nan]]}
    return Tools.of_arrays(arrays, {"checkpoint": [0, 2000], "layer": [0, 1]})


def test_a_saved_result_is_loaded_as_it_was(tmp_path: Path) -> None:
    result = sharpness(0, 7, 11, share=0.25, definition="mean, in nats")
    result.save(tmp_path / "new" / "sharpness.nc")
    loaded = Sharpness.load(tmp_path / "new" / "sharpness.nc")
    assert isinstance(loaded, Sharpness)
    xr.testing.assert_identical(loaded.dataset, result.dataset)


def test_missing_values_and_words_survive_the_file(tmp_path: Path) -> None:
    words = Sharpness.of_arrays({"sharpness": [[np.nan, 0.5]]}, {"checkpoint": [4], "layer": ["low", "high"]})
    words.save(tmp_path / "words.nc")
    loaded = Sharpness.load(tmp_path / "words.nc")["sharpness"]
    assert np.isnan(loaded.sel(layer="low")).all() and loaded.sel(checkpoint=4, layer="high") == 0.5


def test_saving_again_replaces_the_file_and_leaves_no_other(tmp_path: Path) -> None:
    for steps in ((0, 7), (0, 7, 11)):
        sharpness(*steps).save(tmp_path / "sharpness.nc")
    assert Sharpness.load(tmp_path / "sharpness.nc").dataset["checkpoint"].to_numpy().tolist() == [0, 7, 11]
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
    xr.testing.assert_identical(joined.dataset, sharpness(0, 10, 20, 30).dataset)
    assert isinstance(joined, Sharpness)


def test_a_loaded_result_is_extended_by_a_fresh_one(tmp_path: Path) -> None:
    sharpness(0, 20).save(tmp_path / "sharpness.nc")
    joined = Sharpness.load(tmp_path / "sharpness.nc").extended(sharpness(10))
    xr.testing.assert_equal(joined.dataset, sharpness(0, 10, 20).dataset)


def test_results_of_two_definitions_are_not_joined() -> None:
    with pytest.raises(ValueError, match=r"results of two definitions: .*'seed': 1099511627776.*'seed': 4"):
        sharpness(0).extended(sharpness(10, seed=4))


def test_results_over_other_layers_are_not_joined() -> None:
    with pytest.raises(ValueError, match="layer"):
        sharpness(0).extended(Sharpness(sharpness(10).dataset.isel(layer=[0])))


def test_joining_changes_neither_part() -> None:
    first, second = sharpness(20), sharpness(10)
    first.extended(second)
    xr.testing.assert_identical(first.dataset, sharpness(20).dataset)
    xr.testing.assert_identical(second.dataset, sharpness(10).dataset)


def test_a_frame_has_one_row_per_cell_and_the_value_last() -> None:
    frame = sharpness(0, 7).to_frame()
    assert list(frame.columns) == ["checkpoint", "layer", "sharpness"]
    assert frame.to_numpy().tolist() == [[0, 0, 0], [0, 1, 0.5], [7, 0, 7], [7, 1, 7.5]]


@pytest.mark.parametrize("dims", [("layer", "checkpoint"), ("checkpoint", "head")])
def test_other_dimensions_are_refused(dims: tuple[str, str]) -> None:
    message = r"Sharpness has dims \('checkpoint', 'layer'\) for 'sharpness', got \('(layer|checkpoint)'"
    with pytest.raises(ValueError, match=message):
        Sharpness(xr.Dataset({"sharpness": (dims, np.zeros((2, 3)))}))


def test_other_measures_are_refused_and_named() -> None:
    with pytest.raises(ValueError, match="Tools has the measures sharpness, wear, age, got sharpness"):
        Tools(sharpness(0).dataset)
    with pytest.raises(ValueError, match="Sharpness has the measures sharpness, got none"):
        Sharpness(xr.Dataset())
    with pytest.raises(KeyError, match="no 'dullness' in this result, it has sharpness, wear, age"):
        tools()["dullness"]


def test_every_measure_has_its_units_and_nothing_else(tmp_path: Path) -> None:
    given = sharpness(0).dataset
    given["sharpness"].attrs.update(units="bits", note="as measured")
    result = Sharpness(given)
    assert result["sharpness"].attrs == {"units": "nats", "long_name": "sharpness of a layer"}
    assert given["sharpness"].attrs["units"] == "bits", "what is given stays as it is"
    result.save(tmp_path / "sharpness.nc")
    with xr.open_dataset(tmp_path / "sharpness.nc", engine="scipy") as read:
        assert read["sharpness"].attrs == result["sharpness"].attrs


def test_a_frame_has_a_column_for_each_measure() -> None:
    frame = tools().to_frame()
    assert list(frame.columns) == ["checkpoint", "layer", "sharpness", "wear", "age"]
    assert frame.iloc[:3].to_numpy().tolist() == [[0, 0, 0.5, 0.125, 1], [0, 1, 0.25, 0.125, 2], [2000, 0, 2, 0.75, 3]]


def test_values_that_may_be_undefined_are_no_fault() -> None:
    result = tools()
    assert result.not_finite() == () and str(result) == repr(result) == "tools: 2 checkpoint x 2 layer"
    result["wear"][1] = np.nan
    assert result.not_finite() == (2000,) and str(result).endswith("; NOT FINITE at step 2,000")


def test_a_notebook_shows_a_table_with_units() -> None:
    page = tools()._repr_html_()
    heads, cells = (re.findall(rf"<{tag}>(.*?)</{tag}>", page) for tag in ("th", "td"))
    assert heads == ["checkpoint", "layer", "sharpness of a layer (nats)", "wear (fraction)", "age (updates)"]
    assert cells[:5] == ["0", "0", "0.5", "0.125", "1"] and cells[-5:] == ["2000", "1", "1e-06", "0.75", "NaN"]
    assert "<p>tools: 2 checkpoint x 2 layer</p>" in page


def test_the_table_of_a_large_result_has_its_first_and_last_cells() -> None:
    page = sharpness(*range(1000))._repr_html_()
    cells = re.findall("<td>(.*?)</td>", page)
    assert cells[::3] == ["0", "0", "1", "1", "2", "997", "998", "998", "999", "999"] and cells[-1] == "999.5"
    assert "(10 of 2,000 cells)" in page


def test_a_result_is_frozen() -> None:
    with pytest.raises(AttributeError, match="cannot assign to field 'dataset'"):
        sharpness(0).dataset = sharpness(1).dataset
