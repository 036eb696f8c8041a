"""The store of results: incremental, checked on read, kept through Ctrl-C, shared by processes."""

import contextlib
import gzip
import json
import subprocess
import sys
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
import xarray as xr

from grok_interp.results.analyzer import Analyzer, tokens_hash
from grok_interp.results.netcdf import netcdf_of_dataset
from grok_interp.results.result import Measure, Result
from grok_interp.results.store import SAVE_EVERY, ResultStore


class Sharpness(Result):
    name = "sharpness"
    dims = ("checkpoint", "layer")
    measures: ClassVar = {"sharpness": Measure("sharpness of a layer", "nats")}


class Picture(Result):
    name = "picture"
    dims = ("x", "y")
    measures: ClassVar = {"brightness": Measure("brightness", "1")}


@dataclass
class Series:
    """Three checkpoints whose models are numbers; what was loaded is noted."""

    weights: dict[int, str] = field(default_factory=lambda: {0: "a", 7: "b", 11: "c"})
    loaded: list[int] = field(default_factory=list)

    @property
    def steps(self) -> tuple[int, ...]:
        return tuple(sorted(self.weights))

    def at(self, steps: Iterable[int], *, device: str = "cpu") -> Iterator[tuple[int, torch.Tensor]]:
        for step in steps:
            self.loaded.append(step)
            yield step, torch.tensor(float(step), device=device)

    def checksum(self, step: int) -> str:
        return self.weights[step]


def sharpness(step: int, model: torch.Tensor) -> Sharpness:
    values = model.item() + np.arange(2)[None] / 2
    coords = {"checkpoint": [step], "layer": ["low", "high"], "depth": ("layer", [3, 5])}
    return Sharpness.of_arrays({"sharpness": values}, coords, {"kind": "mean", "none": None})


def picture(step: int, model: torch.Tensor) -> Picture:
    return Picture.of_arrays({"brightness": model.numpy() + np.zeros((2, 3))}, {}, {"k": 2})


SHARPNESS = Analyzer("sharpness", Sharpness, {"n": 3}, sharpness)


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path / "results")


def evaluate(store: ResultStore, series: Series, *analyzers: Analyzer) -> list[Result]:
    return store.evaluate(analyzers or [SHARPNESS], series, steps=series.steps)


def test_each_checkpoint_is_evaluated_once(store: ResultStore) -> None:
    series = Series()
    assert store.is_empty
    (first,) = evaluate(store, series)
    (again,) = evaluate(store, series)
    assert series.loaded == [0, 7, 11] and not store.is_empty
    assert isinstance(again, Sharpness)
    xr.testing.assert_identical(again.dataset, first.dataset)
    assert again.dataset.attrs == first.dataset.attrs == {"kind": "mean", "none": None}
    np.testing.assert_array_equal(again["sharpness"], [[0, 0.5], [7, 7.5], [11, 11.5]])


def test_only_new_checkpoints_and_other_weights_are_evaluated(store: ResultStore) -> None:
    evaluate(store, Series())
    grown = Series({0: "a", 7: "other", 11: "c", 20: "d"})
    assert store.missing(SHARPNESS, grown, grown.steps) == [7, 20]
    (result,) = evaluate(store, grown)
    assert grown.loaded == [7, 20]
    assert result.dataset["checkpoint"].to_numpy().tolist() == [0, 7, 11, 20]
    (some,) = store.evaluate([SHARPNESS], grown, steps=[11, 20])
    assert some.dataset["checkpoint"].to_numpy().tolist() == [11, 20] and grown.loaded == [7, 20]


def test_other_inputs_and_other_versions_are_other_results(store: ResultStore) -> None:
    series = Series()
    for analyzer in (
        SHARPNESS,
        Analyzer("sharpness", Sharpness, {"n": 4}, sharpness),
        Analyzer("sharpness", Sharpness, {"n": 3}, sharpness, version=2),
    ):
        evaluate(store, series, analyzer)
    assert series.loaded == [0, 7, 11] * 3
    evaluate(store, series)
    assert series.loaded == [0, 7, 11] * 3, "the first ones are still stored"


def test_analyzers_share_the_loading_of_a_checkpoint(store: ResultStore) -> None:
    series = Series()
    other = Analyzer("sharpness", Sharpness, {"n": 4}, sharpness)
    evaluate(store, series)
    done: list[tuple[int, int]] = []
    store.evaluate([SHARPNESS, other], series, steps=series.steps, on_checkpoint=lambda *each: done.append(each))
    evaluate(store, series, SHARPNESS, other)
    assert series.loaded == [0, 7, 11] * 2
    assert done == [(1, 3), (2, 3), (3, 3)]


def test_a_result_without_checkpoints_is_stored_for_each(store: ResultStore) -> None:
    series, analyzer = Series(), Analyzer("picture", Picture, {}, picture)
    for step in (7, 11, 7):
        (found,) = store.evaluate([analyzer], series, steps=[step])
        assert (
            found["brightness"].dims == ("x", "y")
            and (found["brightness"] == step).all()
            and found.dataset.attrs == {"k": 2}
        )
    assert series.loaded == [7, 11]


@pytest.mark.parametrize("damage", ["cut", "flipped", "text", "empty"])
def test_a_damaged_file_is_computed_again(store: ResultStore, damage: str) -> None:
    series = Series()
    (first,) = evaluate(store, series)
    content = store.path(SHARPNESS).read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 0b0100
    damaged = {"cut": content[:-9], "flipped": bytes(flipped), "text": b"# notes", "empty": b""}[damage]
    store.path(SHARPNESS).write_bytes(damaged)
    (again,) = evaluate(store, series)
    assert series.loaded == [0, 7, 11] * 2
    assert again.dataset.equals(first.dataset)
    assert store.path(SHARPNESS).read_bytes() == content, "equal results give equal files"


def test_any_changed_bit_of_the_values_is_noticed(store: ResultStore) -> None:
    series = Series()
    evaluate(store, series)
    content = store.path(SHARPNESS).read_bytes()
    for position in range(10, len(content)):  # behind gzip's header
        changed = bytearray(content)
        changed[position] ^= 1
        store.path(SHARPNESS).write_bytes(bytes(changed))
        with contextlib.suppress(OSError, EOFError, zlib.error):
            if gzip.decompress(changed) == gzip.decompress(content):
                continue  # a few bits are another way to compress the same values
        assert store.missing(SHARPNESS, series, series.steps) == [0, 7, 11], position


def test_what_was_evaluated_before_an_interrupt_is_stored(store: ResultStore) -> None:
    series = Series({step: str(step) for step in range(SAVE_EVERY + 5)})

    def interrupted(step: int, model: torch.Tensor) -> Sharpness:
        if step == SAVE_EVERY + 2:
            raise KeyboardInterrupt
        return sharpness(step, model)

    with pytest.raises(KeyboardInterrupt):
        evaluate(store, series, Analyzer("sharpness", Sharpness, {"n": 3}, interrupted))
    assert store.missing(SHARPNESS, series, series.steps) == list(range(SAVE_EVERY + 2, SAVE_EVERY + 5))


def test_results_of_another_definition_are_not_joined(store: ResultStore) -> None:
    def other(step: int, model: torch.Tensor) -> Sharpness:
        result = sharpness(step, model)
        result.dataset.attrs["kind"] = "median"
        return result

    evaluate(store, Series())
    with pytest.raises(ValueError, match="results of another definition than now: delete it and evaluate again"):
        evaluate(store, Series({0: "a", 7: "b", 11: "c", 20: "d"}), Analyzer("sharpness", Sharpness, {"n": 3}, other))


def test_a_file_can_be_read_without_this_package(store: ResultStore) -> None:
    evaluate(store, Series())
    dataset = xr.load_dataset(store.path(SHARPNESS), engine="scipy")
    assert dataset["sharpness"].attrs["units"] == "nats"
    np.testing.assert_array_equal(dataset["sharpness"].sel(checkpoint=7), [7, 7.5])


@pytest.mark.parametrize("layout", ["an array", "another measure"])
def test_results_of_another_layout_are_computed_again(store: ResultStore, layout: str) -> None:
    series = Series()
    (first,) = evaluate(store, series)
    written = first["sharpness"].assign_coords(checksum=("checkpoint", list(series.weights.values())))
    written = written.drop_attrs().assign_attrs(attributes=json.dumps({"kind": "mean", "none": None}))
    content = bytes(written.to_netcdf(engine="scipy"))
    if layout == "another measure":
        content = netcdf_of_dataset(written.rename("dullness").to_dataset(), "sharpness")
    store.path(SHARPNESS).write_bytes(gzip.compress(content))
    (again,) = evaluate(store, series)
    assert series.loaded == [0, 7, 11] * 2 and again.dataset.equals(first.dataset)


def test_a_folder_that_cannot_be_written_keeps_nothing_and_answers(store: ResultStore, monkeypatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "read-only")

    monkeypatch.setattr("grok_interp.results.store.write_atomically", refused)
    (result,) = evaluate(store, Series())
    np.testing.assert_array_equal(result["sharpness"][:, 0], [0, 7, 11])


def test_inputs_are_named_by_shape_and_value() -> None:
    tokens = torch.arange(6)
    names = {tokens_hash(each) for each in (tokens, tokens.reshape(2, 3), tokens + 1, tokens.int())}
    assert len(names) == 4
    assert tokens_hash(tokens) == tokens_hash(torch.tensor([0, 1, 2, 3, 4, 5])) != tokens_hash(tokens, tokens)


WRITER = """
import sys
import zlib
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_store import SHARPNESS, Series
from grok_interp.results.store import ResultStore
steps = range(int(sys.argv[2]), 60, 2)
series = Series({step: str(step) for step in steps})
for step in steps:  # a save for each
    ResultStore(Path(sys.argv[1])).evaluate([SHARPNESS], series, steps=[step])
"""


def test_two_processes_write_at_once_and_lose_nothing(store: ResultStore) -> None:
    arguments = [sys.executable, "-c", WRITER, str(store.folder)]
    here = str(Path(__file__).parent)
    writers = [subprocess.Popen([*arguments, str(first), here]) for first in (0, 1)]
    assert [writer.wait() for writer in writers] == [0, 0]
    series = Series({step: str(step) for step in range(60)})
    (result,) = evaluate(store, series)
    assert series.loaded == []
    np.testing.assert_array_equal(result["sharpness"][:, 0], range(60))
