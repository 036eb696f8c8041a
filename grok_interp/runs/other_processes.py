"""What the other processes of a run do, while the first one reads and writes it: `run_training` under torchrun."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grok_interp.configs import TrainConfig
from grok_interp.runs.interrupts import deferred_interrupts
from grok_interp.runs.recorder import load_newest_resume_point
from grok_interp.training.batches import open_batches
from grok_interp.training.divergence import FiniteCheck
from grok_interp.training.execution import Execution
from grok_interp.training.loop import train
from grok_interp.training.rendezvous import was_stopped
from grok_interp.training.state import TrainingState


def follow_first_process(directory: Path, config: TrainConfig, options: Mapping[str, Any]) -> None:
    """Train with the first process, which reads and writes the run; end when it does.

    Args:
        directory: of the run.
        config: what is trained.
        options: of `TrainingState`.
    """
    with deferred_interrupts() as interrupted:
        try:
            execution: Execution = options["processes"].from_first(None)
            state = TrainingState(config, precision=execution.precision, **options)
            load_newest_resume_point(state, directory)
            with execution.threads():
                _train_along(state, compiled=execution.compiled)
        except RuntimeError:
            if interrupted.is_set():  # the first process has obeyed
                raise KeyboardInterrupt from None
            if not was_stopped():
                raise


def _train_along(state: TrainingState, *, compiled: bool) -> None:
    """To the end; after each update and each checkpoint the first process says whether a sharded state is kept."""
    batches = open_batches(state.config)
    check = FiniteCheck.of(state, batches)

    def give(_: object = None) -> None:
        if state.processes.keeps():
            check.require_finite()
            state.state_dict()

    for _ in train(state.config, state=state, batches=batches, on_update=give, compiled=compiled):
        give()
    state.processes.wait()
    give()
