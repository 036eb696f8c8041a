"""A run that was begun goes on under another configuration where no update that was made would be another."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from grok_interp import Run, run_training
from grok_interp.cli import main
from grok_interp.configs import TrainConfig
from grok_interp.training.divergence import Update


def stop_at(step: int):
    def on_update(update: Update) -> None:
        if update.step == step:
            os.kill(os.getpid(), signal.SIGINT)  # a resume point is written, then KeyboardInterrupt is raised

    return on_update


@pytest.fixture
def constant(tiny: TrainConfig) -> TrainConfig:
    return replace(tiny, final_factor=1.0)


def weights_after(run: Run, step: int) -> str:
    return run.checkpoints.checksum(step)


def test_a_finished_run_is_extended_at_a_constant_rate(constant: TrainConfig, tmp_path: Path) -> None:
    run_training(tmp_path / "run", constant)
    longer = replace(constant, n_steps=40, checkpoint_steps=(*constant.checkpoint_steps, 30))
    started: list[int] = []
    extended = run_training(tmp_path / "run", longer, on_start=started.append)
    whole = run_training(tmp_path / "whole", longer)
    assert started == [20]
    assert extended.steps == (0, 5, 10, 15, 20, 30, 40)
    assert [weights_after(extended, step) for step in (20, 30, 40)] == [
        weights_after(run_training(tmp_path / "run", longer), 20),
        weights_after(whole, 30),
        weights_after(whole, 40),
    ]
    assert list(extended.metrics["loss"]) == list(whole.metrics["loss"])
    assert extended.is_finished and extended.config == longer
    assert extended.record["changes"] == [
        {"step": 20, "n_steps": [20, 40], "checkpoint_steps": [[0, 5, 10, 15, 20], [0, 5, 10, 15, 20, 30]]}
    ]


def test_the_command_extends_a_run(constant: TrainConfig, tmp_path: Path) -> None:
    source = ["--data.source", constant.data.source, "--final-factor", "1", "--quiet"]
    train = ["train", "copier-tiny", "--run", str(tmp_path / "run"), *source]
    assert main(train) == 0
    assert main([*train, "--n-steps", "40"]) == 0
    assert Run.open(tmp_path / "run").steps[-1] == 40


def test_a_schedule_that_falls_cannot_be_extended(tiny: TrainConfig, tmp_path: Path, capsys) -> None:
    run_training(tmp_path / "run", tiny)
    expected = "n_steps: 20 there, 40 asked.*the learning rates of the 20 updates made would be others.*final_factor 1"
    with pytest.raises(ValueError, match=expected):
        run_training(tmp_path / "run", replace(tiny, n_steps=40))
    assert Run.open(tmp_path / "run").config == tiny


def test_a_run_that_was_not_trained_yet_may_change_its_schedule(tiny: TrainConfig, tmp_path: Path) -> None:
    Run.create(tmp_path / "run", tiny)
    run_training(tmp_path / "run", replace(tiny, n_steps=24))
    assert Run.open(tmp_path / "run").steps[-1] == 24


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_steps": 7}, "it has reached step 12"),
        ({"checkpoint_steps": (3, 4, 15)}, r"no checkpoint was kept at steps \[3, 4\], which are over"),
        ({"batch_size": 8, "n_steps": 40}, "of a run only n_steps, checkpoint_steps, micro_batch_size may change"),
    ],
)
def test_what_is_over_cannot_be_changed(constant: TrainConfig, tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_training(tmp_path / "run", constant, on_update=stop_at(12))
    with pytest.raises(ValueError, match=message):
        run_training(tmp_path / "run", replace(constant, **change))


def test_dropout_masks_depend_on_the_length_of_the_run(constant: TrainConfig, tmp_path: Path) -> None:
    config = constant.with_model(attn_dropout=0.1)
    run_training(tmp_path / "run", config)
    with pytest.raises(ValueError, match="dropout masks depend on n_steps"):
        run_training(tmp_path / "run", replace(config, n_steps=40))


def test_another_micro_batch_size_changes_rounding_alone(tiny: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_training(tmp_path / "run", tiny, on_update=stop_at(12))
    changed = run_training(tmp_path / "run", replace(tiny, micro_batch_size=2))
    whole = run_training(tmp_path / "whole", tiny)
    for ours, theirs in zip(changed.load(20).parameters(), whole.load(20).parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-3)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["changes"] == [
        {"step": 12, "micro_batch_size": [None, 2]}
    ]
