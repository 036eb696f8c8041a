"""The progress of many runs as one number of updates, read from their folders, wherever they are trained."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from grok_interp.configs import TrainConfig
from grok_interp.counted import counted
from grok_interp.engines.engine import Outcome
from grok_interp.progress import Advance
from grok_interp.runs.metrics import last_step

LOOK_SECONDS = 1.0  # between two looks into the folders


@contextmanager
def runs_progress(
    runs: Mapping[str, tuple[Path, TrainConfig]], advance: Advance
) -> Iterator[Callable[[Outcome], None]]:
    """Inside, `advance` is told the updates made; call what it gives with each outcome.

    A run that has made all its updates but one is not over before its outcome is there: it may still be analyzed.

    Args:
        runs: name -> its folder and its configuration.
        advance: is called from a thread.
    """
    total = sum(config.n_steps for _, config in runs.values())
    over: dict[str, bool] = {}  # name -> has it failed?
    ended = threading.Event()

    def look() -> None:
        done = sum(
            config.n_steps if name in over else min(last_step(folder / "metrics.jsonl"), config.n_steps - 1)
            for name, (folder, config) in runs.items()
        )
        failed = f", {sum(over.values())} failed" if any(over.values()) else ""
        advance(done, total, f"updates; {len(over)} of {counted(len(runs), 'run')}{failed}")

    def watch() -> None:
        while not ended.wait(LOOK_SECONDS):
            if len(over) < len(runs):
                look()

    def note(outcome: Outcome) -> None:
        over[outcome.name] = bool(outcome.failure)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield note
    finally:
        ended.set()
        watching.join()
        look()
