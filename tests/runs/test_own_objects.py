"""What a user brings to `run_training`: an optimizer, a scheduler, evaluations, early stopping, trackers."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR

from grok_interp import OwnOptimizer, Run, StopTraining, evaluations, run_training
from grok_interp.configs import TrainConfig
from grok_interp.runs.recorder import resume_points
from grok_interp.training.divergence import Update
from grok_interp.training.optimizer import schedule_factor


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def halved_every_six(optimizer: torch.optim.Optimizer) -> StepLR:
    return StepLR(optimizer, step_size=6, gamma=0.5)


def interrupt_at(step: int):
    def on_update(update: Update) -> None:
        if update.step == step:
            os.kill(os.getpid(), signal.SIGINT)  # a resume point is written, then KeyboardInterrupt is raised

    return on_update


@pytest.mark.parametrize("schedule", [None, halved_every_six])
def test_a_run_with_an_own_optimizer_resumes_with_the_same_bits(tiny: TrainConfig, tmp_path: Path, schedule) -> None:
    own = OwnOptimizer(sgd, schedule)
    for step in (7, 8):
        with pytest.raises(KeyboardInterrupt):
            run_training(tmp_path / "run", tiny, own=own, on_update=interrupt_at(step))
    killed = run_training(tmp_path / "run", tiny, own=own)
    whole = run_training(tmp_path / "whole", tiny, own=own)
    assert killed.checkpoints.checksum(20) == whole.checkpoints.checksum(20)
    assert list(killed.metrics["learning_rate"]) == list(whole.metrics["learning_rate"])


def test_rates_are_those_of_the_schedule(tiny: TrainConfig, tmp_path: Path) -> None:
    """An own one, or that of the configuration as multiples of the optimizer's own rate."""
    stepped = run_training(tmp_path / "stepped", tiny, own=OwnOptimizer(sgd, halved_every_six))
    assert list(stepped.metrics["learning_rate"]) == [0.1 * 0.5 ** (step // 6) for step in range(20)]
    followed = run_training(tmp_path / "followed", tiny, own=OwnOptimizer(sgd))
    assert list(followed.metrics["learning_rate"]) == [0.1 * schedule_factor(tiny, step) for step in range(20)]


def test_the_optimizer_is_used(tiny: TrainConfig, tmp_path: Path) -> None:
    """One update without momentum and schedule is W - 0.1 G, as plain torch makes it."""
    from grok_interp import Transformer
    from grok_interp.training.batches import open_batches

    config = replace(tiny, n_steps=1, warmup_steps=0, checkpoint_steps=(), max_grad_norm=None)
    own = OwnOptimizer(lambda model: torch.optim.SGD(model.parameters(), lr=0.1), name="sgd")
    found = run_training(tmp_path / "run", config, own=own).load(1)
    model, batches = Transformer(config.model, seed=config.init_seed), open_batches(config)
    batches.loss(model, batches.batch(0, torch.device("cpu"))).backward()
    for ours, theirs in zip(found.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs - 0.1 * theirs.grad, atol=1e-6, rtol=1e-5)


def test_a_run_is_resumed_with_its_own_optimizer_only(tiny: TrainConfig, tmp_path: Path) -> None:
    run_training(tmp_path / "own", tiny, own=OwnOptimizer(sgd))
    with pytest.raises(ValueError, match=r"is updated by .*\.sgd, and no own one was given: give the same, or another"):
        run_training(tmp_path / "own", tiny)
    run_training(tmp_path / "ours", tiny)
    with pytest.raises(ValueError, match="is updated by the optimizer of its config, and other was given"):
        run_training(tmp_path / "ours", tiny, own=OwnOptimizer(sgd, name="other"))


class Counting(torch.optim.SGD):
    """Keeps an object of its own in its state."""

    def state_dict(self) -> dict:
        return {**super().state_dict(), "state": {0: {"counter": object()}}}


def test_a_state_that_cannot_be_read_back_is_refused_and_says_why(tiny: TrainConfig, tmp_path: Path) -> None:
    own = OwnOptimizer(lambda model: Counting(model.parameters(), lr=0.1), name="counting")
    expected = r"the state of counting.*\['counter'\] of type object cannot be kept .* the run could not be resumed"
    with pytest.raises(ValueError, match=expected):
        run_training(tmp_path / "run", tiny, own=own)


def test_an_optimizer_that_needs_a_closure_is_refused(tiny: TrainConfig, tmp_path: Path) -> None:
    own = OwnOptimizer(lambda model: torch.optim.LBFGS(model.parameters()))
    with pytest.raises(ValueError, match=r"LBFGS needs a closure.*whose step\(\) needs none"):
        run_training(tmp_path / "run", tiny, own=own)
    assert not (tmp_path / "run").exists()


def test_a_scheduler_that_needs_a_measure_is_refused(tiny: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ReduceLROnPlateau needs a measure in step"):
        run_training(tmp_path / "run", tiny, own=OwnOptimizer(sgd, ReduceLROnPlateau))


# Evaluations and early stopping


def size(step: int, model) -> dict[str, float]:
    assert not model.training
    return {"norm": float(model.embed.weight.detach().norm()), "twice": 2.0 * step}


def test_what_is_evaluated_at_checkpoints_is_kept(tiny: TrainConfig, tmp_path: Path) -> None:
    run = run_training(tmp_path / "run", tiny, evaluate=size)
    found = evaluations(tmp_path / "run")
    assert list(found["step"]) == [0, 5, 10, 15, 20]
    assert list(found["twice"]) == [0.0, 10.0, 20.0, 30.0, 40.0]
    assert list(found["norm"]) == [size(step, run.load(step))["norm"] for step in run.steps]


def test_evaluations_change_no_weights_and_are_there_once_after_an_interruption(
    tiny: TrainConfig, tmp_path: Path
) -> None:
    def random(step: int, model) -> dict[str, float]:
        model.train()
        return {"drawn": float(torch.rand(()))}

    with pytest.raises(KeyboardInterrupt):
        run_training(tmp_path / "run", tiny, evaluate=random, on_update=interrupt_at(13))
    run = run_training(tmp_path / "run", tiny, evaluate=random)
    whole = run_training(tmp_path / "whole", tiny)
    assert run.checkpoints.checksum(20) == whole.checkpoints.checksum(20)
    assert list(evaluations(tmp_path / "run")["step"]) == [0, 5, 10, 15, 20]


def test_numbers_of_numpy_and_torch_are_kept_and_nan_too(tiny: TrainConfig, tmp_path: Path) -> None:
    found = {
        "float32": np.float32(0.5),
        "float64": np.float64(0.1),
        "int64": np.int64(3),
        "array": np.array(7.0),
        "tensor": torch.tensor(0.25),
        "parameter": nn.Parameter(torch.tensor(0.75)),
        "nan": float("nan"),
    }
    with pytest.raises(KeyboardInterrupt):
        run_training(tmp_path / "run", tiny, evaluate=lambda step, model: found, on_update=interrupt_at(7))
    run_training(tmp_path / "run", tiny, evaluate=lambda step, model: found)
    kept = evaluations(tmp_path / "run")
    assert list(kept["step"]) == [0, 5, 10, 15, 20]
    assert kept["nan"].isna().all()
    assert dict(kept.drop(columns=["step", "nan"]).iloc[0]) == {
        "float32": 0.5,
        "float64": 0.1,
        "int64": 3.0,
        "array": 7.0,
        "tensor": 0.25,
        "parameter": 0.75,
    }


def test_a_value_that_is_no_number_is_refused(tiny: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"names other than 'step' with numbers, got \['name'\]"):
        run_training(tmp_path / "run", tiny, evaluate=lambda step, model: {"name": "text"})


def test_early_stopping_keeps_metrics_and_a_resume_point(tiny: TrainConfig, tmp_path: Path) -> None:
    def until_ten(step: int, model) -> None:
        if step == 10:
            raise StopTraining("enough")

    run = run_training(tmp_path / "run", tiny, evaluate=until_ten)
    assert (run.steps, run.is_finished) == ((0, 5, 10), False)
    assert list(run.metrics["step"]) == list(range(1, 11))
    assert resume_points(tmp_path / "run")[0].stem == "step_00000010"
    finished = run_training(tmp_path / "run", tiny)
    assert finished.checkpoints.checksum(20) == run_training(tmp_path / "whole", tiny).checkpoints.checksum(20)


def test_a_callback_of_updates_may_stop_too(tiny: TrainConfig, tmp_path: Path) -> None:
    def on_update(update: Update) -> None:
        if update.step == 7:
            raise StopTraining

    run = run_training(tmp_path / "run", tiny, on_update=on_update)
    assert list(run.metrics["step"]) == list(range(1, 8))
    assert resume_points(tmp_path / "run")[0].stem == "step_00000007"


# Trackers


@pytest.mark.parametrize("name", ["tensorboard", "trackio"])
def test_a_tracker_that_is_not_installed_names_the_extra(
    tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name
) -> None:
    for module in ("torch.utils.tensorboard", "torch.utils.tensorboard.writer", "tensorboard", "trackio"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=rf"{name} is not installed: pip install 'grok-interp\[track\]'"):
        run_training(tmp_path / "run", tiny, track=(name,))
    assert not (tmp_path / "run").exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_shows_each_update_once_after_an_interruption(tiny: TrainConfig, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with pytest.raises(KeyboardInterrupt):
        run_training(tmp_path / "run", tiny, track=("tensorboard",), on_update=interrupt_at(13))
    run = run_training(tmp_path / "run", tiny, track=("tensorboard",), evaluate=size)
    shown = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    losses = [(event.step, event.value) for event in shown.Scalars("loss")]
    assert [step for step, _ in losses] == list(range(1, 21))
    assert [value for _, value in losses] == pytest.approx(list(run.metrics["loss"]), rel=1e-6)
    assert [event.step for event in shown.Scalars("evaluation/norm")] == [15, 20]


def test_a_tracker_gets_what_is_in_the_metrics(
    tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """trackio's three functions, as its documentation has them."""
    calls: list[tuple] = []

    class Library:
        init = staticmethod(lambda **options: calls.append(("init", options)))
        log = staticmethod(lambda values, step: calls.append((step, values)))
        finish = staticmethod(lambda: calls.append(("finish", {})))

    monkeypatch.setitem(sys.modules, "trackio", Library)
    run = run_training(tmp_path / "run", tiny, track=("trackio",))
    assert calls[0] == ("init", {"project": "grok_interp", "name": "run", "resume": "allow"})
    assert calls[-1] == ("finish", {})
    rows = run.metrics[["step", "loss", "grad_norm", "learning_rate", "tokens"]].to_dict("records")
    assert [{"step": step, **values} for step, values in calls[1:-1]] == rows


def test_float16_trains_and_resumes(tiny: TrainConfig, tmp_path: Path) -> None:
    config = replace(tiny, precision="float16")
    with pytest.raises(KeyboardInterrupt):
        run_training(tmp_path / "run", config, on_update=interrupt_at(9))
    half = run_training(tmp_path / "run", config)
    whole = run_training(tmp_path / "whole", config)
    assert half.checkpoints.checksum(20) == whole.checkpoints.checksum(20)
    single = run_training(tmp_path / "single", tiny).metrics["loss"]
    assert list(half.metrics["loss"]) == pytest.approx(list(single), rel=0.02)
    assert Run.open(tmp_path / "run").execution.precision == "float16"
