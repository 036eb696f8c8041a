"""`run_ensemble` trains run directories in lockstep (training/ensemble.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from grok_interp.arguments import checked
from grok_interp.configs import TrainConfig
from grok_interp.runs.continuation import continue_under
from grok_interp.runs.interrupts import deferred_interrupts
from grok_interp.runs.recorder import Recorder, UpdateCallback, load_newest_resume_point, naming_last_good
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import claim, only_process, releasing_if_failed
from grok_interp.training.divergence import Update
from grok_interp.training.ensemble import EnsembleState, require_lockstep, train_ensemble
from grok_interp.training.execution import Execution
from grok_interp.training.state import TrainingState


@checked
def run_ensemble(
    runs: Mapping[Path, TrainConfig],
    *,
    device: str = "cpu",
    compiled: bool = False,
    resume_seconds: float = 20.0,
    on_start: Callable[[int], None] | None = None,
    on_update: Callable[[Update], None] | None = None,
) -> list[Run]:
    """Train directory -> config as `run_training` does, all in lockstep. Either function resumes what the other began.

    Args:
        runs: folder -> config; configs differ in seeds and data only.
        device: where they train, a torch device.
        compiled: compile the step with torch.compile; applies to new runs only.
        resume_seconds: between two resume points of every run.
        on_start: called with the step that training starts from.
        on_update: gets the first run's updates.

    Returns:
        The runs, in the order of `runs`.

    Raises:
        ValueError: as `run_training` does, and for members that `EnsembleState` refuses.

    Example:
        >>> from dataclasses import replace
        >>> from tempfile import mkdtemp
        >>> from grok_interp import training_preset
        >>> config, folder = replace(training_preset("modular-tiny"), n_steps=5), Path(mkdtemp())
        >>> found = run_ensemble({folder / f"seed{seed}": replace(config, init_seed=seed) for seed in (0, 1)})
        >>> [run.steps for run in found]
        [(0, 5), (0, 5)]
    """
    configs = list(runs.values())
    require_lockstep(configs)
    first = Execution.resolve(configs[0], device=device, compiled=compiled)
    claimed = [claim(Path(directory), config, first) for directory, config in runs.items()]
    opened, (execution, *_) = [run for run, _ in claimed], [each for _, each in claimed]
    with ExitStack() as stack:
        for run in opened:
            stack.enter_context(only_process(run))
        stack.enter_context(releasing_if_failed(*opened))
        interrupted = stack.enter_context(deferred_interrupts())
        stack.enter_context(execution.threads())
        opened = [continue_under(run, config) for run, config in zip(opened, configs, strict=True)]
        own: dict[str, Any] = dict(device=device, precision=execution.precision, n_parts=execution.n_parts)
        members = [TrainingState(config, **own) for config in configs]
        each_recorder = [
            Recorder(run, member, load_newest_resume_point(member, run.directory))
            for run, member in zip(opened, members, strict=True)
        ]
        state = EnsembleState(members)
        if on_start:
            on_start(state.step)
        callback = UpdateCallback(each_recorder, interrupted, resume_seconds=resume_seconds, on_update=on_update)
        options: dict[str, Any] = dict(state=state, batches=[run.data for run in opened], compiled=execution.compiled)
        with naming_last_good(each_recorder):
            for step, models in train_ensemble(configs, on_update=lambda updates: callback(*updates), **options):
                for run, model in zip(opened, models, strict=True):
                    run.checkpoints.save(step, model)
            callback.save()
    return opened
