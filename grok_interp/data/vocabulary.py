"""Text to tokens: the 256 bytes themselves, or a byte-level BPE trained on the corpus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Integer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

END_OF_DOCUMENT = "\0"  # no text holds it, and both vocabularies have a token for it
ENDS = (END_OF_DOCUMENT, "<|endoftext|>", "<|end_of_text|>", "</s>")  # of our own BPE, and of others
NUL = "\u0100"  # what a byte-level tokenizer.json writes for the byte 0
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

    def save(self, file: Path) -> None:
        """As a tokenizer.json of the `tokenizers` library."""
        ...


class ByteVocabulary:
    """Token = byte; nothing to train."""

    size = 256
    common = range(32, 127)  # printable ASCII
    widths = np.ones(size, dtype=np.int64)

    def encode(self, text: bytes) -> Integer[np.ndarray, " token"]:
        return np.frombuffer(text, dtype=np.uint8)

    def read(self, text: bytes) -> bytes:
        return text

    def save(self, file: Path) -> None:
        """As a tokenizer.json whose tokens are the bytes of UTF-8."""
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers

        tokenizer = Tokenizer(models.BPE(byte_of_character(), []))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.save(str(file))

    def show(self, tokens: Iterable[int]) -> list[str]:
        return [chr(token) if 32 <= token < 127 else repr(chr(token))[1:-1] for token in tokens]


class BPEVocabulary:
    """Byte-level BPE (the `tokenizers` library); every text has an encoding, single characters included.

    Of a tokenizer from elsewhere special tokens are not read in text, and the end of a document is its own token for
    that, such as `<|endoftext|>`, if it has one.

    Raises:
        ValueError: for a tokenizer that is not byte-level.
    """

    def __init__(self, tokenizer) -> None:
        self.tokenizer = tokenizer
        self.size: int = tokenizer.get_vocab_size()
        written = [tokenizer.id_to_token(token) or "" for token in range(self.size)]  # one character for each byte
        if missing := set(_character_of_byte()) - set(written):
            raise ValueError(
                f"the tokenizer is not a byte-level BPE, it has no token for {len(missing)} of the 256 bytes: take one "
                "such as that of GPT-2, Pythia or LLaMA 3, or tokenize the text yourself and give a .bin or .npy"
            )
        tokenizer.encode_special_tokens = True
        self.special = {token for token, added in tokenizer.get_added_tokens_decoder().items() if added.special}
        ends = [token for token in map(tokenizer.token_to_id, ENDS) if token is not None]
        self.end: int = ends[0] if ends else written.index(NUL)
        self.widths = np.array([len(token) for token in written], dtype=np.int64)
        self.widths[self.end] = len(END_OF_DOCUMENT)
        if self.widths[self.encode(b"a")].sum() != 1:
            raise ValueError("the tokenizer puts a space before every text (add_prefix_space): take one that does not")

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
        """Raises ValueError for a file that is no tokenizer.json, or not of a byte-level BPE."""
        return cls(read_tokenizer(file))

    @property
    def common(self) -> range:
        """The longest range without a special token and the end of a document."""
        bounds = sorted({-1, *self.special, self.end, self.size})
        last, first = max(zip(bounds[1:], bounds[:-1], strict=True), key=lambda pair: pair[0] - pair[1])
        return range(first + 1, last)

    def require_size(self, d_vocab: int) -> None:
        """Raises ValueError for more tokens than a model has."""
        if self.size > d_vocab:
            raise ValueError(
                f"the tokenizer has {self.size:,} tokens, the model's vocabulary {d_vocab:,}: raise d_vocab"
            )

    def save(self, file: Path) -> None:
        self.tokenizer.save(str(file))

    def encode(self, text: bytes) -> Integer[np.ndarray, " token"]:
        ends = text.endswith(END_OF_DOCUMENT.encode())
        content = text[:-1] if ends else text
        ids = self.tokenizer.encode(content.decode("utf-8", "replace"), add_special_tokens=False).ids
        return np.array([*ids, self.end] if ends else ids, dtype=np.uint32)

    def read(self, text: bytes) -> bytes:
        string, normalizer = text.decode("utf-8", "replace"), self.tokenizer.normalizer
        return (normalizer.normalize_str(string) if normalizer else string).encode()

    def show(self, tokens: Iterable[int]) -> list[str]:
        return each_decoded(self.tokenizer, tokens)


def read_tokenizer(file: Path) -> Tokenizer:
    """Raises ValueError for a file that is no tokenizer.json."""
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises Exception itself
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{file} is no tokenizer.json of the tokenizers library ({reason})") from error


def each_decoded(tokenizer: Tokenizer, tokens: Iterable[int]) -> list[str]:
    """Each token as a string to look at, special ones too."""
    return [tokenizer.decode([token], skip_special_tokens=False) for token in tokens]


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


def _character_of_byte() -> list[str]:
    """What a byte-level tokenizer.json writes for each byte: the byte itself if printable, else one above 255."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


def byte_of_character() -> dict[str, int]:
    """The byte that each character of a byte-level tokenizer.json stands for; `Ġ` is the space."""
    return {character: byte for byte, character in enumerate(_character_of_byte())}


def _decoded(texts: Iterable[bytes]) -> Iterator[str]:
    return (text.decode("utf-8", "replace") for text in texts)
