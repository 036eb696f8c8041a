"""Functions that callers give: whether they can be called with as many arguments as they will be.

Callable[[int], None], Evaluate     a function of one argument, of two
Callable[..., object]               any function
"""

from __future__ import annotations

import inspect
import re
from functools import partial
from os.path import abspath
from traceback import walk_tb
from typing import Any

from grok_interp.arguments.objects import Rule, shown

FUNCTION = re.compile(r"Callable\[(.+)\]|Evaluate")
N_ARGUMENTS = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]")  # the list of them in a Callable


class FailedForwardError(ValueError):
    """That the forward pass of a caller's model raised something, which is its `__cause__`."""


def rule_of_functions(kind: str) -> Rule | None:
    """How an argument with this annotation is checked; None where it is no function.

    Args:
        kind: the annotation as it is written, without "| None".
    """
    if not (function := FUNCTION.fullmatch(kind)):
        return None
    return partial(function_of, n_arguments=_n_arguments(function[1] or "[int, Transformer]"))


def function_of(value: Any, name: str, n_arguments: int | None = None) -> Any:
    """The function.

    Args:
        value: what was given.
        name: of the argument, for the message.
        n_arguments: that it is called with; None if that is not known.

    Raises:
        ValueError: for what cannot be called, or not with so many arguments.
    """
    if not callable(value):
        raise ValueError(f"{name} must be a function, got {shown(value)}: give the function itself, not its result")
    if n_arguments is not None and (signature := _signature(value)) is not None:
        try:
            signature.bind(*range(n_arguments))
        except TypeError as error:
            needed = f"{n_arguments} argument{'s' * (n_arguments != 1)}"
            raise ValueError(
                f"{name} must be a function that is called with {needed}, got one that takes {signature} ({error})"
            ) from error
    return value


def raised(error: BaseException, file: str | None = None) -> str:
    """What the code of a caller raised, for a message: type, text and, where it is known, the line of its file.

    Args:
        error: that was caught.
        file: the path of the code, if it is known.
    """
    path = file and abspath(file)
    lines = [line for frame, line in walk_tb(error.__traceback__) if abspath(frame.f_code.co_filename) == path]
    where = f" in line {lines[-1]} of {file}" if lines else ""
    return f"{type(error).__name__}({' '.join(str(error).split())}){where}"


def _n_arguments(callable_of: str) -> int | None:
    """Of `[Path, TrainConfig], object`; None for `..., object`."""
    if not callable_of.startswith("["):
        return None
    found = N_ARGUMENTS.match(callable_of)
    return len(re.sub(r"\[[^\]]*\]", "", found[1]).split(",")) if found and found[1] else 0


def _signature(function: Any) -> inspect.Signature | None:
    """None of some that are not written in Python."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None
