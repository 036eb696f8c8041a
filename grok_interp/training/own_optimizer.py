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

from grok_interp.arguments.functions import function_of
from grok_interp.arguments.objects import shown
from grok_interp.arguments.strings import text

KEPT = ("step", "state_dict", "load_state_dict")  # of an optimizer and of a scheduler
GIVEN = {"build": "the model", "schedule": "the optimizer"}
EXAMPLES = {
    "build": "lambda model: torch.optim.SGD(model.parameters(), lr=0.1)",
    "schedule": "lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, step_size=1000)",
}
PLAIN = (Tensor, int, float, str, bool, type(None))


@dataclass(frozen=True)
class OwnOptimizer:
    """An optimizer of your own, with an optional scheduler, for `run_training`.

    Args:
        build: model -> a torch optimizer of its parameters. It takes its step without a closure.
        schedule: optimizer -> a torch scheduler, which takes a step after every update. Without one the rates of the
            optimizer's groups follow the schedule of the configuration, as multiples of what they are.
        name: is recorded in the run, and a run is resumed under this name only; by default that of `build`.

    Raises:
        ValueError: for a `build` or `schedule` that is no function.

    Example:
        >>> own = OwnOptimizer(lambda model: torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), name="sgd")
        >>> own.built(nn.Linear(2, 2))[0].param_groups[0]["peak"]
        0.1
    """

    build: Callable[[nn.Module], torch.optim.Optimizer]
    schedule: Callable[[torch.optim.Optimizer], LRScheduler] | None = None
    name: str = ""

    def __post_init__(self) -> None:
        function_of(self.build, "build")
        if self.schedule is not None:
            function_of(self.schedule, "schedule")
        text(self.name, "name", "sgd")

    @property
    def label(self) -> str:
        return self.name or f"{self.build.__module__}.{getattr(self.build, '__qualname__', type(self.build).__name__)}"

    def built(self, model: nn.Module) -> tuple[torch.optim.Optimizer, LRScheduler | None]:
        """Raises ValueError for what is no optimizer or no scheduler, for one that needs a closure, or a measure.

        Also if a function raises an error.

        Args:
            model: whose parameters it updates.
        """
        optimizer = _returned("build", self.build, model)
        _require_attributes(optimizer, (*KEPT, "zero_grad", "param_groups"), "build", "a torch optimizer")
        closure = inspect.signature(optimizer.step).parameters.get("closure")
        if closure is not None and closure.default is inspect.Parameter.empty:
            raise ValueError(
                f"{type(optimizer).__name__} needs a closure, which evaluates the loss several times in an update: "
                "give an optimizer whose step() needs none"
            )
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
        if self.schedule is None:
            return optimizer, None
        scheduler = _returned("schedule", self.schedule, optimizer)
        _require_attributes(scheduler, KEPT, "schedule", "a torch scheduler")
        if isinstance(scheduler, ReduceLROnPlateau):
            raise ValueError("ReduceLROnPlateau needs a measure in step(): give a scheduler that counts steps")
        return optimizer, scheduler


def _returned(name: str, function: Callable[[Any], Any], given: Any) -> Any:
    try:
        return function(given)
    except Exception as error:  # of the caller's own code
        said = " ".join(str(error).split())
        raise ValueError(
            f"{name} raised {type(error).__name__} ({said}): it is called with {GIVEN[name]}, as in {EXAMPLES[name]}"
        ) from error


def _require_attributes(found: Any, names: Sequence[str], function: str, kind: str) -> None:
    if missing := [name for name in names if not hasattr(found, name)]:
        raise ValueError(
            f"{function} must return {kind}, got {shown(found)}, which has no {', '.join(missing)}: return one of "
            f"torch.optim{'.lr_scheduler' if function == 'schedule' else ''}"
        )


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
