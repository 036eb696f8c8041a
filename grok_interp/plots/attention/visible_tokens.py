"""Tokens as strings to look at: no character is invisible, turns the reading direction, or is half of one."""

from __future__ import annotations

from collections.abc import Iterable
from unicodedata import category

LONGEST = 24  # characters of a label
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"})  # controls, marks, surrogates, unassigned, spaces
COMMON = {" ": "␣", "\n": r"\n", "\r": r"\r", "\t": r"\t"}
COMBINING = frozenset({"Mn", "Mc", "Me"})


def visible_tokens(tokens: Iterable[str]) -> list[str]:
    return [visible_token(token) for token in tokens]


def visible_token(token: str) -> str:
    r"""A space is ␣, a new line \n, a tab \t, what else cannot be seen its number (‹U+200F›).

    An empty token is ‹empty›; of a long one the first 23 characters are kept, and "…".
    """
    shown = "".join(_visible(character) for character in token[:LONGEST]) or "‹empty›"
    if category(shown[0]) in COMBINING:
        shown = "◌" + shown
    return shown if len(shown) <= LONGEST and len(token) <= LONGEST else shown[: LONGEST - 1] + "…"


def _visible(character: str) -> str:
    if character in COMMON:
        return COMMON[character]
    return f"‹U+{ord(character):04X}›" if category(character) in HIDDEN else character
