"""Cells in this process, or in several on this machine, which end with it however it ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from typing import Any

from grok_interp.arguments import whole_number
from grok_interp.engines.engine import LOST, Cell, Outcome, attempted
from grok_interp.runs.interrupts import ending_with


@dataclass(frozen=True)
class LocalEngine:
    """`n_jobs` cells at a time, each in a process; 1 takes one after another in this process.

    When a process was killed, the cells that are left are worked on one at a time: memory is the usual reason. The one
    whose process is killed then has failed.
    """

    n_jobs: int = 1

    def __post_init__(self) -> None:
        whole_number(self.n_jobs, "n_jobs")

    def map(self, work: Callable[[Cell], Any], cells: Mapping[str, Cell]) -> Generator[Outcome]:
        """See `Engine.map`.

        Args:
            work: is called once for each cell, again for those that were not finished when a process was killed.
            cells: name -> what it is called with.
        """
        if self.n_jobs == 1 or not cells:
            yield from (attempted(work, name, cell) for name, cell in cells.items())
            return
        left = dict(cells)
        for outcome in self._in_processes(work, cells):
            del left[outcome.name]
            yield outcome
        for name, cell in left.items():
            yield from list(self._in_processes(work, {name: cell})) or [Outcome(name, failure=LOST)]

    def _in_processes(self, work: Callable[[Cell], Any], cells: Mapping[str, Cell]) -> Generator[Outcome]:
        """Ends early when a process was killed."""
        import joblib

        task = joblib.delayed(partial(_in_worker, os.getpid(), work))
        parallel: Any = joblib.Parallel  # whose types say that batch_size is a string
        pool = parallel(n_jobs=self.n_jobs, batch_size=1, return_as="generator_unordered")
        try:
            yield from pool(task(name, cell) for name, cell in cells.items())
        except BrokenProcessPool:
            return


def _in_worker(parent: int, work: Callable[[Cell], Any], name: str, cell: Cell) -> Outcome:
    with ending_with(parent):
        return attempted(work, name, cell)
