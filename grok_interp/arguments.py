"""What callers give: numbers and heads, made Python's own, or refused with the argument's name and what came.

`checked` reads the annotations of a function:

    int                     a whole number of any library (NumPy, a tensor of one number), no truth value
    float, float | int      a finite number
    bool                    True or False
    device: str             a torch device, or its name
    Sequence[int]           whole numbers: a list, a tuple, a range, an array or a tensor
    tuple[int, int]         two of them
    Sequence[Head]          heads: (layer, head) or "L1H3" each, or an array of two columns
    a class                 an object of it; lists of objects, arrays and paths: see argument_kinds.py
    Sequence[str] | str     names, or a pattern: see argument_names.py

Ranges are of the functions, except for what has one everywhere: a seed is 0 or more, a batch size 1 or more. A level,
a noise and a BOS token have rules of their own, which refuse other kinds as well.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from functools import partial, wraps
from inspect import Parameter
from numbers import Real
from operator import index
from typing import Any, ParamSpec, TypeVar

from grok_interp.argument_functions import rule_of_functions
from grok_interp.argument_kinds import Rule, is_listing, rule_of_objects, shown
from grok_interp.argument_names import RULES_OF_TEXT, text
from grok_interp.device import device_name

Given = ParamSpec("Given")
Returned = TypeVar("Returned")

LEAST = {"seed": 0, "batch_size": 1}
OWN_RULES = ("level", "noise", "bos")
HEAD_NAME = re.compile(r"L(\d+)H(\d+)")


def checked(function: Callable[Given, Returned]) -> Callable[Given, Returned]:
    """The function, with its numbers and heads checked before it runs.

    Args:
        function: annotated as above; other arguments are passed on as they are, and None where it is allowed.
    """
    signature = inspect.signature(function)
    rules = {name: rule for name, each in signature.parameters.items() if (rule := _rule_of(each))}

    @wraps(function)
    def call(*args: Given.args, **kwargs: Given.kwargs) -> Returned:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            return function(*args, **kwargs)  # Python's own words for what is missing or unknown
        for name, value in bound.arguments.items():
            if name in rules:
                bound.arguments[name] = rules[name](value, name)
        return function(*bound.args, **bound.kwargs)

    return call


def _rule_of(parameter: Parameter) -> Rule | None:
    """None for an argument that is passed on as it is."""
    kind = str(parameter.annotation)
    bare = kind.removesuffix(" | None")
    named = RULES_OF_NAMES.get(f"{parameter.name}: {bare}")
    rule = named or rule_of_objects(bare) or rule_of_functions(bare) or RULES_OF_TEXT.get(bare)
    rule = rule or (None if parameter.name in OWN_RULES else RULES.get(bare))
    if rule is None or kind == bare and parameter.kind is not Parameter.VAR_POSITIONAL:
        return rule
    if parameter.kind is Parameter.VAR_POSITIONAL:
        return lambda values, name: tuple(rule(value, name) for value in values)
    return lambda value, name: None if value is None else rule(value, name)


def whole_number(value: Any, name: str) -> int:
    """As Python's int.

    Args:
        value: what was given.
        name: of the argument, for the message.

    Raises:
        ValueError: for a fraction, a truth value and what is no number, and below the least of this name.
    """
    found, least = _index(value), LEAST.get(name)
    if found is None:
        raise ValueError(f"{name} must be a whole number, got {shown(value)}")
    if least is not None and found < least:
        raise ValueError(f"{name} must be {least} or more, got {value}")
    return found


def truth_value(value: Any, name: str) -> bool:
    """As Python's bool.

    Args:
        value: what was given.
        name: of the argument, for the message.

    Raises:
        ValueError: for anything but True and False.
    """
    if type(value).__name__ not in ("bool", "bool_"):
        raise ValueError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def finite_number(value: Any, name: str) -> float:
    """The number.

    Args:
        value: what was given.
        name: of the argument, for the message.

    Raises:
        ValueError: for NaN, infinity, a truth value and what is no number.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {shown(value)}")
    return value if isinstance(value, int | float) else float(value)


def whole_numbers(values: Any, name: str) -> list[int]:
    """As a list of Python's int.

    Args:
        values: a list, a tuple, a range, an array or a tensor of one axis.
        name: of the argument, for the message.

    Raises:
        ValueError: for anything else.
    """
    found = [_index(value) for value in values] if is_listing(values) else [None]
    numbers = [number for number in found if number is not None]
    if len(numbers) < len(found):
        raise ValueError(f"{name} must be a list of whole numbers, got {shown(values)}")
    return numbers


def two_whole_numbers(values: Any, name: str) -> tuple[int, int]:
    """As a pair of Python's int.

    Args:
        values: as `whole_numbers` takes them.
        name: of the argument, for the message.

    Raises:
        ValueError: for anything else.
    """
    numbers = whole_numbers(values, name)
    if len(numbers) != 2:
        raise ValueError(f"{name} must be two whole numbers, got {shown(values)}")
    return numbers[0], numbers[1]


def heads_of(values: Any, name: str) -> list[tuple[int, int]]:
    """(layer, head) of each.

    Args:
        values: a list of pairs or of names such as "L1H3", or an array of two columns.
        name: of the argument, for the message.

    Raises:
        ValueError: for what is no head.
    """
    found = [_head(value) for value in values] if is_listing(values) else [None]
    heads = [head for head in found if head is not None]
    if len(heads) < len(found):
        raise ValueError(f'{name} must be a list of (layer, head) or of names such as "L1H3", got {shown(values)}')
    return heads


def require_level(level: Any) -> None:
    """Refuses what is no confidence level.

    Args:
        level: what was given.

    Raises:
        ValueError: for what is no number between 0 and 1.
    """
    if not isinstance(level, Real) or not 0 < float(level) < 1:
        raise ValueError(f"level must be between 0 and 1, such as 0.95, got {level!r}")


def _index(value: Any) -> int | None:
    try:
        return None if isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool") else index(value)
    except (TypeError, ValueError):
        return None


def _head(value: Any) -> tuple[int, int] | None:
    if isinstance(value, str):
        named = HEAD_NAME.fullmatch(value)
        return (int(named[1]), int(named[2])) if named else None
    numbers = [_index(part) for part in value] if is_listing(value) else []
    match numbers:
        case [int(layer), int(head)]:
            return layer, head
    return None


RULES: dict[str, Rule] = {
    "bool": truth_value,
    "int": whole_number,
    "float": finite_number,
    "float | int": finite_number,
    "Collection[int]": whole_numbers,
    "Iterable[int]": whole_numbers,
    "Sequence[int]": whole_numbers,
    "tuple[int, int]": two_whole_numbers,
    "Sequence[Head]": heads_of,
}
RULES_OF_NAMES: dict[str, Rule] = {
    "device: str": device_name,
    "pattern: str": partial(text, such_as="checkpoint-{step}"),
    "repository: str": partial(text, such_as="EleutherAI/pythia-70m"),
}
