"""Progress of long work: a bar on a terminal, a plain line now and then in a log file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from grok_interp.configs import TrainConfig
    from grok_interp.training.divergence import Update

BAR_SECONDS, LOG_SECONDS = 0.25, 15.0  # between two looks at the numbers


class Advance(Protocol):
    def __call__(self, done: int, total: int, note: str = "") -> None: ...


@contextmanager
def progress(task: str) -> Iterator[Advance]:
    """Inside, call `advance(done, total, note)`; it may be called as often as wanted."""
    console = Console(stderr=True, force_jupyter=False)  # a notebook shows it as plain lines
    if not console.is_terminal:
        yield _log(console, task)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as bar:
        number = bar.add_task(task, total=None, note="")
        yield lambda done, total, note="": bar.update(number, completed=done, total=total, note=note)


def silent(task: str) -> AbstractContextManager[Advance]:  # noqa: ARG001 (as `progress`)
    """The same, of which nothing is shown."""
    return nullcontext(_ignore)


def _ignore(done: int, total: int, note: str = "") -> None:
    pass


def _log(console: Console, task: str) -> Advance:
    began = last = time.monotonic()

    def advance(done: int, total: int, note: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LOG_SECONDS or done == total:
            console.print(f"{task}: {done} of {total} after {now - began:.0f} s  {note}".rstrip(), soft_wrap=True)
            last = now

    return advance


class TrainingProgress:
    """What `run_training` calls: updates done, loss, tokens per second and time left.

    The loss is read a few times a second only, because reading it makes a GPU wait.
    """

    def __init__(self, config: TrainConfig, advance: Advance, *, n_members: int = 1) -> None:
        self.config, self.advance = config, advance
        self.tokens_per_step = n_members * config.tokens_per_step
        self.first_step, self.began, self.read_at = 0, time.monotonic(), 0.0

    def start(self, step: int) -> None:
        self.first_step, self.began = step, time.monotonic()
        self.advance(step, self.config.n_steps, f"from step {step}" if step else "")

    def update(self, update: Update) -> None:
        now = time.monotonic()
        if now - self.read_at < BAR_SECONDS and update.step < self.config.n_steps:
            return
        self.read_at = now
        rate = (update.step - self.first_step) * self.tokens_per_step / max(now - self.began, 1e-9)
        note = f"loss {float(update.loss):.3f}  {rate:,.0f} tokens/s"
        self.advance(update.step, self.config.n_steps, note)
