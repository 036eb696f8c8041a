"""The forward pass of a model that a caller gave: what it raises is told apart from what hooks raise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn

from grok_interp.arguments.functions import FailedForwardError, raised
from grok_interp.device import is_out_of_memory


class _OfHookError(Exception):
    """An error of a hook, on its way through the model's own code."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


@contextmanager
def named_errors(forward: Callable[..., Any]) -> Iterator[None]:
    """Inside, a model runs; its errors say that they are its own. No memory and errors of hooks stay what they are.

    Args:
        forward: the function that runs.
    """
    try:
        yield
    except _OfHookError as found:
        raise found.error from found.error.__cause__
    except Exception as error:
        if is_out_of_memory(error):
            raise
        code = getattr(forward, "__code__", None)
        said = raised(error, code and code.co_filename)
        raise FailedForwardError(
            f"the forward pass of the model in the TorchAdapter raised {said}: correct the model, or give forward="
        ) from error


def forward_hook(function: Callable[..., Tensor | None], name: str) -> Callable[..., Any]:
    """A hook of torch that calls one of TransformerLens.

    Args:
        function: of an activation and the hook.
        name: of the hook.
    """

    def hook(module: nn.Module, inputs: Any, output: Any) -> Any:  # noqa: ARG001 (torch's signature)
        try:
            if not isinstance(output, Tensor):
                raise ValueError(
                    f"the module hooked as {name} must return one tensor, got {type(output).__name__}: hook a module "
                    "inside"
                )
            return function(output, hook=SimpleNamespace(name=name))
        except Exception as error:
            raise _OfHookError(error) from error

    return hook
