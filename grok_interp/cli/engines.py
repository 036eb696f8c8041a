"""`--engine` and what belongs to it: where many runs, or many checkpoints, are worked on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from grok_interp.engines.engine import Engine


@dataclass(frozen=True)
class EngineOptions:
    """Where many runs or checkpoints are worked on.

    Args:
        jobs: runs or groups of checkpoints at a time, each in a process of its own; Ctrl-C then costs each its last 20
            seconds.
    """

    jobs: int = 1

    def chosen(self) -> Engine:
        """Raises ValueError for options that do not fit."""
        from grok_interp.engines.local import LocalEngine

        if self.jobs < 1:
            raise ValueError(f"--jobs needs 1 process or more, got {self.jobs}")
        return LocalEngine(self.jobs)


EngineFlags = Annotated[EngineOptions, tyro.conf.arg(name="")]
HERE = EngineOptions()
