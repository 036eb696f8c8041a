"""What a run writes while it trains: a line of metrics for every update, and resume points."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from grok_interp.checkpoints.store import DamagedFileError, load_state, save_state, write_text
from grok_interp.training.loop import TrainingState, Update

SAVING_SHARE = 0.05  # of the time at most goes into resume points, however large they are
METRICS_BUFFER = 50  # updates whose losses stay on the device before they are written


def resume_points(directory: Path) -> list[Path]:
    """Newest first."""
    return sorted((directory / "resume").glob("step_*.state"), reverse=True)


def load_newest_resume_point(state: TrainingState, directory: Path) -> float:
    """Load the newest resume point that is whole; the seconds trained before it, 0 when there is none."""
    for path in resume_points(directory):
        try:
            saved = load_state(path, state.device)
        except DamagedFileError:
            path.unlink()  # its predecessor is whole: points are written one after the other
            continue
        state.load_state_dict(saved)
        return saved["seconds"]
    return 0.0


class Recorder:
    """One run's metrics and resume points."""

    def __init__(self, directory: Path, state: TrainingState, seconds: float) -> None:
        self.directory, self.state = directory, state
        self.began = time.monotonic() - seconds
        self.buffer: list[tuple[Update, float]] = []
        self.metrics = directory / "metrics.jsonl"
        _cut_metrics(self.metrics, state.step)

    def note(self, update: Update) -> None:
        self.buffer.append((update, time.monotonic() - self.began))
        if len(self.buffer) >= METRICS_BUFFER:
            self._write_metrics()

    def save(self) -> None:
        self._write_metrics()
        state = {**self.state.state_dict(), "seconds": time.monotonic() - self.began}
        save_state(self.directory / "resume" / f"step_{self.state.step:08d}.state", state)
        for outdated in resume_points(self.directory)[2:]:
            outdated.unlink()

    def _write_metrics(self) -> None:
        if not self.buffer:
            return
        updates = [update for update, _ in self.buffer]
        measured = torch.stack([torch.stack([u.loss, u.grad_norm]) for u in updates]).tolist()
        tokens = self.state.config.tokens_per_step
        with self.metrics.open("a") as file:
            for (update, seconds), (loss, norm) in zip(self.buffer, measured, strict=True):
                _require_finite(loss, update)
                row = {"step": update.step, "tokens": update.step * tokens, "loss": loss, "grad_norm": norm}
                row |= {"learning_rate": update.learning_rate, "seconds": round(seconds, 3)}
                file.write(json.dumps(row) + "\n")
        self.buffer.clear()


class Journal:
    """Called after every update of one or more runs in lockstep: it notes, saves when it is time, and stops them.

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

    def __call__(self, *updates: Update) -> None:
        for recorder, update in zip(self.recorders, updates, strict=True):
            recorder.note(update)
        if self.on_update:
            self.on_update(updates[0])
        if self.interrupted.is_set() or time.monotonic() - self.saved_at > self.resume_seconds:
            self.save()
        if self.interrupted.is_set():
            raise KeyboardInterrupt

    def save(self) -> None:
        began = time.monotonic()
        for recorder in self.recorders:
            recorder.save()
        self.saved_at = time.monotonic()
        self.resume_seconds = max(self.resume_seconds, (self.saved_at - began) / SAVING_SHARE)


def _require_finite(loss: float, update: Update) -> None:
    if not math.isfinite(loss):
        raise ValueError(
            f"the loss is {loss} at step {update.step} (learning rate {update.learning_rate:g}): train into a new "
            "directory with a lower learning_rate, a longer warm-up or a smaller max_grad_norm"
        )


def _cut_metrics(file: Path, step: int) -> None:
    """Drop what was logged after the resume point: those updates are made again."""
    if not file.exists():
        return
    lines = file.read_text().splitlines()
    kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
    write_text(file, "".join(f"{line}\n" for line in kept))
