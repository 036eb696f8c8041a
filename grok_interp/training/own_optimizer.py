"""An optimizer and a learning-rate scheduler of your own, instead of those that a configuration names.

A run stays a function of its configuration and of these objects. Resume is exact if their `state_dict` holds all that
changes, as those of torch's classes do; a state that cannot be read back without executing code is refused.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

PLAIN = (Tensor, int, float, str, bool, type(None))


@dataclass(frozen=True)
class OwnOptimizer:
    """An optimizer of your own, with an optional scheduler, for `run_training`.

    Args:
        build: model -> a torch optimizer of its parameters. It takes its step without a closure.
        schedule: optimizer -> a torch scheduler, which takes a step after every update. Without one the rates of the
            optimizer's groups follow the schedule of the configuration, as multiples of what they are.
        name: is recorded in the run, and a run is resumed under this name only; by default that of `build`.

    Example:
        >>> own = OwnOptimizer(lambda model: torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), name="sgd")
        >>> own.built(nn.Linear(2, 2))[0].param_groups[0]["peak"]
        0.1
    """

    build: Callable[[nn.Module], torch.optim.Optimizer]
    schedule: Callable[[torch.optim.Optimizer], LRScheduler] | None = None
    name: str = ""

    @property
    def label(self) -> str:
        return self.name or f"{self.build.__module__}.{getattr(self.build, '__qualname__', type(self.build).__name__)}"

    def built(self, model: nn.Module) -> tuple[torch.optim.Optimizer, LRScheduler | None]:
        """Raises ValueError for an optimizer that needs a closure, and for a scheduler that needs a measure.

        Args:
            model: whose parameters it updates.
        """
        optimizer = self.build(model)
        closure = inspect.signature(optimizer.step).parameters.get("closure")
        if closure is not None and closure.default is inspect.Parameter.empty:
            raise ValueError(
                f"{type(optimizer).__name__} needs a closure, which evaluates the loss several times in an update: "
                "give an optimizer whose step() needs none"
            )
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
        scheduler = self.schedule(optimizer) if self.schedule else None
        if isinstance(scheduler, ReduceLROnPlateau):
            raise ValueError("ReduceLROnPlateau needs a measure in step(): give a scheduler that counts steps")
        return optimizer, scheduler


def require_plain(state: Any, where: str) -> None:
    """Raises ValueError for a state that cannot be kept as tensors, numbers, texts and containers of them."""
    if found := next(_others(state, where), None):
        raise ValueError(
            f"{found} cannot be kept in a resume point: a state_dict must hold tensors, numbers, texts, lists and "
            "dictionaries, so that it is read back without executing code. Change state_dict and load_state_dict of "
            "that class; without it the run could not be resumed"
        )


def _others(value: Any, where: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _others(each, f"{where}[{key!r}]")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for number, each in enumerate(value):
            yield from _others(each, f"{where}[{number}]")
    elif not isinstance(value, PLAIN):
        yield f"{where} of type {type(value).__name__}"
