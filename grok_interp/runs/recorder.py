"""What a run writes while it trains: a line of metrics for every update, and resume points."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from grok_interp.files import DamagedFileError
from grok_interp.runs.checkpoint_files import load_state, save_state
from grok_interp.runs.metrics import append_metrics, cut_metrics, metric_line
from grok_interp.runs.run import Run
from grok_interp.runs.trackers import SHOWN, Tracker
from grok_interp.training.divergence import (
    UPDATES_AT_ONCE,
    DivergedError,
    FiniteCheck,
    Update,
    read_updates,
    require_finite_update,
)
from grok_interp.training.state import TrainingState

SAVING_SHARE = 0.05  # of the time at most goes into resume points, however large they are


def resume_points(directory: Path) -> list[Path]:
    """Newest first."""
    return sorted((directory / "resume").glob("step_*.state"), reverse=True)


def newest_resume_point(directory: Path, device: torch.device) -> dict[str, Any] | None:
    """The state in the newest resume point that is whole, with the `seconds` trained before it; None without one."""
    for path in resume_points(directory):
        try:
            return load_state(path, device)
        except DamagedFileError:
            path.unlink()  # its predecessor is whole: points are written one after the other
    return None


def load_newest_resume_point(state: TrainingState, directory: Path) -> float:
    """Load the newest resume point that is whole; the seconds trained before it, 0 when there is none.

    All processes of the run must call this; the first alone reads.
    """
    processes = state.processes
    device = torch.device("cpu") if processes.sharded else state.device
    saved = processes.share_state(newest_resume_point(directory, device) if processes.is_first else None)
    if saved is None:
        return 0.0
    state.load_state_dict(saved)
    return saved["seconds"]


class Recorder:
    """One run's metrics and resume points. What is not finite is neither logged nor kept."""

    def __init__(self, run: Run, state: TrainingState, seconds: float, trackers: Sequence[Tracker] = ()) -> None:
        self.run, self.state, self.check = run, state, FiniteCheck.of(state, run.data)
        self.began = time.monotonic() - seconds
        self.trackers = trackers
        self.buffer: list[tuple[Update, float]] = []
        self.metrics = run.directory / "metrics.jsonl"
        cut_metrics(self.metrics, state.step)

    def note(self, update: Update) -> None:
        self.buffer.append((update, time.monotonic() - self.began))
        if len(self.buffer) >= UPDATES_AT_ONCE:
            self.write_metrics()

    def save(self) -> None:
        """Raises DivergedError instead of keeping a state that is not finite."""
        self.write_metrics()
        self.check.require_finite()
        state = {**self.state.state_dict(), "seconds": time.monotonic() - self.began}
        save_state(self.run.directory / "resume" / f"step_{self.state.step:08d}.state", state)
        for outdated in resume_points(self.run.directory)[2:]:
            outdated.unlink()

    def write_metrics(self) -> None:
        """Log the updates noted. Raises DivergedError at the first that is not finite, after those before it."""
        if not self.buffer:
            return
        buffer, self.buffer = self.buffer, []
        measured = read_updates([update for update, _ in buffer])
        tokens = self.state.config.tokens_per_step
        lines: list[str] = []
        try:
            for (update, seconds), (loss, norm) in zip(buffer, measured, strict=True):
                require_finite_update(update, loss, norm)
                row = {"step": update.step, "tokens": update.step * tokens, "loss": loss, "grad_norm": norm}
                row |= {"learning_rate": update.learning_rate, "seconds": round(seconds, 3)}
                lines.append(metric_line(row))
                for tracker in self.trackers:
                    tracker.log(update.step, {name: row[name] for name in SHOWN})
        finally:
            append_metrics(self.metrics, "".join(lines))


class UpdateCallback:
    """Called after every update of one or more runs in lockstep: notes it, saves when it is time, and stops them.

    All runs are saved after the same update. Raises KeyboardInterrupt once `interrupted` is set and all is saved.
    """

    def __init__(
        self,
        recorders: Sequence[Recorder],
        interrupted: threading.Event,
        *,
        resume_seconds: float,
        on_update: Callable[[Update], None] | None,
    ) -> None:
        self.recorders, self.interrupted, self.on_update = recorders, interrupted, on_update
        self.resume_seconds, self.saved_at = resume_seconds, time.monotonic()
        self.processes = recorders[0].state.processes

    def __call__(self, *updates: Update) -> None:
        for recorder, update in zip(self.recorders, updates, strict=True):
            recorder.note(update)
        if self.on_update:
            self.on_update(updates[0])
        if self.interrupted.is_set() or time.monotonic() - self.saved_at > self.resume_seconds:
            self.save()
        else:
            self.processes.keeps(False)
        if self.interrupted.is_set():
            raise KeyboardInterrupt

    def save(self) -> None:
        began = time.monotonic()
        self.processes.keeps(True)
        for recorder in self.recorders:
            recorder.save()
        self.saved_at = time.monotonic()
        self.resume_seconds = max(self.resume_seconds, (self.saved_at - began) / SAVING_SHARE)


@contextmanager
def naming_last_good(recorders: Sequence[Recorder]) -> Iterator[None]:
    """A divergence inside logs the updates before it, and says of which run it is and which checkpoint was the last."""
    try:
        yield
    except DivergedError as error:
        first = str(error)
        for recorder in recorders:
            try:
                recorder.write_metrics()
            except DivergedError as earlier:  # an update that was noted and not yet read
                first = f"{recorder.run}: {earlier}"
        raise DivergedError(f"{first}. {_last_good(recorders[0].run)}") from None


def _last_good(run: Run) -> str:
    """Of a run, and of all that train in lockstep with it."""
    if not run.steps:
        return f"{run} has no checkpoint before it."
    step = run.steps[-1]
    return f"The last good checkpoint is step {step:,}: {run.checkpoints.path(step)}."
