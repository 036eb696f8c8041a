"""Training that can be killed at any moment and resumes with the same command.

On the same machine a run that was killed and resumed ends with the same bits as one that was not, because a batch
depends on (seed, step) and nothing else, and precision, threads and compilation are those the run was begun with.
"""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from grok_interp.configs import TrainConfig
from grok_interp.files import remove_abandoned
from grok_interp.runs.interrupts import termination_signals
from grok_interp.runs.record import is_run, read_record
from grok_interp.runs.recorder import Recorder, Recorders, load_newest_resume_point, naming_last_good, resume_points
from grok_interp.runs.run import Run
from grok_interp.runs.series_record import SeriesRecord
from grok_interp.training.batches import open_batches
from grok_interp.training.divergence import DivergedError, Update
from grok_interp.training.execution import Execution
from grok_interp.training.loop import TrainingState, train


def run_training(
    directory: Path,
    config: TrainConfig,
    *,
    device: str = "cpu",
    compiled: bool = False,
    resume_seconds: float = 20.0,
    on_start: Callable[[int], None] | None = None,
    on_update: Callable[[Update], None] | None = None,
) -> Run:
    """Train into a run directory, from its last resume point if it has one.

    A first command that fails before it has trained leaves no run behind.

    Args:
        directory: the run's folder, which need not be there.
        config: what is trained; that of the run where the directory holds one.
        device: where it trains, a torch device.
        compiled: compile the step with torch.compile. Counts for a new run; a run that is resumed keeps its precision,
            number of threads and compilation.
        resume_seconds: a resume point is written as often; Ctrl-C, SIGTERM and SIGHUP write one too and raise
            KeyboardInterrupt.
        on_start: is told the step that training starts from.
        on_update: is called after every update.

    Returns:
        The run, finished.

    Raises:
        ValueError: when the directory holds another config, data that has changed since, files that are no run, or a
            run that another process is training.
        DivergedError: when a loss, a gradient norm or the weights are not finite: nothing of it is kept, and the last
            good checkpoint is named.

    Example:
        >>> from dataclasses import replace
        >>> from tempfile import mkdtemp
        >>> from grok_interp import training_preset
        >>> config = replace(training_preset("modular-tiny"), n_steps=5)
        >>> run_training(Path(mkdtemp()) / "run", config).steps
        (0, 5)
    """
    run, execution = claim(Path(directory), config, Execution.resolve(config, device=device, compiled=compiled))
    with only_process(run), releasing_if_failed(run), deferred_interrupts() as interrupted, execution.threads():
        state = TrainingState(config, device=device, precision=execution.precision, n_parts=execution.n_parts)
        recorder = Recorder(run, state, load_newest_resume_point(state, run.directory))
        recorders = Recorders([recorder], interrupted, resume_seconds=resume_seconds, on_update=on_update)
        if on_start:
            on_start(state.step)
        training = train(config, state=state, batches=run.data, on_update=recorders, compiled=execution.compiled)
        with naming_last_good([recorder]):
            for step, model in training:
                run.checkpoints.save(step, model)
            recorders.save()
    return run


def claim(directory: Path, config: TrainConfig, execution: Execution) -> tuple[Run, Execution]:
    """The run to train, and how: `execution` for a new run, otherwise what the run was begun with.

    Writes config.json into a new directory; refuses one that holds anything else.
    """
    if is_run(directory):
        _require_same_config(directory, config)
        run = Run.open(directory, trust_source=True)  # the user has given the folder and, in the config, the source
        return run, run.execution or execution
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ValueError(f"{directory} holds files but no run: give a new or an empty directory")
    return Run.create(directory, config, data=open_batches(config), execution=execution), execution


def is_finished(directory: Path, config: TrainConfig) -> bool:
    """Has a directory's run reached its last step? False where there is no run yet.

    Raises ValueError when the directory holds a run of another config.
    """
    if not is_run(directory):
        return False
    _require_same_config(directory, config)
    return Run.open(directory, trust_source=True).is_finished


def _require_same_config(directory: Path, config: TrainConfig) -> None:
    _, there = read_record(directory)
    if isinstance(there, SeriesRecord):
        raise ValueError(f"{directory} has checkpoints from elsewhere ({there.source}): give another directory")
    if differences := config.differences(there):
        listed = ", ".join(f"{name}: {there!r} there, {asked!r} asked" for name, (asked, there) in differences.items())
        raise ValueError(
            f"{directory} holds a run of another config ({listed}): give another directory, or that config"
        )


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


@contextmanager
def deferred_interrupts() -> Iterator[threading.Event]:
    """Ctrl-C, SIGTERM and SIGHUP are noted, and obeyed between two updates; a second one acts at once.

    One that comes after the last update is obeyed at the end. SIGHUP stays ignored where it is (nohup).
    """
    noted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield noted  # only the main thread may handle signals
        return

    def note(signum: int, frame: object) -> None:  # noqa: ARG001 (signal's signature)
        if noted.is_set():
            raise KeyboardInterrupt
        noted.set()

    numbers = (signal.SIGINT, *termination_signals())
    previous = {number: signal.signal(number, note) for number in numbers}
    try:
        yield noted
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if noted.is_set():
        raise KeyboardInterrupt
