"""A compiled training step: in parts on two threads, and with interventions on heads."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from grok_interp.presets import training_preset
from grok_interp.training.batches import ModularBatches, open_batches
from grok_interp.training.loop import step_function, train_step
from grok_interp.training.state import TrainingState

CPU = torch.device("cpu")
MODULAR = replace(training_preset("modular-tiny"), weight_decay=0.0, warmup_steps=0)  # 2 layers of 2 heads of 8


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, on import of its compiler
def test_a_compiled_step_has_interventions_as_well() -> None:
    config = replace(MODULAR, intervene=("L1H1 clamp from 2", "L0H0 zero to 3", "L1H0 freeze from 1"))
    losses = []
    for compiled in (False, True):
        state, batches = TrainingState(config), ModularBatches(config)
        step = step_function(state, torch.compile(batches.loss) if compiled else batches.loss)
        losses.append([float(step(batches.batch(number, CPU)).loss) for number in range(5)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("batch_size", [4, 3])  # in halves, and in parts of 2 and 1
def test_parts_share_a_compiled_loss(batch_size: int) -> None:
    """Both threads begin with the compilation; whichever is first, the numbers are the same bits."""
    config = replace(training_preset("copier-tiny"), batch_size=batch_size, micro_batch_size=None)
    batches = open_batches(config)

    def losses(n_parts: int, *, compiled: bool) -> list[float]:
        state, loss = TrainingState(config, n_parts=n_parts), torch.compile(batches.loss) if compiled else batches.loss
        return [float(train_step(state, batches.batch(step, CPU), loss).loss) for step in range(5)]

    in_parts = losses(2, compiled=True)
    assert in_parts == losses(2, compiled=True)
    assert in_parts == pytest.approx(losses(1, compiled=False), rel=1e-5)
