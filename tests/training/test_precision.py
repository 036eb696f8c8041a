"""Precision of a training step: resolved once, and equal to float32 within its rounding."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from grok_interp.checksums import with_sha256
from grok_interp.models.transformer import Transformer
from grok_interp.presets import training_preset
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.training.batches import open_batches
from grok_interp.training.divergence import DivergedError
from grok_interp.training.execution import Execution
from grok_interp.training.loop import Update, train_step
from grok_interp.training.precision import autocast, multiplies_bfloat16, resolve_precision
from grok_interp.training.state import TrainingState

CPU = torch.device("cpu")
MUON = dict(optimizer="muon", muon_learning_rate=0.02)


def test_auto_is_bfloat16_where_the_processor_multiplies_it() -> None:
    assert resolve_precision("auto", CPU) == ("bfloat16" if multiplies_bfloat16(CPU) else "float32")
    assert resolve_precision("float32", CPU) == "float32"
    assert resolve_precision("bfloat16", CPU) == "bfloat16"


@pytest.mark.parametrize("name", ["copier-tiny", "modular-tiny"])
def test_loss_and_gradient_norm_in_bfloat16_are_those_of_float32(name: str) -> None:
    updates = []
    for precision in ("float32", "bfloat16"):
        config = replace(training_preset(name), precision=precision, **MUON)
        state, batches = TrainingState(config), open_batches(config)
        updates.append(train_step(state, batches.batch(0, CPU), batches.loss))
    exact, half = updates
    assert half.loss == pytest.approx(float(exact.loss), rel=2e-3)
    assert half.grad_norm == pytest.approx(float(exact.grad_norm), rel=2e-2)


def test_attention_stays_in_float32_under_autocast_on_a_cpu() -> None:
    model = Transformer(training_preset("copier-tiny").model, seed=0)
    seen: dict[str, torch.dtype] = {}
    names = ("blocks.0.attn.hook_q", "blocks.0.attn.hook_z", "blocks.0.mlp.hook_pre")
    hooks = [(name, lambda value, hook, name=name: seen.update({name: value.dtype})) for name in names]
    with autocast(CPU, "bfloat16"):
        model.run_with_hooks(torch.arange(12).view(2, 6), fwd_hooks=hooks)
    assert list(seen.values()) == [torch.float32, torch.float32, torch.bfloat16]


def stop(update: Update) -> None:
    """After a resume point, with which a run keeps its folder."""
    if update.step == 2:
        raise KeyboardInterrupt


def test_a_run_keeps_the_precision_that_it_was_begun_with(tmp_path: Path) -> None:
    config = replace(training_preset("copier-tiny"), precision="auto")
    with pytest.raises(KeyboardInterrupt):
        run_training(tmp_path / "run", config, resume_seconds=0, on_update=stop)
    recorded = Run.open(tmp_path / "run").execution
    assert recorded == Execution.resolve(config, device="cpu", compiled=False)
    other = "bfloat16" if recorded.precision == "float32" else "float32"
    file = tmp_path / "run" / "config.json"
    edited = {**json.loads(file.read_text()), "execution": asdict(recorded) | {"precision": other}}
    file.write_text(json.dumps(with_sha256(edited)))
    for point in (tmp_path / "run" / "resume").glob("*.state"):
        point.unlink()  # its first update was of the recorded precision
    resumed = run_training(tmp_path / "run", config).load(config.n_steps)
    expected = run_training(tmp_path / "other", replace(config, precision=other)).load(config.n_steps)
    assert all(torch.equal(*pair) for pair in zip(resumed.parameters(), expected.parameters(), strict=True))


def test_threads_are_those_of_the_run_while_it_trains_and_the_callers_afterwards(tmp_path: Path) -> None:
    before, during = torch.get_num_threads(), []
    torch.set_num_threads(2)
    try:
        config = training_preset("copier-tiny")
        run_training(tmp_path / "run", config, on_update=lambda _: during.append(torch.get_num_threads()))
        assert set(during) == {Run.open(tmp_path / "run").execution.n_threads}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


# float16


def set_scale(state: TrainingState, scale: float) -> None:
    state.scaler.load_state_dict({**state.scaler.state_dict(), "scale": scale})


def test_an_update_that_overflows_is_left_out_and_halves_the_scale() -> None:
    config = replace(training_preset("copier-tiny"), precision="float16")
    state, batches = TrainingState(config), open_batches(config)
    set_scale(state, 2.0**120)  # far above what float16 holds: every gradient overflows
    before = {name: weight.clone() for name, weight in state.model.state_dict().items()}
    update = train_step(state, batches.batch(0, CPU), batches.loss)
    assert (update.step, float(update.grad_norm)) == (1, 0.0)
    assert all(torch.equal(weight, before[name]) for name, weight in state.model.state_dict().items())
    assert state.scaler.get_scale() == 2.0**119


def test_a_gradient_that_is_never_finite_ends_the_run() -> None:
    config = replace(training_preset("copier-tiny"), precision="float16")
    state, batches = TrainingState(config), open_batches(config)

    def broken(model, batch):
        return batches.loss(model, batch) * torch.inf

    set_scale(state, 1.0)
    with pytest.raises(DivergedError, match="at step 1 the gradient is not finite at any loss scale"):
        train_step(state, batches.batch(0, CPU), broken)


def test_loss_and_gradient_norm_in_float16_are_those_of_float32() -> None:
    updates = []
    for precision in ("float32", "float16"):
        config = replace(training_preset("copier-tiny"), precision=precision, **MUON)
        state, batches = TrainingState(config), open_batches(config)
        updates.append(train_step(state, batches.batch(0, CPU), batches.loss))
    exact, half = updates
    assert half.loss == pytest.approx(float(exact.loss), rel=1e-3)
    assert half.grad_norm == pytest.approx(float(exact.grad_norm), rel=1e-2)
