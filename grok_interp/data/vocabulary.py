"""Text to tokens: the 256 bytes themselves, or a byte-level BPE trained on the corpus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Integer

END_OF_DOCUMENT = "\0"  # no text holds it, and both vocabularies have a token for it
PART = "\N{REPLACEMENT CHARACTER}"  # what bytes that are a part of a character are shown as


@runtime_checkable
class Symbols(Protocol):
    """Tokens to draw random sequences from, and to look at."""

    @property
    def common(self) -> Sequence[int]:
        """Tokens that text is made of: what random sequences are drawn from."""
        ...

    def show(self, tokens: Iterable[int]) -> list[str]:
        """Each token as a string to look at."""
        ...


@runtime_checkable
class Vocabulary(Symbols, Protocol):
    size: int

    def encode(self, text: bytes) -> Integer[np.ndarray, " token"]: ...

    def read(self, text: bytes) -> bytes:
        """The text that the tokens of `text` stand for; another one only where bytes are not UTF-8."""
        ...

    @property
    def widths(self) -> Integer[np.ndarray, " vocabulary"]:
        """How many bytes of text each token stands for."""
        ...

    @property
    def common(self) -> range: ...


class ByteVocabulary:
    """Token = byte; nothing to train."""

    size = 256
    common = range(32, 127)  # printable ASCII
    widths = np.ones(size, dtype=np.int64)

    def encode(self, text: bytes) -> Integer[np.ndarray, " token"]:
        return np.frombuffer(text, dtype=np.uint8)

    def read(self, text: bytes) -> bytes:
        return text

    def show(self, tokens: Iterable[int]) -> list[str]:
        return [chr(token) if 32 <= token < 127 else repr(chr(token))[1:-1] for token in tokens]


class BPEVocabulary:
    """Byte-level BPE (the `tokenizers` library); every text has an encoding, single characters included."""

    def __init__(self, tokenizer) -> None:
        self.tokenizer = tokenizer
        self.size: int = tokenizer.get_vocab_size()
        written = (tokenizer.id_to_token(token) for token in range(self.size))  # one character for each byte
        self.widths = np.array([len(token) for token in written], dtype=np.int64)

    @classmethod
    def train(cls, texts: Iterable[bytes], size: int) -> BPEVocabulary:
        """Raises ValueError when the text is too small to give `size` tokens."""
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        if size <= len(alphabet):
            raise ValueError(f"a byte-level BPE has at least {len(alphabet) + 1} tokens, got {size}: raise d_vocab")
        trainer = trainers.BpeTrainer(
            vocab_size=size, special_tokens=[END_OF_DOCUMENT], initial_alphabet=alphabet, show_progress=False
        )
        tokenizer.train_from_iterator(_decoded(texts), trainer)
        if tokenizer.get_vocab_size() != size:
            found = tokenizer.get_vocab_size()
            raise ValueError(f"the corpus gives {found} BPE tokens, not {size}: lower d_vocab or take a larger corpus")
        return cls(tokenizer)

    @classmethod
    def load(cls, file: Path) -> BPEVocabulary:
        from tokenizers import Tokenizer

        return cls(Tokenizer.from_file(str(file)))

    @property
    def common(self) -> range:
        return range(1, self.size)  # all but the end of a document

    def save(self, file: Path) -> None:
        self.tokenizer.save(str(file))

    def encode(self, text: bytes) -> Integer[np.ndarray, " token"]:
        return np.array(self.tokenizer.encode(text.decode("utf-8", "replace")).ids, dtype=np.uint32)

    def read(self, text: bytes) -> bytes:
        return text.decode("utf-8", "replace").encode()

    def show(self, tokens: Iterable[int]) -> list[str]:
        return [self.tokenizer.decode([token], skip_special_tokens=False) for token in tokens]


def printable_alphabet(vocabulary: Symbols) -> tuple[int, ...]:
    """Tokens that can be seen: those of `vocabulary.common` whose text is printable and not blank.

    Args:
        vocabulary: of bytes, BPE, or a tokenizer from elsewhere.

    Returns:
        Token ids in increasing order; the 94 bytes 33 to 126 for the byte vocabulary. Neither a space nor a newline,
        nor a part of a character, is among them.

    Example:
        >>> printable_alphabet(ByteVocabulary()) == tuple(range(33, 127))
        True
    """
    shown = zip(vocabulary.common, vocabulary.show(vocabulary.common), strict=True)
    return tuple(token for token, text in shown if text.isprintable() and text.strip() and PART not in text)


def _decoded(texts: Iterable[bytes]) -> Iterator[str]:
    return (text.decode("utf-8", "replace") for text in texts)
