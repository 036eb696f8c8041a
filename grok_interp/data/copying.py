"""The copying test (Figure 1 of "Language Models 'Grok' to Copy") and repeated sequences for induction heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from grok_interp.arguments import checked, whole_number, whole_numbers
from grok_interp.data.bos import after_bos, require_bos

PAPER_N_SEQUENCES = 50
HEXADECIMAL = tuple(b"0123456789abcdef")
NEWLINE = ord("\n")


@dataclass(frozen=True, kw_only=True)
class CopyTask:
    """Random strings, one per line, then the prefix of the i-th again: does the model continue with its suffix?

    The defaults are the paper's: 500 samples of 50 strings of 12 + 6 hexadecimal characters and a newline; the prefixes
    of a sample are distinct, and so are its suffixes; every fifth string is queried.

    The alphabet changes the accuracy, so results record its name (`alphabet_name`) and its size. Hexadecimal strings
    repeat pairs of symbols by chance, so longer matches are needed to find the place to copy from. Among the 94 symbols
    of `vocabulary.printable_alphabet` a match of two symbols is almost always the correct one.

    Args:
        n_sequences: strings in the context, 1 or more.
        n_prefix: tokens of a prefix, 1 or more.
        n_suffix: tokens of a suffix, 1 or more.
        n_samples: contexts, 1 or more.
        query_every: the strings i = 0 (mod query_every) are queried.
        alphabet: token ids of the symbols; by default hexadecimal digits of the byte vocabulary.
        separator: token id after each string; by default a newline of the byte vocabulary.
        seed: of the random strings.
        bos: token id that is put before the first string, as models trained with a beginning-of-sequence token expect;
            it counts as one token of the context and is never queried. None for no such token.
        alphabet_label: the name of the alphabet in results; empty for a default name.

    Example:
        >>> task = CopyTask(n_sequences=5, n_samples=3)
        >>> task.n_tokens, list(task.queries)
        (113, [0])
    """

    n_sequences: int = PAPER_N_SEQUENCES
    n_prefix: int = 12
    n_suffix: int = 6
    n_samples: int = 500
    query_every: int = 5
    alphabet: tuple[int, ...] = HEXADECIMAL
    separator: int = NEWLINE
    seed: int = 0
    bos: int | None = None
    alphabet_label: str = ""

    def __post_init__(self) -> None:
        for name in ("n_sequences", "n_prefix", "n_suffix", "n_samples", "query_every"):
            if whole_number(getattr(self, name), f"CopyTask: {name}") < 1:
                raise ValueError(f"CopyTask: {name} must be at least 1, got {getattr(self, name)}")
        object.__setattr__(self, "alphabet", tuple(whole_numbers(self.alphabet, "CopyTask: alphabet")))
        ids = {"separator": self.separator, "seed": self.seed, "alphabet": min(self.alphabet, default=0)}
        for name, least in ids.items():
            if whole_number(least, f"CopyTask: {name}") < 0:
                raise ValueError(f"CopyTask: {name} must not be negative, got {least}")
        if len(set(self.alphabet)) != len(self.alphabet) or self.separator in self.alphabet:
            raise ValueError("CopyTask: the alphabet's tokens must be distinct, and the separator none of them")
        require_bos(self.bos, (*self.alphabet, self.separator))
        for part, length in (("prefixes", self.n_prefix), ("suffixes", self.n_suffix)):
            if len(self.alphabet) ** length < self.n_sequences:
                raise ValueError(
                    f"CopyTask: {len(self.alphabet)} symbols give {len(self.alphabet) ** length} {part} of length "
                    f"{length}, fewer than the {self.n_sequences} sequences that must differ"
                )

    @classmethod
    def fitting(cls, n_ctx: int, **options) -> CopyTask:
        """The paper's test with as many strings as the context holds, at most 50; up to 10 strings are all queried.

        Args:
            n_ctx: tokens of the context.
            options: other arguments of `CopyTask`.

        Raises:
            ValueError: for a context that holds no string and its query.
        """
        task = cls(n_sequences=1, **options)
        n_sequences = min(PAPER_N_SEQUENCES, task.most_sequences(n_ctx))
        task.require_context(n_ctx)
        options = {"query_every": 5 if n_sequences > 10 else 1, **options}
        return cls(n_sequences=n_sequences, **options)

    @property
    def alphabet_name(self) -> str:
        """The label; without one, "hexadecimal" for the default alphabet and "custom" for any other."""
        return self.alphabet_label or ("hexadecimal" if self.alphabet == HEXADECIMAL else "custom")

    @property
    def n_line(self) -> int:
        return self.n_prefix + self.n_suffix + 1

    @property
    def n_tokens(self) -> int:
        """The context that the test needs."""
        return self.n_bos + self.n_sequences * self.n_line + self.n_prefix + self.n_suffix

    @property
    def n_bos(self) -> int:
        """Tokens before the first string: 1 with `bos`, else 0."""
        return int(self.bos is not None)

    def most_sequences(self, n_ctx: int) -> int:
        """How many sequences a context of n_ctx tokens has room for; 0 or less when the query alone is too long.

        Args:
            n_ctx: tokens of the context.
        """
        return (n_ctx - self.n_bos - self.n_prefix - self.n_suffix) // self.n_line

    @property
    def queries(self) -> range:
        """The indices i of the strings that are queried."""
        return range(0, self.n_sequences, self.query_every)

    def require_context(self, n_ctx: int) -> None:
        """Raises ValueError when the test is longer than a context of n_ctx tokens.

        Args:
            n_ctx: tokens of the context.
        """
        if self.n_tokens > n_ctx:
            raise ValueError(
                f"the copy test of {self.n_sequences} sequences needs {self.n_tokens} tokens, the context holds {n_ctx}"
                f": take at most {max(0, self.most_sequences(n_ctx))} sequences"
            )

    def sample(self) -> CopySamples:
        """All samples; the same for the same task."""
        generator = np.random.default_rng(self.seed)
        prefixes = self._distinct(self.n_prefix, generator)
        suffixes = self._distinct(self.n_suffix, generator)
        return CopySamples(self, torch.from_numpy(np.concatenate([prefixes, suffixes], axis=2)))

    def _distinct(self, length: int, generator: np.random.Generator) -> np.ndarray:
        alphabet = np.array(self.alphabet, dtype=np.int64)
        drawn = [_distinct_rows(self.n_sequences, length, len(alphabet), generator) for _ in range(self.n_samples)]
        return alphabet[np.stack(drawn)]


def _distinct_rows(n_rows: int, length: int, base: int, generator: np.random.Generator) -> np.ndarray:
    """Rows of `length` digits, uniform over the sets of distinct ones: repeated rows are drawn again."""
    rows = generator.integers(base, size=(n_rows, length))
    while len(first := np.unique(rows, axis=0, return_index=True)[1]) < n_rows:
        again = np.setdiff1d(np.arange(n_rows), first)
        rows[again] = generator.integers(base, size=(len(again), length))
    return rows


@dataclass(frozen=True)
class CopySamples:
    """The strings of all samples, without their newlines."""

    task: CopyTask
    strings: Int64[Tensor, "sample sequence char"]

    @property
    def context(self) -> Int64[Tensor, "sample pos"]:
        """BOS if there is one, then the strings, a separator after each: what all queries of a sample share."""
        separators = torch.full((*self.strings.shape[:2], 1), self.task.separator)
        return after_bos(torch.cat([self.strings, separators], dim=2).flatten(1), self.task.bos)

    def query(self, index: int) -> Int64[Tensor, "sample char"]:
        """The queried string: its prefix is the prompt, its suffix the answer.

        Args:
            index: of a string within its sample, from 0.
        """
        return self.strings[:, index]

    def suffix(self, index: int) -> Int64[Tensor, "sample char"]:
        """The expected answer to the query of a string.

        Args:
            index: of a string within its sample, from 0.
        """
        return self.strings[:, index, self.task.n_prefix :]


@checked
def repeated_tokens(
    *,
    n_sequences: int,
    half: int,
    alphabet: Sequence[int] | Int64[Tensor, " symbol"],
    seed: int,
    bos: int | None = None,
) -> Int64[Tensor, "batch pos"]:
    """Random tokens, repeated once.

    Args:
        n_sequences: rows, 1 or more.
        half: tokens of each half, 3 or more (the paper: 100).
        alphabet: the token ids to draw from, two or more.
        seed: of the drawing.
        bos: a token to put before each row, not of the alphabet; none if None.

    Returns:
        Rows of 2 * half tokens, one more with `bos`. Analyzers know such a row by its odd number of tokens.

    Raises:
        ValueError: for sizes below these, and for a `bos` that is in the alphabet.

    Example:
        >>> repeated_tokens(n_sequences=1, half=3, alphabet=[5, 6, 7], seed=0, bos=1).shape
        torch.Size([1, 7])
    """
    tokens = whole_numbers(alphabet, "alphabet")
    if n_sequences < 1 or half < 3 or len(tokens) < 2:
        raise ValueError(
            f"repeated_tokens needs n_sequences >= 1, half >= 3 and two symbols or more, got {n_sequences}, {half} and "
            f"{len(tokens)} symbols"
        )
    symbols = torch.as_tensor(tokens, dtype=torch.int64)
    require_bos(bos, tokens)
    generator = torch.Generator().manual_seed(seed)
    first = symbols[torch.randint(len(symbols), (n_sequences, half), generator=generator)]
    return after_bos(torch.cat([first, first], dim=1), bos)


def induction_targets(half: int, n_bos: int = 0) -> tuple[Int64[Tensor, " target"], Int64[Tensor, " target"]]:
    """(queries, keys) of a sequence from `repeated_tokens`: where each token of the second half must look.

    The token at s + i - 1 looks at position i, for i in 1 .. s - 1 (A.3): at what followed its first occurrence. With
    `n_bos` tokens before the halves all positions are as much later.

    Args:
        half: tokens in each half, s above.
        n_bos: tokens before the first half: 0 or 1.
    """
    keys = torch.arange(1, half) + n_bos
    return half + keys - 1, keys
