"""Tokens of a view: strings, or ids with what says how they read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from jaxtyping import Int64
from torch import Tensor

from grok_interp.data.token_rows import token_rows
from grok_interp.plots.attention.decoded_tokens import (
    decoded_tokens,
    encoded_text,
    ids_of_entries,
    require_tokenizer,
)

Names = Callable[[list[int]], Sequence[str]] | Sequence[str]
if TYPE_CHECKING:
    Tokens = Tensor | np.ndarray | Sequence[int] | Sequence[str] | str | None
else:
    Tokens = Any


@dataclass(frozen=True, eq=False)
class ViewTokens:
    """`given` is the type of the argument; strings are None where there are none, ids where strings were given."""

    given: str
    strings: list[str] | None = None
    ids: Int64[Tensor, " pos"] | None = None

    @property
    def n_tokens(self) -> int | None:
        return None if self.strings is None else len(self.strings)

    def require_ids(self) -> Int64[Tensor, " pos"]:
        """Raises ValueError for tokens that a model cannot read."""
        if self.ids is None:
            raise ValueError(
                f"a model needs token numbers (a tensor), got {self.given}: names= or tokenizer= says how they read"
            )
        return self.ids


def view_tokens(tokens: Tokens, *, names: Names | None = None, tokenizer: Any = None, model: Any = None) -> ViewTokens:
    """Tokens in whichever form they are given.

    Args:
        tokens: strings, ids of one sequence, a text for the tokenizer, or None for positions.
        names: a string for each token, or a function from ids to them.
        tokenizer: of `transformers` or `tokenizers`; that of the model by default.
        model: whose `tokenizer` reads ids where nothing else does, and whose `to_tokens` splits a text.

    Raises:
        ValueError: for both names and tokenizer, several sequences, names of other tokens, a text without tokenizer.
    """
    if tokenizer is not None:
        require_tokenizer(tokenizer)
        if names is not None:
            raise ValueError("names= and tokenizer= both say how tokens read: give one of them")
    given, numbers = type(tokens).__name__, cast(Any, tokens)
    if tokens is None:
        return ViewTokens(given)
    if isinstance(tokens, str):
        numbers = _split(tokens, tokenizer, model)
    elif isinstance(tokens, Sequence) and any(isinstance(token, str) for token in tokens):
        if names is not None:
            raise ValueError("names= says how token ids read, got strings as tokens=: leave names= out")
        if tokenizer is None:
            return ViewTokens(f"{given} of strings", list(map(str, tokens)))
        numbers = ids_of_entries(tokenizer, list(map(str, tokens)))
    rows = token_rows(numbers)
    if len(rows) > 1:
        raise ValueError(f"a view shows one sequence of tokens, got a tensor of shape {tuple(rows.shape)}: tokens[0]")
    return ViewTokens(given, _strings(rows[0].tolist(), names, tokenizer or getattr(model, "tokenizer", None)), rows[0])


def _split(text: str, tokenizer: Any, model: Any) -> Any:
    if tokenizer is not None:
        return encoded_text(tokenizer, text)
    if getattr(model, "tokenizer", None) is not None:
        return model.to_tokens(text)
    raise ValueError(f"tokens= is one text ({text!r:.40}): give tokenizer= to split it, or a list of strings")


def _strings(numbers: list[int], names: Names | None, tokenizer: Any) -> list[str]:
    if names is None:
        return decoded_tokens(tokenizer, numbers) if tokenizer is not None else [str(number) for number in numbers]
    strings = list(names(numbers) if callable(names) else names)
    if len(strings) != len(numbers):
        raise ValueError(f"names= must give one string for each of {len(numbers)} tokens, got {len(strings)}")
    return strings
