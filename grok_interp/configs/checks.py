"""What configurations share: refusing with all reasons at once, and being built from plain values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any


def refuse_if_any(config: object, reasons: Iterator[str]) -> None:
    """Raises ValueError that lists every reason."""
    if broken := list(reasons):
        raise ValueError(f"{type(config).__name__}: " + "; ".join(broken))


def below_one(config: object, *names: str) -> Iterator[str]:
    for name in names:
        if getattr(config, name) < 1:
            yield f"{name} must be at least 1, got {getattr(config, name)}"


def outside_unit_interval(config: object, *names: str) -> Iterator[str]:
    for name in names:
        if not 0 <= getattr(config, name) <= 1:
            yield f"{name} must be in [0, 1], got {getattr(config, name)}"


def build(cls: type, values: Mapping[str, Any]) -> Any:
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
