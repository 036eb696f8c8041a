"""The text that a copier reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from grok_interp.configs.checks import outside_unit_interval, refuse_if_any

BYTE_VOCABULARY_SIZE = 256


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """The text a copier reads. Validation text is never changed by repeats.

    A window made repetitive has a lag L of its own, drawn uniformly from `repeat_lags`: every token from position L on
    is the one L positions earlier.
    """

    source: str = "stdlib"  # "stdlib" (Python's standard library), a text file, a folder, or "hub:NAME"
    vocabulary: Literal["bytes", "bpe"] = "bytes"  # the 256 bytes, or a byte-level BPE trained on the text
    validation_fraction: float = 0.05  # share of the text set aside, by whole documents
    repeat_fraction: float = 0.0  # share of the training windows made repetitive; 0 is plain text
    repeat_random: float = 0.0  # share of the repetitive windows that repeat random tokens instead of text
    repeat_lags: tuple[int, int] = (8, 64)  # shortest and longest lag, in tokens, both included

    def __post_init__(self) -> None:
        refuse_if_any(self, self._reasons())

    def _reasons(self) -> Iterator[str]:
        if not self.source:
            yield "source is empty: give stdlib, a file, a folder or hub:NAME"
        if self.vocabulary not in ("bytes", "bpe"):
            yield f"vocabulary must be bytes or bpe, got {self.vocabulary!r}"
        if not 0 < self.validation_fraction <= 0.5:
            yield f"validation_fraction must be in (0, 0.5], got {self.validation_fraction}"
        yield from outside_unit_interval(self, "repeat_fraction", "repeat_random")
        if len(self.repeat_lags) != 2 or not 1 <= self.repeat_lags[0] <= self.repeat_lags[1]:
            yield f"repeat_lags must be two lengths, 1 <= shortest <= longest, got {self.repeat_lags}"
