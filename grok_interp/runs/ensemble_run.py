"""Run directories trained in lockstep: each is what `run_training` makes of it, and may be resumed by either."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from grok_interp.configs import TrainConfig
from grok_interp.runs.recorder import Recorder, Recorders, load_newest_resume_point, naming_last_good
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import claim, deferred_interrupts, only_process
from grok_interp.training.divergence import Update
from grok_interp.training.ensemble import EnsembleState, require_lockstep, train_ensemble
from grok_interp.training.execution import Execution
from grok_interp.training.loop import TrainingState


def run_ensemble(
    runs: Mapping[Path, TrainConfig],
    *,
    device: str = "cpu",
    compiled: bool = False,
    resume_seconds: float = 20.0,
    on_start: Callable[[int], None] | None = None,
    on_update: Callable[[Update], None] | None = None,
) -> list[Run]:
    """Train directory -> config, all in lockstep, each from its last resume point if it has one.

    `on_update` gets the first run's updates. Otherwise like `run_training`; raises ValueError besides for runs that
    differ in more than seeds and data, and for runs that stand at different steps.
    """
    require_lockstep(list(runs.values()))
    first = Execution.resolve(next(iter(runs.values())), device=device, compiled=compiled)
    claimed = [claim(Path(directory), config, first) for directory, config in runs.items()]
    opened, (execution, *_) = [run for run, _ in claimed], [each for _, each in claimed]
    with ExitStack() as stack:
        for run in opened:
            stack.enter_context(only_process(run))
        interrupted = stack.enter_context(deferred_interrupts())
        stack.enter_context(execution.threads())
        members = [TrainingState(config, device=device, precision=execution.precision) for config in runs.values()]
        each_recorder = [
            Recorder(run, member, load_newest_resume_point(member, run.directory))
            for run, member in zip(opened, members, strict=True)
        ]
        state = EnsembleState(members)
        recorders = Recorders(each_recorder, interrupted, resume_seconds=resume_seconds, on_update=on_update)
        if on_start:
            on_start(state.step)
        training = train_ensemble(
            list(runs.values()),
            state=state,
            batches=[run.data for run in opened],
            on_update=lambda updates: recorders(*updates),
            compiled=execution.compiled,
        )
        with naming_last_good(each_recorder):
            for step, models in training:
                for run, model in zip(opened, models, strict=True):
                    run.checkpoints.save(step, model)
            recorders.save()
    return opened
