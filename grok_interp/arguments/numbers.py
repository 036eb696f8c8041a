"""Numbers and heads that callers give, made Python's own, or refused with the argument's name and what came."""

from __future__ import annotations

import math
import re
from numbers import Real
from operator import index
from typing import Any

from grok_interp.arguments.objects import is_listing, shown

LEAST = {"seed": 0, "batch_size": 1}
HEAD_NAME = re.compile(r"L(\d+)H(\d+)")


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
