"""Token ids as the text they stand for, by a tokenizer of `transformers` or of `tokenizers`.

Decoded one at a time, a token may lose its leading space (SentencePiece) or be a part of a character (byte-level BPE).
The vocabulary's own entry tells, and bytes are then shown as <0xE2>, as LLaMA writes them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from grok_interp.data.vocabulary import PART, byte_of_character

BYTE = re.compile("<0x[0-9A-F]{2}>")
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"  # SentencePiece's


def require_tokenizer(tokenizer: Any) -> None:
    """Raises ValueError for what does not decode."""
    if not callable(getattr(tokenizer, "decode", None)):
        raise ValueError(
            f"tokenizer= takes a tokenizer of transformers or tokenizers, got {type(tokenizer).__name__}: names= takes "
            "a function from token ids to strings"
        )


def decoded_tokens(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """The text of each token, special ones included.

    Args:
        tokenizer: of `transformers` or `tokenizers`.
        ids: of one sequence.

    Example:
        >>> from tokenizers import Tokenizer, decoders, models
        >>> tokenizer = Tokenizer(models.BPE({"a": 0, "Ġthe": 1}, []))
        >>> tokenizer.decoder = decoders.ByteLevel()
        >>> decoded_tokens(tokenizer, [0, 1])
        ['a', ' the']
    """
    return [_decoded(tokenizer, token) for token in ids]


def encoded_text(tokenizer: Any, text: str) -> list[int]:
    """Ids as the tokenizer makes them, with the special tokens that it adds by itself."""
    encoded = tokenizer.encode(text)
    return encoded if isinstance(encoded, list) else encoded.ids  # of transformers, of tokenizers


def ids_of_entries(tokenizer: Any, entries: Sequence[str]) -> list[int]:
    """Ids of strings as the vocabulary writes them. Raises ValueError for strings that are not in it."""
    id_of = getattr(tokenizer, "convert_tokens_to_ids", None) or tokenizer.token_to_id
    ids = [id_of(entry) for entry in entries]
    for entry, token in zip(entries, ids, strict=True):
        if token is None or _entry(tokenizer, token) != entry:
            raise ValueError(
                f"tokens= has {entry!r}, which is no token of tokenizer=: give the text as one string, token ids, or "
                "strings without tokenizer="
            )
    return ids


def _decoded(tokenizer: Any, token: int) -> str:
    options = {"clean_up_tokenization_spaces": False} if hasattr(tokenizer, "convert_ids_to_tokens") else {}
    text = tokenizer.decode([token], skip_special_tokens=False, **options)
    entry = _entry(tokenizer, token)
    if entry is None:
        raise ValueError(f"tokenizer= has no token {token}: is it that of the model?")
    if PART in text and PART not in entry:
        bytes_of = byte_of_character()
        if BYTE.fullmatch(entry) or not all(character in bytes_of for character in entry):
            return entry
        return "".join(f"<0x{bytes_of[character]:02X}>" for character in entry)
    return " " + text if entry.startswith(SPACE) and not text.startswith(" ") else text


def _entry(tokenizer: Any, token: int) -> str | None:
    entry_of = getattr(tokenizer, "convert_ids_to_tokens", None) or tokenizer.id_to_token
    return entry_of(token)
