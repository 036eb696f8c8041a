"""Tokens of models that were trained elsewhere: those of a tokenizer.json, or bare numbers where there is none."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

from grok_interp.data.vocabulary import each_decoded, read_tokenizer

LINE_END = "\n"


class TokenizerVocabulary:
    """The tokens of a tokenizer, as far as a model has them.

    Args:
        tokenizer: of the `tokenizers` library.
        d_vocab: the model's vocabulary, as large as the tokenizer's or larger (models pad it).

    Attributes:
        bos: the token that the tokenizer puts before every text; None for a tokenizer that puts none.
        special: tokens that stand for no text.

    Raises:
        ValueError: for a tokenizer with more tokens than the model, or one that adds a token that the model lacks.
    """

    def __init__(self, tokenizer, d_vocab: int) -> None:
        size = tokenizer.get_vocab_size()
        if size > d_vocab:
            raise ValueError(
                f"the tokenizer has {size:,} tokens, the model's vocabulary {d_vocab:,}: give --tokenizer FILE, the "
                "tokenizer.json that the model was trained with"
            )
        self.tokenizer, self.size = tokenizer, size
        before, after = self._put_around_text()
        if unknown := [token for token in (*before, *after) if token >= d_vocab]:
            raise ValueError(
                f"the tokenizer adds token {unknown[0]} to every text, the model's tokens are 0 to {d_vocab - 1}: give "
                "--tokenizer FILE, the tokenizer.json that the model was trained with"
            )
        special = {token for token, added in tokenizer.get_added_tokens_decoder().items() if added.special}
        self.bos, self.special = next(iter(before), None), special.union(before, after)

    @classmethod
    def load(cls, file: Path, d_vocab: int) -> TokenizerVocabulary:
        """Raises ValueError for a file that is no tokenizer.json, or one of another model."""
        return cls(read_tokenizer(file), d_vocab)

    @property
    def common(self) -> Sequence[int]:
        """All but special tokens."""
        return [token for token in range(self.size) if token not in self.special]

    def _put_around_text(self) -> tuple[list[int], list[int]]:
        """The tokens that its post-processor puts before and after a text, whether it lists them as special or not."""
        each = (self.tokenizer.encode(text) for text in itertools.chain(["a"], self.tokenizer.get_vocab()))
        encoded = next((found for found in each if any(place is not None for place in found.sequence_ids)), None)
        if encoded is None:
            return [], []
        inside = [number for number, place in enumerate(encoded.sequence_ids) if place is not None]
        return encoded.ids[: inside[0]], encoded.ids[inside[-1] + 1 :]

    def encode(self, text: str) -> list[int]:
        """Without special tokens."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def single(self, texts: Iterable[str]) -> tuple[int, ...] | None:
        """The token of each text; None if one of them is no token of its own, or two are the same."""
        encoded = [self.encode(text) for text in texts]
        tokens = tuple(each[0] for each in encoded if len(each) == 1)
        return tokens if len(set(tokens)) == len(encoded) and not self.special & set(tokens) else None

    def show(self, tokens: Iterable[int]) -> list[str]:
        return each_decoded(self.tokenizer, tokens)


class NumberedVocabulary:
    """Tokens of which nothing is known but how many there are.

    Args:
        d_vocab: the model's vocabulary.
    """

    def __init__(self, d_vocab: int) -> None:
        self.common = range(d_vocab)

    def show(self, tokens: Iterable[int]) -> list[str]:
        return [str(token) for token in tokens]
