"""A step whose gradient is computed in parts on threads: the same step to rounding, and always the same bits."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from grok_interp.configs import TrainConfig
from grok_interp.presets import training_preset
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.training.batches import open_batches
from grok_interp.training.divergence import Update
from grok_interp.training.loop import train_step
from grok_interp.training.parallel import add_gradient, choose_parts
from grok_interp.training.state import TrainingState

CPU = torch.device("cpu")


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def after_steps(config: TrainConfig, n_steps: int, **options: int) -> tuple[list[float], list[Tensor]]:
    """The losses of the first updates, and the weights after them."""
    state, batches = TrainingState(config, precision="float32", **options), open_batches(config)
    updates = [train_step(state, batches.batch(step, CPU), batches.loss) for step in range(n_steps)]
    return [float(update.loss) for update in updates], [p.detach().clone() for p in state.model.parameters()]


@pytest.mark.parametrize("name", ["copier-tiny", "modular-tiny"])
@pytest.mark.parametrize("micro_batch_size", [None, 2, 1])
def test_a_step_in_parts_is_the_step_to_rounding(name: str, micro_batch_size: int | None) -> None:
    config = replace(training_preset(name), micro_batch_size=micro_batch_size)
    losses, weights = after_steps(config, 3, n_parts=2)
    expected, whole = after_steps(config, 3, n_parts=1)
    assert losses == pytest.approx(expected, rel=1e-5)
    for ours, theirs in zip(weights, whole, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_step_in_parts_has_the_same_bits_each_time() -> None:
    config = replace(training_preset("copier-mini"), batch_size=6)
    (first, weights), (again, others) = (after_steps(config, 3, n_parts=2) for _ in range(2))
    assert first == again
    assert all(torch.equal(*pair) for pair in zip(weights, others, strict=True))


def test_each_part_is_on_a_thread_of_its_own_and_gradients_add_up() -> None:
    weight, seen = nn.Parameter(torch.tensor([1.0, 2.0])), set()
    meeting = threading.Barrier(2)

    def loss_of(part: Tensor) -> Tensor:
        meeting.wait(timeout=600)  # would time out if one thread computed both
        seen.add(threading.get_ident())
        return (weight * part).sum()

    for doubled in (1, 2):
        loss = add_gradient(loss_of, torch.tensor([[1.0, 0.0], [3.0, 5.0]]).tensor_split(2), [weight])
        assert float(loss) == 4 + 10
        assert weight.grad is not None and weight.grad.tolist() == [doubled * 4, doubled * 5]
    assert len(seen) == 2


def test_an_error_in_any_part_is_raised() -> None:
    weight = nn.Parameter(torch.ones(1))

    def loss_of(part: Tensor) -> Tensor:
        if float(part) == 2:
            raise FloatingPointError("of the second part")
        return (weight * part).sum()

    with pytest.raises(FloatingPointError, match="of the second part"):
        add_gradient(loss_of, (torch.ones(1), 2 * torch.ones(1)), [weight])


def test_small_models_are_computed_in_two_parts_where_threads_are_left(two_threads: None) -> None:
    mini, paper = training_preset("copier-mini"), training_preset("copier-paper")
    assert choose_parts(mini, CPU) == 2
    assert choose_parts(paper, CPU) == 1  # its operations are long enough to be shared
    assert choose_parts(mini, torch.device("cuda")) == 1
    assert choose_parts(mini.with_model(attn_dropout=0.1), CPU) == 1
    assert choose_parts(replace(mini, batch_size=1), CPU) == 1
    torch.set_num_threads(1)
    assert choose_parts(mini, CPU) == 1


def test_the_variable_for_threads_decides(two_threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "OMP_NUM_THREADS", "2")
    assert choose_parts(training_preset("copier-mini"), CPU) == 1


def stop(update: Update) -> None:
    if update.step == 3:
        raise KeyboardInterrupt


def test_a_run_keeps_its_parts(tmp_path: Path, two_threads: None) -> None:
    config = training_preset("copier-tiny")
    with pytest.raises(KeyboardInterrupt):
        run_training(tmp_path / "run", config, resume_seconds=0, on_update=stop)
    torch.set_num_threads(1)  # for which a new run would have one part
    resumed = run_training(tmp_path / "run", config)
    torch.set_num_threads(2)
    whole = run_training(tmp_path / "whole", config)
    execution = Run.open(tmp_path / "run").execution
    assert execution is not None and execution.n_parts == 2
    pairs = zip(resumed.load(20).parameters(), whole.load(20).parameters(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)
