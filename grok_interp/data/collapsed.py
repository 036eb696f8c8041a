"""Text with every run of whitespace collapsed to one space, and where its tokens are in the original text.

Copies are searched for in this form, so that indentation and line breaks hide none. A token is a token of the corpus's
vocabulary: the collapsed text is encoded anew, so 50 tokens are 50 bytes of collapsed text with the byte vocabulary
and 50 BPE tokens of it with a BPE. Whitespace is ASCII whitespace; the end of a document (NUL) is not whitespace.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, Integer, UInt8

from grok_interp.data.vocabulary import Vocabulary

SPACE = ord(" ")
IS_WHITESPACE = np.isin(np.arange(256), list(b" \t\n\r\f\v"))


def collapsed_bytes(text: bytes) -> tuple[UInt8[np.ndarray, " byte"], Int64[np.ndarray, " byte"]]:
    """The text with one space for each run of whitespace.

    Args:
        text: UTF-8, or any bytes.

    Returns:
        The bytes of the collapsed text, and the position in `text` at which each of them begins.

    Example:
        >>> bytes, first = collapsed_bytes(b"if x:\\n    y")
        >>> bytes.tobytes(), first.tolist()
        (b'if x: y', [0, 1, 2, 3, 4, 5, 10])
    """
    original = np.frombuffer(text, dtype=np.uint8)
    is_whitespace = IS_WHITESPACE[original]
    follows_whitespace = np.concatenate([[False], is_whitespace[:-1]])[: len(original)]
    first = np.flatnonzero(~(is_whitespace & follows_whitespace))
    return np.where(is_whitespace, np.uint8(SPACE), original)[first], first


def collapsed_tokens(text: bytes, vocabulary: Vocabulary) -> Integer[np.ndarray, " token"]:
    """The tokens of the collapsed text.

    Args:
        text: UTF-8, or any bytes.
        vocabulary: encodes the collapsed text.

    Example:
        >>> from grok_interp.data.vocabulary import ByteVocabulary
        >>> collapsed_tokens(b"a  b", ByteVocabulary()).tolist()
        [97, 32, 98]
    """
    return vocabulary.encode(collapsed_bytes(text)[0].tobytes())


@dataclass(frozen=True)
class CollapsedText:
    """Tokens of collapsed text, each with its place in the original text.

    Positions count tokens of the original text. A window [start, stop) of the original text contains the collapsed
    tokens i to j if start <= latest_start[i] and stop >= earliest_stop[j]. A part of a run of whitespace is enough.

    Attributes:
        tokens: of the collapsed text.
        latest_start: the last position at which a window that contains the token can start.
        earliest_stop: the first position at which a window that contains the token can stop.
    """

    tokens: Integer[np.ndarray, " token"]
    latest_start: Int64[np.ndarray, " token"]
    earliest_stop: Int64[np.ndarray, " token"]

    @classmethod
    def of(cls, text: bytes, original: Integer[np.ndarray, " token"], vocabulary: Vocabulary) -> CollapsedText:
        """The collapsed form of one document.

        Args:
            text: UTF-8, or any bytes.
            original: the tokens of `text`.
            vocabulary: that encoded `text`, and encodes its collapsed form.

        Example:
            >>> from grok_interp.data.vocabulary import ByteVocabulary
            >>> vocabulary = ByteVocabulary()
            >>> CollapsedText.of(b"a  b", vocabulary.encode(b"a  b"), vocabulary).latest_start.tolist()
            [0, 2, 3]
        """
        text, widths = vocabulary.read(text), vocabulary.widths
        token_of_byte = np.repeat(np.arange(len(original)), widths[original])
        found, first = collapsed_bytes(text)
        last = np.append(first[1:], len(text)) - 1
        tokens = vocabulary.encode(found.tobytes())
        stops = np.cumsum(widths[tokens])
        starts = stops - widths[tokens]
        return cls(tokens, token_of_byte[last[starts]], token_of_byte[first[stops - 1]] + 1)

    def before(self, cut: int) -> CollapsedText:
        """The part that begins before a position of the original text.

        Args:
            cut: a position of the original text, in tokens.
        """
        return self._where(np.minimum(self.latest_start, self.earliest_stop - 1) < cut)

    def after(self, cut: int) -> CollapsedText:
        """The part that ends after a position of the original text; its positions count from there.

        A token on both sides of the cut, such as a run of whitespace, belongs to both parts.

        Args:
            cut: a position of the original text, in tokens.
        """
        return self._where(np.maximum(self.latest_start, self.earliest_stop - 1) >= cut).moved(-cut)

    def moved(self, offset: int) -> CollapsedText:
        """The same tokens at positions larger by `offset`; none becomes negative.

        Args:
            offset: in tokens.
        """
        latest, earliest = (np.maximum(at + offset, 0) for at in (self.latest_start, self.earliest_stop))
        return CollapsedText(self.tokens, latest, earliest)

    def _where(self, kept: np.ndarray) -> CollapsedText:
        return CollapsedText(self.tokens[kept], self.latest_start[kept], self.earliest_stop[kept])
