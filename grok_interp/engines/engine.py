"""`Engine`: calls a function for each of many cells and yields what came of each, as they finish.

    for outcome in engine.map(work, {"one": 1, "two": 2}):
        outcome.name, outcome.made, outcome.failure

A cell that fails is an outcome with a message; the others go on. Ctrl-C ends all that runs.
"""

from __future__ import annotations

import importlib.util
import traceback
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

Cell = TypeVar("Cell")
MOST_LISTED = 8  # failures in a message
LOST = "its process was killed: memory is the usual reason; give fewer --jobs or a smaller --micro-batch-size"


@dataclass(frozen=True)
class Outcome:
    """What came of a cell.

    Args:
        name: of the cell.
        made: what the function returned.
        failure: one line that says why it failed; empty if it did not.
        details: the traceback of a failure.
    """

    name: str
    made: Any = None
    failure: str = ""
    details: str = ""


class Engine(Protocol):
    """Where cells are worked on, and how many at a time."""

    def map(self, work: Callable[[Cell], Any], cells: Mapping[str, Cell]) -> Generator[Outcome]:
        """One outcome for each cell, in the order in which they finish; all that runs ends when it is closed.

        Args:
            work: is called once for each cell; it and the cells can be pickled.
            cells: name -> what `work` is called with.
        """
        ...


class FailedCellsError(RuntimeError):
    """Cells failed; all others are finished.

    Args:
        failures: name of a cell -> why it failed.
        n_cells: how many cells were worked on.
    """

    def __init__(self, failures: Mapping[str, str], n_cells: int) -> None:
        self.failures = dict(failures)
        super().__init__(
            f"{len(failures)} of {n_cells} failed, the others are finished; the same command tries again:\n  "
            + "\n  ".join(listed(failures))
        )


def listed(failures: Mapping[str, str]) -> list[str]:
    """One line for each failure, up to `MOST_LISTED`.

    Args:
        failures: name of a cell -> why it failed.
    """
    lines = [f"{name} failed: {failure}" for name, failure in list(failures.items())[:MOST_LISTED]]
    left_out = len(failures) - len(lines)
    return [*lines, f"and {left_out} more"] if left_out else lines


def attempted(work: Callable[[Cell], Any], name: str, cell: Cell) -> Outcome:
    """`work(cell)`, or why it failed.

    Args:
        work: is called here, in this process.
        name: of the cell.
        cell: what it is called with.
    """
    try:
        return Outcome(name, work(cell))
    except Exception as error:
        text = " ".join(str(error).split())
        failure = text if isinstance(error, ValueError) and text else f"{type(error).__name__}: {text}".rstrip(": ")
        return Outcome(name, None, failure, traceback.format_exc())


def require_installed(module: str, *, engine: str) -> None:
    """Raises ValueError where a module of the extra `cluster` is missing; imports nothing.

    Args:
        module: its name.
        engine: that needs it.
    """
    if importlib.util.find_spec(module) is None:
        raise ValueError(
            f"--engine {engine} needs {module}, which is not installed: pip install 'grok-interp[cluster]'"
        )
