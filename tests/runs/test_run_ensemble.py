"""Run directories trained in lockstep: interrupted, resumed together or alone, refused when they do not fit."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from test_run_training import interrupt_at

from grok_interp.configs import TrainConfig
from grok_interp.presets import training_preset
from grok_interp.runs.ensemble import run_ensemble
from grok_interp.runs.recorder import resume_points
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training


@pytest.fixture
def runs(tmp_path: Path) -> dict[Path, TrainConfig]:
    config = replace(training_preset("modular-tiny"), adam_eps=1e-3)
    return {tmp_path / f"seed{seed}": replace(config, init_seed=seed, data_seed=seed) for seed in range(3)}


def assert_ends_like(directory: Path, reference: Path) -> None:
    """Every checkpoint, to rounding."""
    ours, theirs = Run.open(directory), Run.open(reference)
    assert ours.steps == theirs.steps
    for (_, a), (_, b) in zip(ours, theirs, strict=True):
        pairs = zip(a.parameters(), b.parameters(), strict=True)
        assert max(float((p - q).detach().abs().max()) for p, q in pairs) < 2e-6


def test_each_directory_is_what_its_run_alone_makes_of_it(runs: dict[Path, TrainConfig], tmp_path: Path) -> None:
    run_ensemble(runs)
    for directory, config in runs.items():
        run_training(tmp_path / "alone" / directory.name, config)
        assert_ends_like(directory, tmp_path / "alone" / directory.name)
        rows = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
        assert [row["step"] for row in rows] == list(range(1, 21))


def test_an_interrupt_saves_all_and_either_way_goes_on(runs: dict[Path, TrainConfig], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_ensemble(runs, on_update=interrupt_at(7))
    assert {resume_points(directory)[0].name for directory in runs} == {"step_00000007.state"}
    first, *others = runs
    started: list[int] = []
    run_training(first, runs[first], on_start=started.append)
    run_ensemble({directory: runs[directory] for directory in others}, on_start=started.append)
    assert started == [7, 7]
    for directory, config in runs.items():
        run_training(tmp_path / "alone" / directory.name, config)
        assert_ends_like(directory, tmp_path / "alone" / directory.name)


def test_runs_that_stand_at_different_steps_are_refused_unchanged(runs: dict[Path, TrainConfig]) -> None:
    first = next(iter(runs))
    with pytest.raises(KeyboardInterrupt):
        run_training(first, runs[first], on_update=interrupt_at(7))
    before = (first / "metrics.jsonl").read_bytes()
    with pytest.raises(ValueError, match=r"these stand at \[0, 7\]: train those that are behind one by one first"):
        run_ensemble(runs)
    assert (first / "metrics.jsonl").read_bytes() == before
    assert [point.name for point in resume_points(first)] == ["step_00000007.state"]


def test_runs_of_another_shape_are_refused_before_anything_is_written(runs: dict[Path, TrainConfig]) -> None:
    *_, last = runs
    runs[last] = replace(runs[last], learning_rate=1.0)
    with pytest.raises(ValueError, match="these differ in learning_rate"):
        run_ensemble(runs)
    assert not any(directory.exists() for directory in runs)
