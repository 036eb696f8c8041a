"""The text that a copier reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from grok_interp.configs.checks import outside_unit_interval
from grok_interp.configs.data import DataConfig
from grok_interp.places import HUB

if TYPE_CHECKING:
    from grok_interp.configs.training import TrainConfig

BYTE_VOCABULARY_SIZE = 256
STREAM_SUFFIXES = (".bin", ".npy")


@dataclass(frozen=True, kw_only=True)
class TextConfig(DataConfig):
    """The training text of a copier. Validation text is never modified.

    Training windows may contain synthetic copies. A window with copies is assembled from segments whose lengths are
    drawn uniformly from `segment_lengths`. A segment is, with `segment_copy_probability`, a copy of an earlier span of
    the same window, otherwise it is the text that was there. A random window has random printable characters (of a BPE
    vocabulary: random tokens) in place of its text. Whether a window has copies and whether it is random are drawn
    independently.

    Example:
        >>> TextConfig(source="books/", vocabulary="bpe").copy_fraction
        0.0
    """

    kind: ClassVar[str] = "text"

    # "stdlib" (Python's standard library), a text file, a folder, .jsonl, .parquet, "hub:NAME", or tokens: .bin, .npy
    source: str = "stdlib"
    field: str = "text"  # of the text, in JSON lines, Parquet and data sets of a hub
    n_documents: int | None = None  # of "hub:NAME", take the first so many, without downloading the rest
    vocabulary: Literal["bytes", "bpe"] = "bytes"  # the 256 bytes, or a byte-level BPE trained on the text
    tokenizer: str | None = None  # in place of `vocabulary`: a tokenizer.json, or "hub:NAME" of a model
    validation_fraction: float = 0.05  # fraction of the text set aside, by whole documents
    copy_fraction: float = 0.0  # fraction of the training windows with copied spans; 0 is plain text
    random_fraction: float = 0.0  # fraction of the training windows whose text is random
    segment_lengths: tuple[int, int] = (6, 24)  # shortest and longest segment, in tokens, both included
    segment_copy_probability: float = 0.5  # that a segment of a window with copies is a copy
    # Where copied spans begin: anywhere, or balanced between the window's first tokens, the nearest ones and anywhere
    span_sources: Literal["balanced", "uniform"] = "balanced"
    # Symbols of the copying test's strings; hexadecimal is the paper's, and is measured beside printable ones too
    test_alphabet: Literal["printable", "hexadecimal"] = "printable"

    def reasons(self) -> Iterator[str]:
        if not self.source:
            yield "source is empty: give stdlib, a file, a folder or hub:NAME"
        if self.vocabulary not in ("bytes", "bpe"):
            yield f"vocabulary must be bytes or bpe, got {self.vocabulary!r}"
        if self.tokenizer == "":
            yield "tokenizer is empty: give a tokenizer.json or hub:NAME, or leave it out"
        if self.tokenizer and self.vocabulary != "bytes":
            yield f"tokenizer {self.tokenizer!r} takes the place of vocabulary {self.vocabulary!r}: give one of the two"
        if self.n_documents is not None and (self.n_documents < 2 or not self.source.startswith(HUB)):
            yield f"n_documents must be 2 or more, of a source hub:NAME, got {self.n_documents} of {self.source!r}"
        if not 0 < self.validation_fraction <= 0.5:
            yield f"validation_fraction must be in (0, 0.5], got {self.validation_fraction}"
        yield from outside_unit_interval(self, "copy_fraction", "random_fraction", "segment_copy_probability")
        if len(self.segment_lengths) != 2 or not 1 <= self.segment_lengths[0] <= self.segment_lengths[1]:
            yield f"segment_lengths must be two lengths, 1 <= shortest <= longest, got {self.segment_lengths}"
        if self.span_sources not in ("balanced", "uniform"):
            yield f"span_sources must be balanced or uniform, got {self.span_sources!r}"
        if self.test_alphabet not in ("printable", "hexadecimal"):
            yield f"test_alphabet must be printable or hexadecimal, got {self.test_alphabet!r}"

    @property
    def is_stream(self) -> bool:
        """Is the source a file of tokens, which are taken as they are?"""
        return self.source.endswith(STREAM_SUFFIXES)

    @property
    def tokens_are_bytes(self) -> bool:
        return self.vocabulary == "bytes" and not self.tokenizer and not self.is_stream

    def misfits(self, run: TrainConfig) -> Iterator[str]:
        shortest = self.segment_lengths[0]
        if self.tokens_are_bytes and run.model.d_vocab != BYTE_VOCABULARY_SIZE:
            yield f"the byte vocabulary has {BYTE_VOCABULARY_SIZE} tokens, got d_vocab {run.model.d_vocab}"
        if self.copy_fraction > 0 and 2 * shortest > run.model.n_ctx:
            yield f"segments of at least {shortest} tokens leave no room for a copy in a context of {run.model.n_ctx}"
