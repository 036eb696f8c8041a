"""Heads of a view by name: L1H3, or H3 where nothing says which layer an array is of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

from grok_interp.analysis.ablation_arguments import Head
from grok_interp.analysis.arguments import require_head

ViewHead = tuple[int | None, int | None]  # layer, head; None where nothing says it
HeadName = Head | str
NAME = re.compile(r"(?:L(\d+))?H(\d+)")
MOST_LISTED = 8


def head_name(head: ViewHead) -> str:
    """L1H3; H3 without a layer; "one head" of an array that is query x key alone."""
    layer, number = head
    parts = [f"{letter}{value}" for letter, value in (("L", layer), ("H", number)) if value is not None]
    return "".join(parts) or "one head"


def parsed_heads(heads: Sequence[HeadName] | None) -> list[ViewHead] | None:
    """(layer, head) of each, in whichever way it is written; None for all heads.

    Raises:
        ValueError: for a single name, no head, a head twice, and what is no head.
    """
    if heads is None:
        return None
    heads = _plain(heads)
    if isinstance(heads, str):
        raise ValueError(f"heads= is a list of heads, got the string {heads!r}: [{heads!r}]")
    parsed = [_parsed(_plain(head)) for head in heads] if isinstance(heads, Iterable) else []
    if not parsed or len(set(parsed)) < len(parsed):
        raise ValueError(f"heads= needs one (layer, head) or more, each once, got {heads}")
    return parsed


def require_available(chosen: Sequence[ViewHead], available: Sequence[ViewHead]) -> None:
    """Raises ValueError for a head that the attention does not have, with those that it has."""
    for head in chosen:
        if head in available:
            continue
        n_layers, n_heads = grid_of(available)
        if n_layers > 1 and None not in head:
            require_head(*head, n_layers=n_layers, n_heads=n_heads)  # pyright: ignore[reportArgumentType]
        listed = ", ".join(map(head_name, available[:MOST_LISTED])) + ", ..." * (len(available) > MOST_LISTED)
        raise ValueError(f"no head {head_name(head)}: the attention is of {listed}")


def grid_of(heads: Sequence[ViewHead]) -> tuple[int, int]:
    """(layers, heads per layer) of heads that are those of a whole model, in order; (0, 0) of others."""
    last_layer, last_head = heads[-1]
    if last_layer is None or last_head is None:
        return 0, 0
    whole = [(layer, head) for layer in range(last_layer + 1) for head in range(last_head + 1)]
    return (last_layer + 1, last_head + 1) if list(heads) == whole else (0, 0)


def _plain(value: Any) -> Any:
    """Of an array or a tensor, lists of Python's own numbers and strings."""
    return value.tolist() if hasattr(value, "tolist") else value


def _parsed(head: Any) -> ViewHead:
    if isinstance(head, str) and (found := NAME.fullmatch(head)):
        layer, number = found.groups()
        return (None if layer is None else int(layer)), int(number)
    if isinstance(head, Sequence) and len(head) == 2 and all(isinstance(part, Integral) for part in head):
        return int(head[0]), int(head[1])
    raise ValueError(f'heads= takes names such as "L0H1" or (layer, head), got {head!r}')
