"""Training that can be killed at any moment and resumes with the same command.

On the same machine a run that was killed and resumed ends with the same bits as one that was not, because a batch
depends on (seed, step) and nothing else, and precision, threads and compilation are those the run was begun with.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import filelock

from grok_interp.arguments import checked
from grok_interp.configs import TrainConfig
from grok_interp.files import remove_abandoned
from grok_interp.runs.continuation import CHANGEABLE, another_config, continue_under
from grok_interp.runs.evaluations import Evaluate, Evaluations, StopTraining
from grok_interp.runs.interrupts import deferred_interrupts
from grok_interp.runs.other_processes import follow_first_process
from grok_interp.runs.record import is_run, read_record
from grok_interp.runs.recorder import (
    Recorder,
    UpdateCallback,
    load_newest_resume_point,
    naming_last_good,
    resume_points,
)
from grok_interp.runs.run import Run
from grok_interp.runs.series_record import SeriesRecord
from grok_interp.runs.trackers import TrackerName, opened_trackers, require_trackers
from grok_interp.training.batches import open_batches
from grok_interp.training.divergence import DivergedError, Update
from grok_interp.training.execution import Execution
from grok_interp.training.loop import train
from grok_interp.training.own_optimizer import OwnOptimizer
from grok_interp.training.processes import joined
from grok_interp.training.rendezvous import tell_stopped
from grok_interp.training.state import TrainingState


@checked
def run_training(
    directory: Path,
    config: TrainConfig,
    *,
    device: str = "cpu",
    compiled: bool = False,
    resume_seconds: float = 20.0,
    on_start: Callable[[int], None] | None = None,
    on_update: Callable[[Update], None] | None = None,
    own: OwnOptimizer | None = None,
    evaluate: Evaluate | None = None,
    track: tuple[TrackerName, ...] = (),
    sharded: bool = False,
) -> Run:
    """Train into a run directory, from its last resume point if it has one.

    Ctrl-C, SIGTERM and SIGHUP write a resume point too and raise KeyboardInterrupt. A first command that fails before
    it has trained leaves no run behind. A run resumes under a changed config if no past update would have been
    different: more steps at a constant rate, future checkpoints, another micro-batch size.

    Args:
        directory: new, empty, or of this run.
        config: what is trained.
        device: a torch device; it may change on resume, and results then agree to rounding.
        compiled: compile the step, of a new run; one that is resumed keeps its precision, threads and compilation.
        resume_seconds: between two resume points.
        on_start: called with the step it starts from.
        on_update: called with every update; it may raise `StopTraining`.
        own: an optimizer and a scheduler of your own, instead of those of the config.
        evaluate: (step, model in eval mode) -> name -> number (of Python, NumPy or torch; NaN is kept) at every
            checkpoint, kept in evaluations.jsonl; it may raise `StopTraining`. See `evaluations`.
        track: programs that show the metrics while it trains; extra `track`.
        sharded: of several processes each keeps a part of weights, gradients and moments (FSDP2), instead of all.

    Returns:
        The run, finished or stopped.

    Raises:
        ValueError: when the directory holds another config, data that has changed since, files that are not a run, a
            run of another optimizer, or one that another process is training.
        DivergedError: when a loss, a gradient norm or the weights are not finite. It names the last good checkpoint;
            nothing of what is not finite is kept.

    Example:
        >>> import tempfile
        >>> from dataclasses import replace
        >>> from grok_interp import training_preset
        >>> config = replace(training_preset("modular-tiny"), n_steps=2, warmup_steps=0, checkpoint_steps=(0,))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run_training(Path(folder) / "run", config).steps
        (0, 2)
    """
    require_trackers(track)
    with joined(device, sharded=sharded) as (processes, device), processes.naming_lost():
        processes.require_fit(config.batch_size, dropout=config.model.attn_dropout)
        options: dict[str, Any] = {"device": device, "own": own, "processes": processes}
        if not processes.is_first:
            follow_first_process(Path(directory), config, options)
            return Run.open(directory)
        execution = Execution.resolve(config, device=device, compiled=compiled)
        run, execution = claim(Path(directory), config, execution, own.label if own else "")
        with only_process(run), releasing_if_failed(run), deferred_interrupts() as interrupted, execution.threads():
            run = continue_under(run, config)
            processes.from_first(execution)
            state = TrainingState(config, precision=execution.precision, n_parts=execution.n_parts, **options)
            seconds = load_newest_resume_point(state, run.directory)
            with opened_trackers(track, run.directory, state.step) as trackers:
                recorder = Recorder(run, state, seconds, trackers)
                evaluated = evaluate and Evaluations(run.directory, evaluate, state.step, trackers)
                if on_start:
                    on_start(state.step)
                lead(
                    recorder,
                    UpdateCallback([recorder], interrupted, resume_seconds=resume_seconds, on_update=on_update),
                    evaluated,
                    compiled=execution.compiled,
                )
    return run


def lead(recorder: Recorder, callback: UpdateCallback, evaluated: Evaluations | None, *, compiled: bool) -> None:
    """Train to the end, or until a callback stops it, and keep what comes of it."""
    run, state = recorder.run, recorder.state
    training = train(state.config, state=state, batches=run.data, on_update=callback, compiled=compiled)
    with naming_last_good([recorder]):
        try:
            for step, model in training:
                run.checkpoints.save(step, model)
                if evaluated:
                    evaluated(step, model)
                state.processes.keeps(False)
        except StopTraining:
            tell_stopped()
        else:
            state.processes.wait()
        callback.save()


def claim(directory: Path, config: TrainConfig, execution: Execution, optimizer: str = "") -> tuple[Run, Execution]:
    """The run to train, and how: `execution` for a new run, otherwise what the run was begun with.

    Writes config.json into a new directory; refuses one that holds anything else, or a run of another optimizer.
    """
    if is_run(directory):
        differences = config.differences(_require_trained_here(directory))
        if set(differences) - set(CHANGEABLE):  # before anything that it names is opened
            raise another_config(directory, differences, f"of a run only {', '.join(CHANGEABLE)} may change")
        run = Run.open(directory, trust_source=True)  # the user has given the folder and, in the config, the source
        if (there := run.record.get("optimizer", "")) != optimizer:
            raise ValueError(
                f"{run} is updated by {there or 'the optimizer of its config'}, and {optimizer or 'no own one'} was "
                "given: give the same, or another directory"
            )
        return run, run.execution or execution
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ValueError(f"{directory} holds files but no run: give a new or an empty directory")
    noted = {"execution": asdict(execution)} | ({"optimizer": optimizer} if optimizer else {})
    return Run.create(directory, config, data=open_batches(config), **noted), execution


def is_finished(directory: Path, config: TrainConfig) -> bool:
    """Has a directory's run reached its last step? False where there is no run yet.

    Raises ValueError when the directory holds a run of another config.
    """
    if not is_run(directory):
        return False
    require_same_config(directory, _require_trained_here(directory), config)
    return Run.open(directory, trust_source=True).is_finished


def require_same_config(directory: Path, there: TrainConfig, config: TrainConfig) -> None:
    """Raises ValueError when a directory's run is of another config than the one needed."""
    if differences := config.differences(there):
        raise another_config(directory, differences)


def _require_trained_here(directory: Path) -> TrainConfig:
    _, there = read_record(directory)
    if isinstance(there, SeriesRecord):
        raise ValueError(f"{directory} has checkpoints from elsewhere ({there.source}): give another directory")
    return there


@contextmanager
def only_process(run: Run) -> Iterator[None]:
    """Raises ValueError while another process trains this run."""
    resume = run.directory / "resume"
    resume.mkdir(exist_ok=True)
    try:
        with filelock.FileLock(resume / ".lock", timeout=0):
            for folder in (run.directory, run.directory / "checkpoints", resume):
                remove_abandoned(folder)
            yield
    except filelock.Timeout:
        raise ValueError(f"another process is training {run}: wait for it or stop it") from None


@contextmanager
def releasing_if_failed(*runs: Run) -> Iterator[None]:
    """A failure inside before anything was trained frees the folders of new runs: another config may be given there.

    A divergence keeps them: it names the checkpoint before it.
    """
    try:
        yield
    except DivergedError:
        raise
    except BaseException:
        for run in runs:
            if run.steps in ((), (0,)) and not resume_points(run.directory):
                _release(run.directory)
        raise


def _release(directory: Path) -> None:
    for name in ("checkpoints", "resume"):
        shutil.rmtree(directory / name, ignore_errors=True)
    for name in ("config.json", "metrics.jsonl"):
        (directory / name).unlink(missing_ok=True)
    with suppress(OSError):  # there may be something else in it
        directory.rmdir()
