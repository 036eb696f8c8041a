"""Divergence ends a run before anything that is not finite is kept, and the message says what is good."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from grok_interp.cli import main
from grok_interp.configs import TrainConfig
from grok_interp.models.transformer import Transformer
from grok_interp.runs.checkpoint_files import load_state
from grok_interp.runs.ensemble import run_ensemble
from grok_interp.runs.recorder import resume_points
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.training.batches import open_batches
from grok_interp.training.divergence import UPDATES_AT_ONCE, DivergedError, FiniteCheck, Update
from grok_interp.training.ensemble import train_ensemble
from grok_interp.training.loop import train
from grok_interp.training.state import TrainingState


@pytest.fixture
def diverging(tiny: TrainConfig) -> TrainConfig:
    return replace(tiny, learning_rate=1e4, n_steps=120, warmup_steps=0, checkpoint_steps=(0, 10, 20, 30, 40))


def is_finite(model: Transformer) -> bool:
    return all(bool(weight.isfinite().all()) for weight in model.parameters())


def kept_states_are_finite(directory: Path) -> bool:
    states = [load_state(path, torch.device("cpu")) for path in resume_points(directory)]
    return all(bool(tensor.isfinite().all()) for state in states for tensor in state["model"].values())


def test_the_loop_yields_no_model_that_is_not_finite(diverging: TrainConfig) -> None:
    seen: list[tuple[int, bool]] = []
    with pytest.raises(DivergedError, match="training diverged: the .* at step .* lower learning_rate"):
        for step, model in train(diverging):
            seen.append((step, is_finite(model)))
    assert seen[0] == (0, True) and all(finite for _, finite in seen) and seen[-1][0] < 120


@pytest.mark.parametrize("resume_seconds", [0.0, 1000.0])
def test_a_run_keeps_what_is_finite_and_names_the_last_good_checkpoint(
    diverging: TrainConfig, tmp_path: Path, resume_seconds: float
) -> None:
    with pytest.raises(DivergedError) as raised:
        run_training(tmp_path / "run", diverging, resume_seconds=resume_seconds)
    run = Run.open(tmp_path / "run")
    assert all(is_finite(model) for _, model in run) and (last := run.steps[-1]) < 40
    assert f"The last good checkpoint is step {last}: {run.checkpoints.path(last)}" in str(raised.value)
    assert kept_states_are_finite(tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert all(abs(row[name]) < float("inf") for row in rows for name in ("loss", "grad_norm"))
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))


def test_a_single_update_is_checked_too(tiny: TrainConfig, tmp_path: Path) -> None:
    """Its own loss is finite: that of the weights before it."""
    config = replace(tiny, learning_rate=1e38, n_steps=1, warmup_steps=0, checkpoint_steps=(0,))
    with pytest.raises(DivergedError, match="not finite after the update to step 1; .* last good checkpoint is step 0"):
        run_training(tmp_path / "run", config)
    assert Run.open(tmp_path / "run").steps == (0,)
    assert not resume_points(tmp_path / "run")


@pytest.mark.parametrize("resume_seconds", [0.0, 1000.0])
def test_weights_that_overflow_every_norm_are_not_kept(
    tiny: TrainConfig, tmp_path: Path, resume_seconds: float
) -> None:
    """They are finite, and so is their loss: a norm makes 0 of a stream whose squares overflow."""
    config = replace(tiny, learning_rate=1e30, n_steps=1, warmup_steps=0, checkpoint_steps=(0, 1))
    message = "the squares of the residual stream are not finite after the update to step 1; .* last good .* step 0"
    with pytest.raises(DivergedError, match=message):
        run_training(tmp_path / "run", config, resume_seconds=resume_seconds)
    assert Run.open(tmp_path / "run").steps == (0,) and not resume_points(tmp_path / "run")
    with pytest.raises(DivergedError, match=r"^member 0 .*squares of the residual stream are not finite"):
        list(train_ensemble([config, replace(config, init_seed=7)]))


def test_the_command_exits_with_the_message(text_file: Path, own_cache: Path, tmp_path: Path, capsys) -> None:
    options = ["--data.source", str(text_file), "--n-steps", "1", "--learning-rate", "1e38", "--warmup-steps", "0"]
    assert main(["train", "copier-tiny", "--run", str(tmp_path / "run"), *options, "--checkpoint-steps", "0"]) == 2
    assert "grok-interp: training diverged: " in capsys.readouterr().err


def test_members_in_lockstep_are_checked_and_named(diverging: TrainConfig, tmp_path: Path) -> None:
    good = replace(diverging, init_seed=3)
    runs = {tmp_path / "a": good, tmp_path / "b": replace(good, init_seed=4)}
    with pytest.raises(DivergedError, match=r"/[ab]: training diverged: .* last good checkpoint is step 0: .*step_0"):
        run_ensemble(runs)
    for directory in runs:
        assert all(is_finite(model) for _, model in Run.open(directory))


def test_a_member_says_which_one_it_is(diverging: TrainConfig) -> None:
    configs = [diverging, replace(diverging, init_seed=7)]
    with pytest.raises(DivergedError, match=r"^member [01] \(init_seed [07]\): training diverged: "):
        list(train_ensemble(configs))


@pytest.mark.parametrize(("loss", "norm"), [(float("nan"), 1.0), (1.0, float("inf")), (float("inf"), 1.0)])
def test_a_passing_infinity_is_not_passed_over(tiny: TrainConfig, loss: float, norm: float) -> None:
    """Found when the numbers are read, at most 50 updates later, and always before a checkpoint."""
    state = TrainingState(tiny)
    check = FiniteCheck.of(state, open_batches(tiny))
    good, bad = (Update(step, torch.tensor(a), torch.tensor(b), 0.1) for step, a, b in ((1, 2.0, 1.0), (2, loss, norm)))
    check.note(good)
    check.note(bad)
    with pytest.raises(DivergedError, match=f"is {loss if norm == 1 else norm} at step 2"):
        check.require_finite()
    check.require_finite()
    check.note(bad)
    for _ in range(UPDATES_AT_ONCE - 2):
        check.note(good)
    with pytest.raises(DivergedError, match="at step 2"):
        check.note(good)


def test_the_check_changes_nothing(tiny: TrainConfig) -> None:
    state = TrainingState(tiny)
    state.model.train()
    before = {name: tensor.clone() for name, tensor in state.model.state_dict().items()}
    random = torch.get_rng_state()
    FiniteCheck.of(state, open_batches(tiny)).require_finite()
    assert state.model.training and torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(tensor, before[name]) for name, tensor in state.model.state_dict().items())
    assert all(parameter.grad is None for parameter in state.model.parameters())
