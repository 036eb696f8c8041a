"""The evaluation inputs of the copying study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from jaxtyping import Int64
from torch import Tensor

from grok_interp.data.copying import HEXADECIMAL, CopySamples, CopyTask, repeated_tokens
from grok_interp.data.foreign_vocabulary import NumberedVocabulary
from grok_interp.data.vocabulary import Vocabulary, printable_alphabet
from grok_interp.data.windows import ValidationWindows
from grok_interp.studies.copying.evaluation_text import EvaluationText

PAPER_HALF = 100  # tokens of each half of a repeated sequence


@dataclass(frozen=True)
class CopyingInputs:
    """The evaluation inputs; all of them a function of the context length, the corpus and fixed seeds.

    `samples` are the copying test on strings of the run's `test_alphabet`, printable ones by default; `hexadecimal` is
    the same test on hexadecimal strings, None where `samples` are. Of models that were trained elsewhere `hexadecimal`
    is None where the digits are no tokens of theirs, and `held_out` where no text was named; `samples` are on numbered
    tokens where there is no tokenizer.
    """

    samples: CopySamples
    hexadecimal: CopySamples | None
    tokens: Int64[Tensor, "batch pos"]
    held_out: ValidationWindows | None
    held_out_sentence: str
    corpus_hash: str

    @property
    def windows(self) -> Int64[Tensor, "batch pos"]:
        """Tokens of held-out text; no window shares a 50-token span with the training text.

        Raises ValueError where there is no text.
        """
        return tokens_of(self.held_out)

    @classmethod
    def build(cls, text: EvaluationText, *, n_samples: int, n_sequences: int, n_windows: int) -> Self:
        """`n_samples` of the copying test, `n_sequences` of repeated random tokens and `n_windows` of held-out text.

        Args:
            text: that was set aside for validation.
            n_samples: of the copying test.
            n_sequences: of repeated random tokens.
            n_windows: of validation text.
        """
        vocabulary, n_ctx = text.vocabulary, text.config.model.n_ctx
        separator, alphabets = _alphabets(vocabulary)
        options = {"n_samples": n_samples, "separator": separator}
        samples = {
            label: CopyTask.fitting(n_ctx, alphabet=alphabet, alphabet_label=label, **options).sample()
            for label, alphabet in alphabets.items()
        }
        primary = samples.pop("numbered" if "numbered" in samples else text.test_alphabet)
        half = min(PAPER_HALF, n_ctx // 2)
        tokens = repeated_tokens(n_sequences=n_sequences, half=half, alphabet=vocabulary.common, seed=0)
        return cls(
            primary, samples.get("hexadecimal"), tokens, text.windows(n_windows), text.held_out, text.corpus_hash
        )

    @property
    def tasks(self) -> list[CopyTask]:
        """Of `samples` and, where they are another test, of `hexadecimal`."""
        return [each.task for each in (self.samples, self.hexadecimal) if each]

    def description(self) -> dict[str, object]:
        """Names the inputs in plain values."""
        task = self.samples.task
        return {
            "n_samples": task.n_samples,
            "n_sequences": task.n_sequences,
            "alphabets": [f"{each.alphabet_name}: {len(each.alphabet)} symbols" for each in self.tasks],
            "repeated": len(self.tokens),
            "half": self.tokens.shape[1] // 2,
            **self._of_text(),
        }

    def _of_text(self) -> dict[str, object]:
        if self.held_out is None:
            return {"n_windows": 0}
        return {
            "n_windows": len(self.windows),
            "n_windows_dropped": self.held_out.n_dropped,
            "n_windows_examined": self.held_out.n_examined,
            "corpus": self.corpus_hash,
        }


def tokens_of(held_out: ValidationWindows | None) -> Int64[Tensor, "batch pos"]:
    """The windows themselves.

    Args:
        held_out: windows of validation text; None where no text was named.

    Raises:
        ValueError: where there is no text.
    """
    if held_out is None:
        raise ValueError(
            "validation text is needed, and none was named: repeat `grok-interp analyze SOURCE --run DIR` with "
            "--text FILE"
        )
    return held_out.tokens


def _alphabets(vocabulary: Vocabulary | NumberedVocabulary) -> tuple[int, dict[str, tuple[int, ...]]]:
    """The token that ends a string, and the tokens of the strings; hexadecimal digits where there are any."""
    if isinstance(vocabulary, NumberedVocabulary):
        *others, last = vocabulary.common
        return last, {"numbered": tuple(others)}
    digits = tuple(int(vocabulary.encode(bytes([symbol]))[0]) for symbol in HEXADECIMAL)
    return int(vocabulary.encode(b"\n")[0]), {"printable": printable_alphabet(vocabulary), "hexadecimal": digits}
