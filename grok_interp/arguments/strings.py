"""Strings that callers give: one, a list of them, a mapping between them.

Mapping[str, str]      a mapping from names to names
Sequence[str] | str    a list of names, or one pattern
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grok_interp.arguments.objects import Rule, is_listing, shown


def text(value: Any, name: str, such_as: str) -> str:
    """The string.

    Args:
        value: what was given.
        name: of the argument, for the message.
        such_as: a string that would do, for the message.

    Raises:
        ValueError: for anything else.
    """
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a string such as {such_as!r}, got {shown(value)}")
    return value


def names_of_names(values: Any, name: str) -> Any:
    """A mapping from strings to strings.

    Args:
        values: what was given.
        name: of the argument, for the message.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(values, Mapping) and all(isinstance(each, str) for pair in values.items() for each in pair):
        return values
    raise ValueError(f"{name} must be a mapping from names to names, got {shown(values)}")


def names_or_pattern(values: Any, name: str) -> list[str] | str:
    """Names as a list, or the pattern.

    Args:
        values: what was given.
        name: of the argument, for the message.

    Raises:
        ValueError: for an empty list, and for anything else.
    """
    if isinstance(values, str):
        return values
    names = list(values) if is_listing(values) else []
    if not names or not all(isinstance(each, str) for each in names):
        raise ValueError(f"{name} must be a list of one name or more, or a pattern with {{step}}, got {shown(values)}")
    return names


RULES_OF_TEXT: dict[str, Rule] = {"Mapping[str, str]": names_of_names, "Sequence[str] | str": names_or_pattern}
