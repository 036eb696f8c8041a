"""Numbers with their nouns and units: "1 head", "12 heads", "67.2 GB", "1.5 h"."""

from __future__ import annotations

BYTES = {"TB": 1e12, "GB": 1e9, "MB": 1e6, "kB": 1e3}
SECONDS = {"years": 365.25 * 86_400, "days": 86_400, "h": 3_600, "min": 60, "s": 1}


def counted(number: int, noun: str) -> str:
    """A number and its noun, with the s of the plural unless the number is 1.

    Args:
        number: of things, 0 or more.
        noun: singular, with a regular plural.

    Example:
        >>> counted(1, "head"), counted(1200, "checkpoint")
        ('1 head', '1,200 checkpoints')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def over(number: int | None, noun: str) -> str:
    """What a number is an average or a sample of, to follow it in a sentence.

    Args:
        number: of things; None where it was not recorded, as in a result that is made by hand.
        noun: singular, with a regular plural.

    Example:
        >>> over(16, "sequence"), over(None, "sequence")
        (' over 16 sequences', '')
    """
    return "" if number is None else f" over {counted(number, noun)}"


def size(n_bytes: float) -> str:
    """Bytes in three digits, with their unit.

    Args:
        n_bytes: 0 or more.

    Example:
        >>> size(67_245_000_000)
        '67.2 GB'
    """
    unit = next((unit for unit, length in BYTES.items() if n_bytes >= length), "kB")
    return f"{three_digits(n_bytes / BYTES[unit])} {unit}"


def duration(seconds: float) -> str:
    """A time in three digits, with its unit, which is used from two of it on.

    Args:
        seconds: 0 or more.

    Example:
        >>> duration(5_400), duration(7_200)
        ('90 min', '2 h')
    """
    unit = next((unit for unit, length in SECONDS.items() if seconds >= 2 * length), "s")
    return f"{three_digits(seconds / SECONDS[unit])} {unit}"


def three_digits(number: float) -> str:
    """Three significant digits, and all digits before the decimal point.

    Args:
        number: 0 or more.

    Example:
        >>> three_digits(67.245), three_digits(9_000)
        ('67.2', '9,000')
    """
    return f"{number:.3g}" if number < 100 else f"{number:,.0f}"
