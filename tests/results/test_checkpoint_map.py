"""Checkpoints evaluated several at a time give what they give one after another."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

import pytest

from grok_interp.device import models_at_once
from grok_interp.presets import preset
from grok_interp.results.checkpoint_map import map_checkpoints


class Numbers:
    """A series whose models are numbers; it remembers how many were in memory at once."""

    steps = tuple(range(7))

    def __init__(self) -> None:
        self.loads: list[int] = []

    def at(self, steps: Iterable[int], *, device: str = "cpu") -> Iterator[tuple[int, float]]:
        for step in steps:
            self.loads.append(step)
            yield step, step / 2

    def checksum(self, step: int) -> str:
        return str(step)


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_what_is_made_comes_in_the_order_of_the_steps(at_once: int) -> None:
    series = Numbers()
    found = list(map_checkpoints(lambda step, model: (step, model), series, [5, 0, 3], device="cpu", at_once=at_once))
    assert found == [(5, 2.5), (0, 0.0), (3, 1.5)]
    assert sorted(series.loads) == [0, 3, 5]


def test_two_are_made_at_the_same_time() -> None:
    meeting = threading.Barrier(2)
    found = map_checkpoints(lambda step, _: meeting.wait(timeout=600), Numbers(), [0, 1, 2, 3], device="cpu", at_once=2)
    assert sorted(found) == [0, 0, 1, 1]  # each pair has met


@pytest.mark.parametrize("at_once", [1, 2])
def test_an_error_comes_after_what_was_made_before_it(at_once: int) -> None:
    def make(step: int, _: float) -> int:
        if step == 2:
            raise ValueError("step 2 is damaged")
        return step

    made = map_checkpoints(make, Numbers(), range(7), device="cpu", at_once=at_once)
    assert [next(made), next(made)] == [0, 1]
    with pytest.raises(ValueError, match="step 2 is damaged"):
        next(made)


def test_no_more_models_are_in_memory_than_asked_for() -> None:
    series = Numbers()
    made = map_checkpoints(lambda step, _: step, series, range(7), device="cpu", at_once=2)
    next(made)
    assert len(series.loads) <= 3  # the one that was given, and two


def test_small_models_are_evaluated_two_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joblib.cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    small, large = preset("copier-mini").n_params, preset("copier-paper").n_params
    assert models_at_once(small, "cpu") == 2
    assert models_at_once(large, "cpu") == models_at_once(small, "cuda") == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert models_at_once(small, "cpu") == 1
