"""Bytes and seconds as people say them."""

from __future__ import annotations

BYTES = {"TB": 1e12, "GB": 1e9, "MB": 1e6, "kB": 1e3}
SECONDS = {"years": 365.25 * 86_400, "days": 86_400, "h": 3_600, "min": 60, "s": 1}


def size(n_bytes: float) -> str:
    """67.2 GB"""
    unit = next((unit for unit, length in BYTES.items() if n_bytes >= length), "kB")
    return f"{three_digits(n_bytes / BYTES[unit])} {unit}"


def duration(seconds: float) -> str:
    """1.5 h, but 90 min: a unit is used from two of it on."""
    unit = next((unit for unit, length in SECONDS.items() if seconds >= 2 * length), "s")
    return f"{three_digits(seconds / SECONDS[unit])} {unit}"


def three_digits(number: float) -> str:
    return f"{number:.3g}" if number < 100 else f"{number:,.0f}"
