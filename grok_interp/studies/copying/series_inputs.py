"""What the checkpoints of a series from elsewhere are evaluated on: random tokens of its own vocabulary.

    results/tokenizer.json                its tokenizer, if there is one
    results/evaluation_inputs.safetensors tokens of a text that the user named, if any, and the BOS token

With a tokenizer the copying test is on its printable tokens, and on hexadecimal digits where each is one token. Without
one it is on all tokens of the vocabulary. Each string ends with a token that is in no string: a newline where that is
one token, otherwise the last token of the vocabulary.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor

from grok_interp.data.bos import after_bos
from grok_interp.data.copying import CopySamples, CopyTask, repeated_tokens
from grok_interp.data.foreign_vocabulary import LINE_END, NumberedVocabulary, TokenizerVocabulary
from grok_interp.data.vocabulary import printable_alphabet
from grok_interp.data.windows import ValidationWindows
from grok_interp.runs.checkpoint_files import load_weights, save_weights
from grok_interp.runs.once_per_run import once_per_run
from grok_interp.runs.run import Run
from grok_interp.runs.series_run import SeriesRun
from grok_interp.studies.copying.copying_inputs import PAPER_HALF, CopyingInputs

LONGEST_WINDOW, MOST_TOKENS = 512, 2**20  # of the text
DIGITS = "0123456789abcdef"
NO_TEXT = "No validation text was named, so that there is no validation loss."


@dataclass(frozen=True)
class NotedInputs:
    """What is kept with the run, so that its inputs are the same whatever becomes of the series.

    Args:
        vocabulary: of the models.
        bos: the token before every sequence; none if None.
        text: its tokens, empty where none was named.
        text_name: of its file, empty where none was named.
    """

    vocabulary: TokenizerVocabulary | NumberedVocabulary
    bos: int | None
    text: Int64[Tensor, " token"]
    text_name: str

    @property
    def described(self) -> str:
        """One sentence on the tokens."""
        known = isinstance(self.vocabulary, TokenizerVocabulary)
        tokens = "Tokens are those of its tokenizer" if known else "It came without a tokenizer: tokens are numbers"
        return f"{tokens}; " + ("no token is put first." if self.bos is None else f"token {self.bos} (BOS) is first.")


def note_inputs(run: SeriesRun, *, tokenizer: Path | None, bos: int | None, text: Path | None) -> None:
    """Keep with the run what its inputs are made from; what is not given stays as it was noted, if it was.

    Args:
        run: whose series was named.
        tokenizer: a tokenizer.json; by default the one that comes with the series.
        bos: the token to put first; by default the one that the tokenizer puts first.
        text: a text file.

    Raises:
        ValueError: for a tokenizer or a BOS token that does not fit the model, and for a text without a tokenizer.
    """
    if bos is not None and not 0 <= bos < run.model.d_vocab:
        raise ValueError(f"--bos must be a token of the model, 0 to {run.model.d_vocab - 1}, got {bos}")
    file, kept = _file(run), _file(run).with_name("tokenizer.json")
    before = _read(run) if file.exists() else None
    found = tokenizer or (None if kept.exists() or run.series is None else run.series.tokenizer_file())
    vocabulary = _vocabulary_of(found or kept, run.model.d_vocab)
    tokens, name = (before.text, before.text_name) if before else (torch.empty(0, dtype=torch.int64), "")
    if text:
        tokens, name = _tokens_of(text, vocabulary), text.name
    elif name and found and not _are_equal(found, kept):
        raise ValueError(f"the text {name} was encoded with another tokenizer than {found}: give --text with it again")
    if bos is None:  # as it was given before, or the tokenizer's
        was_given = before is not None and before.bos != _bos_of(before.vocabulary)
        bos = before.bos if before and was_given else _bos_of(vocabulary)
    file.parent.mkdir(parents=True, exist_ok=True)
    if found and not _are_equal(found, kept):
        shutil.copyfile(found, kept)  # nothing is refused from here on
    facts = {"bos": "" if bos is None else str(bos), "text": name}
    save_weights(file, {"text": tokens.to(torch.int32)}, facts)


def _bos_of(vocabulary: TokenizerVocabulary | NumberedVocabulary) -> int | None:
    return vocabulary.bos if isinstance(vocabulary, TokenizerVocabulary) else None


def _are_equal(found: Path, kept: Path) -> bool:
    return kept.exists() and found.read_bytes() == kept.read_bytes()


@once_per_run
def noted_inputs(run: Run) -> NotedInputs:
    """What was noted with the results of a series. Raises ValueError where nothing was."""
    return _read(run)


def _read(run: Run) -> NotedInputs:
    if not _file(run).exists():
        raise ValueError(f"{run} has no evaluation inputs: `grok-interp analyze SOURCE --run {run}` makes them")
    tensors, facts = load_weights(_file(run))
    bos = int(facts["bos"]) if facts["bos"] else None
    return NotedInputs(_vocabulary(run), bos, tensors["text"].long(), facts["text"])


def series_inputs(run: SeriesRun, *, n_samples: int, n_sequences: int, n_windows: int) -> CopyingInputs:
    """`n_samples` of the copying test, `n_sequences` of repeated random tokens and up to `n_windows` of the text.

    Raises ValueError for a model whose context or vocabulary is too small for the test.
    """
    noted, n_ctx = noted_inputs(run), run.model.n_ctx
    vocabulary, bos = noted.vocabulary, noted.bos
    known = isinstance(vocabulary, TokenizerVocabulary)
    line_end = vocabulary.single([LINE_END]) if known else None
    separator = (
        line_end[0] if line_end and line_end[0] != bos else next(t for t in reversed(vocabulary.common) if t != bos)
    )
    drawn = printable_alphabet(vocabulary) if known else vocabulary.common
    alphabet = tuple(token for token in drawn if token not in (separator, bos))

    def samples(tokens: tuple[int, ...], label: str) -> CopySamples:
        options = {"n_samples": n_samples, "separator": separator, "bos": bos, "alphabet_label": label}
        return CopyTask.fitting(n_ctx, alphabet=tokens, **options).sample()

    digits = vocabulary.single(DIGITS) if known else None
    half = min(PAPER_HALF, (n_ctx - (bos is not None)) // 2)
    return CopyingInputs(
        samples(alphabet, "printable" if known else "numbered"),
        samples(digits, "hexadecimal") if digits and not {separator, bos} & set(digits) else None,
        repeated_tokens(n_sequences=n_sequences, half=half, alphabet=alphabet, seed=0, bos=bos),
        series_windows(run, n_windows),
        _sentence(noted),
        hashlib.sha256(noted.text.numpy().tobytes()).hexdigest() if len(noted.text) else "none",
    )


def series_windows(run: SeriesRun, n_windows: int) -> ValidationWindows | None:
    """Evenly spread over the text, n_ctx + 1 tokens or fewer each, BOS included; None where no text was named."""
    noted, n_ctx = noted_inputs(run), run.model.n_ctx
    if not len(noted.text):
        return None
    length = min(n_ctx, LONGEST_WINDOW) + 1 - (noted.bos is not None)
    n_whole = len(noted.text) // length
    if not n_whole:
        raise ValueError(
            f"the text {noted.text_name} has {len(noted.text)} tokens, one window needs {length}: give --text a longer "
            "file"
        )
    rows = noted.text[: n_whole * length].reshape(n_whole, length)
    spread = torch.linspace(0, n_whole - 1, min(n_whole, n_windows)).long()
    return ValidationWindows(after_bos(rows[spread], noted.bos), n_dropped=0, n_examined=n_whole)


def _sentence(noted: NotedInputs) -> str:
    if not len(noted.text):
        return NO_TEXT
    return f"The validation text is {noted.text_name}; whether the models were trained on it is not known."


def _tokens_of(text: Path, vocabulary: TokenizerVocabulary | NumberedVocabulary) -> Int64[Tensor, " token"]:
    if not isinstance(vocabulary, TokenizerVocabulary):
        raise ValueError(
            f"the text {text} cannot be encoded, because no tokenizer came with the checkpoints: give --tokenizer FILE"
        )
    with text.open(encoding="utf-8", errors="replace") as file:
        content = file.read(8 * MOST_TOKENS)
    return torch.tensor(vocabulary.encode(content)[:MOST_TOKENS], dtype=torch.int64)


def _vocabulary(run: Run) -> TokenizerVocabulary | NumberedVocabulary:
    return _vocabulary_of(_file(run).with_name("tokenizer.json"), run.model.d_vocab)


def _vocabulary_of(file: Path, d_vocab: int) -> TokenizerVocabulary | NumberedVocabulary:
    return TokenizerVocabulary.load(file, d_vocab) if file.exists() else NumberedVocabulary(d_vocab)


def _file(run: Run) -> Path:
    return run.results.folder / "evaluation_inputs.safetensors"
