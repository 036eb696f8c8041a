"""Numbers with their nouns: "1 head", "12 heads"."""

from __future__ import annotations


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
