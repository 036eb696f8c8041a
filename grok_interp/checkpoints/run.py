"""A run directory: training that can be killed at any moment and goes on with the same command.

    config.json                          what is trained, the hash of its data, precision and threads
    metrics.jsonl                        one line an update: step, tokens, loss, grad_norm, learning_rate, seconds
    checkpoints/step_00000128.safetensors   weights only
    resume/step_00000125.state           weights, optimizer and step; the last two are kept
    results/                             what analyses found
    report.html, figures/                what plots drew

On the same machine a run that was killed and resumed ends with the same bits as one that was not, because a batch
depends on (seed, step) and nothing else, and precision, threads and compilation are those the run was begun with.
"""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import filelock

from grok_interp.checkpoints.recorder import Journal, Recorder, load_newest_resume_point, naming_last_good
from grok_interp.checkpoints.series import CheckpointSeries, write_config
from grok_interp.configs import TrainConfig
from grok_interp.training.batches import Batches, open_batches
from grok_interp.training.divergence import Update
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
) -> CheckpointSeries:
    """Train into a run directory, from its last resume point if it has one.

    Every `resume_seconds` a resume point is written; Ctrl-C and SIGTERM write one too and raise KeyboardInterrupt.
    `compiled` counts for a new run; a run that is resumed keeps its precision, number of threads and compilation.
    `on_start` is told the step it starts from. Raises ValueError when the directory holds another config, data that has
    changed since, files that are no run, or a run that another process is training; and DivergedError, which names the
    last good checkpoint, when a loss, a gradient norm or the weights are not finite: nothing of it is kept.
    """
    directory = Path(directory)
    batches, execution = claim(directory, config, Execution.resolve(config, device=device, compiled=compiled))
    with only_process(directory), deferred_interrupts() as interrupted, execution.threads():
        state = TrainingState(config, device=device, precision=execution.precision)
        recorder = Recorder(directory, state, batches, load_newest_resume_point(state, directory))
        journal = Journal([recorder], interrupted, resume_seconds=resume_seconds, on_update=on_update)
        if on_start:
            on_start(state.step)
        series = CheckpointSeries(directory)
        training = train(config, state=state, batches=batches, on_update=journal, compiled=execution.compiled)
        with naming_last_good([recorder], [series]):
            for step, model in training:
                series.save(step, model)
            journal.save()
    return series


def batches_of_run(directory: Path) -> Batches:
    """What a run trains on. Raises ValueError when it has changed since the run was begun."""
    batches, begun_with = open_batches(CheckpointSeries(directory).config), run_provenance(directory)["data"]["hash"]
    if begun_with != batches.hash:
        raise ValueError(
            f"the data of {directory} ({batches.description}) has changed since the run was begun (its hash was "
            f"{begun_with[:12]}, now {batches.hash[:12]}): restore the text, or train into another directory"
        )
    return batches


def claim(directory: Path, config: TrainConfig, execution: Execution) -> tuple[Batches, Execution]:
    """What a run trains on, and how: `execution` for a new run, otherwise what the run was begun with.

    Writes config.json into a new directory; refuses one that holds anything else.
    """
    if not (directory / "config.json").exists():
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise ValueError(f"{directory} holds files but no run: give a new or an empty directory")
        batches = open_batches(config)
        data = {"hash": batches.hash, "description": batches.description}
        write_config(directory, config, data=data, execution=asdict(execution))
        return batches, execution
    _require_same_config(directory, config)
    return batches_of_run(directory), execution_of_run(directory) or execution


def execution_of_run(directory: Path) -> Execution | None:
    """How a run is computed; None where nothing is recorded."""
    recorded = run_provenance(directory).get("execution")
    return Execution(**recorded) if recorded else None


def is_finished(directory: Path, config: TrainConfig) -> bool:
    """Has a directory's run reached its last step? False where there is no run yet.

    Raises ValueError when the directory holds a run of another config.
    """
    if not (directory / "config.json").exists():
        return False
    _require_same_config(directory, config)
    return config.n_steps in CheckpointSeries(directory).steps


def _require_same_config(directory: Path, config: TrainConfig) -> None:
    if differences := config.differences(CheckpointSeries(directory).config):
        listed = ", ".join(f"{name}: {there!r} there, {asked!r} asked" for name, (asked, there) in differences.items())
        raise ValueError(
            f"{directory} holds a run of another config ({listed}): give another directory, or that config"
        )


def run_provenance(directory: Path) -> dict:
    """config.json as it stands: `train` and what was noted beside it."""
    return json.loads((directory / "config.json").read_text())


@contextmanager
def only_process(directory: Path) -> Iterator[None]:
    """Raises ValueError while another process trains this run."""
    (directory / "resume").mkdir(exist_ok=True)
    try:
        with filelock.FileLock(directory / "resume" / ".lock", timeout=0):
            yield
    except filelock.Timeout:
        raise ValueError(f"another process is training {directory}: wait for it or stop it") from None


@contextmanager
def deferred_interrupts() -> Iterator[threading.Event]:
    """Ctrl-C and SIGTERM are noted, and obeyed between two updates; a second one acts at once."""
    noted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield noted  # only the main thread may handle signals
        return

    def note(signum: int, frame: object) -> None:  # noqa: ARG001 (signal's signature)
        if noted.is_set():
            raise KeyboardInterrupt
        noted.set()

    previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield noted
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
