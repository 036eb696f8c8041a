"""What configurations share: refusing with all reasons at once, and being built from plain values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from functools import cache
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

LARGEST_INTEGER = 2**53  # below it a number is the same in JSON, in float64 and in every library
LONGEST_SHOWN = 80  # characters of a wrong value in a message
PLAIN = {bool: "true or false", int: "an integer below 2^53", float: "a number", str: "a string", NoneType: "null"}


def refuse_if_any(config: object, reasons: Iterator[str]) -> None:
    """Raises ValueError that lists every reason; `reasons` may count on the types of the fields."""
    if broken := list(_wrong_types(config)) or list(reasons):
        raise ValueError(f"{type(config).__name__}: " + "; ".join(broken))


def _wrong_types(config: object) -> Iterator[str]:
    for name, kind in kinds_of(type(config)).items():
        if not _fits(value := getattr(config, name), kind):
            shown = repr(value) if isinstance(value, str | int | float | bool | None) else type(value).__name__
            yield f"{name} must be {described(kind)}, got {shown[:LONGEST_SHOWN]}"


@cache
def kinds_of(cls: type) -> dict[str, Any]:
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in fields(cls)}


def _fits(value: object, kind: Any) -> bool:
    if get_origin(kind) in (Union, UnionType):
        return any(_fits(value, each) for each in get_args(kind))
    if get_origin(kind) is Literal:  # which of them it is, is a reason of its own
        return isinstance(value, str)
    if get_origin(kind) is tuple:
        of_any_length = get_args(kind)[-1] is Ellipsis
        kinds = get_args(kind)[:1] * len(value) if of_any_length and isinstance(value, tuple) else get_args(kind)
        return isinstance(value, tuple) and len(value) == len(kinds) and all(map(_fits, value, kinds))
    if kind in (int, float):
        is_number = isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)
        return is_number and not (isinstance(value, int) and abs(value) >= LARGEST_INTEGER)
    return isinstance(value, kind)


def described(kind: Any) -> str:
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(map(described, get_args(kind)))
    if get_origin(kind) is tuple:
        return "a list of " + " and ".join(described(each) for each in get_args(kind) if each is not Ellipsis)
    return PLAIN[str] if get_origin(kind) is Literal else PLAIN.get(kind, getattr(kind, "__name__", str(kind)))


def below_one(config: object, *names: str) -> Iterator[str]:
    for name in names:
        if getattr(config, name) < 1:
            yield f"{name} must be at least 1, got {getattr(config, name)}"


def above(config: object, limits: Mapping[str, int]) -> Iterator[str]:
    for name, limit in limits.items():
        if getattr(config, name) > limit:
            yield f"{name} must be at most {limit:,}, got {getattr(config, name):,}"


def negative(config: object, *names: str) -> Iterator[str]:
    for name in names:
        if getattr(config, name) < 0:
            yield f"{name} must not be negative, got {getattr(config, name)}"


def outside_unit_interval(config: object, *names: str) -> Iterator[str]:
    for name in names:
        if not 0 <= getattr(config, name) <= 1:
            yield f"{name} must be in [0, 1], got {getattr(config, name)}"


def build(cls: type, values: object) -> Any:
    """A configuration from the plain values of JSON. Raises ValueError for what is not one."""
    if not isinstance(values, Mapping):
        raise ValueError(f"{cls.__name__}: its fields are needed, got {type(values).__name__}")
    known = {f.name for f in fields(cls)}
    required = {f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING}
    unknown, missing = set(values) - known, required - set(values)
    if unknown or missing:
        raise ValueError(f"{cls.__name__}: unknown fields {sorted(unknown)}, missing fields {sorted(missing)}")
    return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat.update(flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value})
    return flat
