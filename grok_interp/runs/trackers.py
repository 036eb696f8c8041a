"""Programs that show metrics while a run trains: TensorBoard, and trackio. Both keep what they show on this machine.

metrics.jsonl has every number, and a tracker shows it: after an interruption it resumes where the run does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

from grok_interp.arguments.objects import is_listing, shown

TrackerName = Literal["tensorboard", "trackio"]
SHOWN = ("loss", "grad_norm", "learning_rate", "tokens")


class Tracker(Protocol):
    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Values at a step."""
        ...

    def close(self) -> None: ...


class TensorBoard:
    """Event files in `tensorboard/` of the run: `tensorboard --logdir RUN`.

    Args:
        directory: of the run.
        resumed: the step that training resumes from; what was written after it is hidden.
    """

    def __init__(self, directory: Path, resumed: int) -> None:
        try:
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError as error:
            raise ValueError("tensorboard is not installed: pip install 'grok-interp[track]'") from error
        self.writer = SummaryWriter(str(directory / "tensorboard"), purge_step=resumed + 1)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Values at a step.

        Args:
            step: of the update, from 0.
            values: name -> number.
        """
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        """When training ends."""
        self.writer.close()


class Trackio:
    """A run of the project `grok_interp`, named as its folder; updates that are made again are logged again, equal.

    Args:
        directory: of the run.
        resumed: the step that training resumes from.
    """

    def __init__(self, directory: Path, resumed: int) -> None:  # noqa: ARG002 (the trackers are made alike)
        try:
            import trackio  # pyright: ignore[reportMissingImports] (an extra)
        except ImportError as error:
            raise ValueError("trackio is not installed: pip install 'grok-interp[track]'") from error
        self.library: Any = trackio
        trackio.init(project="grok_interp", name=directory.resolve().name, resume="allow")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Values at a step.

        Args:
            step: of the update, from 0.
            values: name -> number.
        """
        self.library.log(dict(values), step=step)

    def close(self) -> None:
        """When training ends."""
        self.library.finish()


TRACKERS = {"tensorboard": TensorBoard, "trackio": Trackio}


def require_trackers(names: Any) -> None:
    """Refuses what names no trackers.

    Args:
        names: what was given.

    Raises:
        ValueError: for a name alone, and for others than those of `TRACKERS`.
    """
    if not is_listing(names) or any(name not in tuple(TRACKERS) for name in names):
        remedy = f"give track=({names!r},)" if names in tuple(TRACKERS) else 'give track=("tensorboard",)'
        raise ValueError(f"track must be a list of {', '.join(TRACKERS)}, got {shown(names)}: {remedy}")


@contextmanager
def opened_trackers(names: Sequence[TrackerName], directory: Path, resumed: int) -> Iterator[list[Tracker]]:
    """Those that are named, until the context ends. Raises ValueError for one that is not installed."""
    with ExitStack() as opened:
        yield [opened.enter_context(closing(TRACKERS[name](directory, resumed))) for name in names]
