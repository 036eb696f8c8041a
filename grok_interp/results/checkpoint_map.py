"""Something made of each checkpoint of a series, one after another or several at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from grok_interp.models.activations import HookedModel

Made = TypeVar("Made")


class Checkpoints(Protocol):
    """Checkpoints whose weights have a name; see `CheckpointSeries`."""

    @property
    def steps(self) -> tuple[int, ...]: ...

    def at(self, steps: Iterable[int], *, device: str = "cpu") -> Iterable[tuple[int, HookedModel]]: ...

    def checksum(self, step: int) -> str: ...


def map_checkpoints(
    make: Callable[[int, HookedModel], Made],
    checkpoints: Checkpoints,
    steps: Sequence[int],
    *,
    device: str,
    at_once: int,
) -> Iterator[Made]:
    """What `make(step, model)` gives, in the order of the steps. An error is raised in its turn.

    Args:
        make: is called on `at_once` threads.
        checkpoints: the series; one at a time it is read on, and may use one model for all its steps.
        steps: of the series.
        device: where models run, a torch device.
        at_once: models in memory.
    """
    if at_once == 1:
        yield from (make(step, model) for step, model in checkpoints.at(steps, device=device))
        return

    def of_step(step: int) -> Made:
        ((_, model),) = checkpoints.at([step], device=device)
        return make(step, model)

    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(at_once) as threads:
        for step in steps:
            waiting.append(threads.submit(of_step, step))
            if len(waiting) > at_once:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
