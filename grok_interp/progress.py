"""Progress of long work: a bar on a terminal, one line in a notebook, a line now and then in a log file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from grok_interp.configs import TrainConfig
    from grok_interp.training.divergence import Update

BAR_SECONDS, NOTEBOOK_SECONDS, LOG_SECONDS = 0.25, 0.5, 15.0  # between two looks at the numbers


class Advance(Protocol):
    """Tells how far a task is: `advance(done, total)`, with a note after it if there is one."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


@contextmanager
def progress(task: str, *, transient: bool = False) -> Iterator[Advance]:
    """Inside, call `advance(done, total, note)`; it may be called as often as wanted.

    Args:
        task: what is done, the first word of the line.
        transient: leave nothing on a terminal at the end, and say nothing in a log file if it takes a few seconds.

    Example:
        >>> with progress("evaluating") as advance:
        ...     for done in range(3):
        ...         advance(done + 1, 3)
    """
    if (ipython := _notebook()) is not None:
        yield _line_in_place(ipython, task)
        return
    console = Console(stderr=True, force_jupyter=False)
    if not console.is_terminal:
        yield _lines(lambda line: console.print(line, soft_wrap=True), task, LOG_SECONDS, transient=transient)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"))
    columns = (*columns, TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=transient) as bar:
        number = bar.add_task(task, total=None, note="")
        yield lambda done, total, note="": bar.update(number, completed=done, total=total, note=note)


def silent(task: str) -> AbstractContextManager[Advance]:  # noqa: ARG001 (as `progress`)
    """The same, of which nothing is shown."""
    return nullcontext(_ignore)


def _ignore(done: int, total: int, note: str = "") -> None:
    pass


def _notebook() -> Any:
    """IPython, when a notebook runs this. There FORCE_COLOR is set: rich would take it for a terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return ipython if hasattr(shell, "kernel") else None


def _line_in_place(ipython: Any, task: str) -> Advance:
    """One line of text, which an untrusted notebook shows too, and which is kept as it was at the end."""
    shown = ipython.display.display({"text/plain": task}, raw=True, display_id=True)
    return _lines(lambda line: shown.update({"text/plain": line}, raw=True), task, NOTEBOOK_SECONDS)


def _lines(show: Callable[[str], object], task: str, seconds: float, *, transient: bool = False) -> Advance:
    began = last = time.monotonic()
    first: tuple[int, float] | None = None  # what resumes does not begin at 0

    def advance(done: int, total: int, note: str = "") -> None:
        nonlocal last, first
        now = time.monotonic()
        first = first or (done, now)
        if now - last < seconds and (done != total or transient):
            return
        last, new = now, done - first[0]
        left = f", {(now - first[1]) * (total - done) / new:.0f} s left" if new and done < total else ""
        show(f"{task}: {done} of {total} after {now - began:.0f} s{left}  {note}".rstrip())

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
