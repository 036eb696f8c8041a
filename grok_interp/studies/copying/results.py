"""The study of "Language Models 'Grok' to Copy": four results of every checkpoint of a run.

    accuracy      the copying test (Figure 1) on printable strings, as many as the context holds
    hexadecimal   the same test on hexadecimal strings, as in the paper
    loss          the loss on held-out text, position by position
    induction     Abar, EP and I of every head (A.3)

The alphabet of the copying test is a choice, recorded in every result (`attrs["alphabet"]`). Printable strings are the
primary test, which curves, claims and ablations use: among 94 symbols a match of two symbols nearly always leads to the
right place, so the test measures copying. Among 16 symbols matches by chance are common, and the test also measures how
long a match the model can find.

`analyze` evaluates only checkpoints whose results are not stored yet, so it can be called while a run trains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from jaxtyping import Int64
from torch import Tensor

from grok_interp.analysis.comparison import MeasuredRun
from grok_interp.analysis.copying import CopyingAccuracy, copying_accuracy
from grok_interp.analysis.induction import InductionScores, induction_scores
from grok_interp.analysis.loss import PositionLoss, position_losses
from grok_interp.configs import TrainConfig
from grok_interp.data.copying import HEXADECIMAL, CopySamples, CopyTask, repeated_tokens
from grok_interp.data.vocabulary import printable_alphabet
from grok_interp.data.windows import ValidationWindows
from grok_interp.results.store import Analyzer, tokens_hash
from grok_interp.runs.run import Run, once_per_run
from grok_interp.studies.copying.evaluation_text import EvaluationText, evaluation_text
from grok_interp.studies.run_results import RunResults

FORMED = 0.1  # I(L,H) above which a head counts as an induction head
PAPER_HALF = 100  # tokens of each half of a repeated sequence


@dataclass(frozen=True)
class CopyingInputs:
    """The evaluation inputs; all of them a function of the context length, the corpus and fixed seeds.

    `samples` are the copying test on printable strings, `hexadecimal` the same test on hexadecimal strings.
    """

    samples: CopySamples
    hexadecimal: CopySamples
    tokens: Int64[Tensor, "batch pos"]
    held_out: ValidationWindows
    held_out_sentence: str
    corpus_hash: str

    @property
    def windows(self) -> Int64[Tensor, "batch pos"]:
        """Tokens of held-out text; no window shares a 50-token span with the training text."""
        return self.held_out.tokens

    @classmethod
    def build(cls, text: EvaluationText, *, n_samples: int, n_sequences: int, n_windows: int) -> Self:
        """`n_samples` of the copying test, `n_sequences` of repeated random tokens and `n_windows` of held-out text."""
        vocabulary, n_ctx = text.vocabulary, text.config.model.n_ctx
        newline = int(vocabulary.encode(b"\n")[0])
        alphabets = {
            "printable": printable_alphabet(vocabulary),
            "hexadecimal": tuple(int(vocabulary.encode(bytes([symbol]))[0]) for symbol in HEXADECIMAL),
        }
        options = {"n_samples": n_samples, "separator": newline}
        printable, hexadecimal = (
            CopyTask.fitting(n_ctx, alphabet=alphabet, alphabet_label=label, **options).sample()
            for label, alphabet in alphabets.items()
        )
        half = min(PAPER_HALF, n_ctx // 2)
        tokens = repeated_tokens(n_sequences=n_sequences, half=half, alphabet=vocabulary.common, seed=0)
        return cls(printable, hexadecimal, tokens, text.windows(n_windows), text.held_out, text.corpus_hash)

    @property
    def tasks(self) -> list[CopyTask]:
        """Of the printable and of the hexadecimal strings."""
        return [self.samples.task, self.hexadecimal.task]

    def description(self) -> dict[str, Any]:
        task = self.samples.task
        return {
            "n_samples": task.n_samples,
            "n_sequences": task.n_sequences,
            "alphabets": [f"{each.alphabet_name}: {len(each.alphabet)} symbols" for each in self.tasks],
            "repeated": len(self.tokens),
            "half": self.tokens.shape[1] // 2,
            "n_windows": len(self.windows),
            "n_windows_dropped": self.held_out.n_dropped,
            "n_windows_examined": self.held_out.n_examined,
            "corpus": self.corpus_hash,
        }


@dataclass(frozen=True)
class CopyingResults(RunResults):
    """The results of the same checkpoints; `accuracy` is on printable strings."""

    accuracy: CopyingAccuracy
    hexadecimal: CopyingAccuracy
    loss: PositionLoss
    induction: InductionScores

    def with_config(self, config: TrainConfig) -> MeasuredRun:
        """As `training_curves` takes them."""
        return config, self.accuracy, self.loss, self.induction

    @classmethod
    def analyzers(cls, inputs: CopyingInputs) -> list[Analyzer]:
        """One for each field."""
        windows, tokens = ({"tokens": tokens_hash(each)} for each in (inputs.windows, inputs.tokens))
        return [
            accuracy_analyzer("copying_accuracy", inputs.samples),
            accuracy_analyzer("hexadecimal_copying_accuracy", inputs.hexadecimal),
            Analyzer(
                "validation_loss",
                PositionLoss,
                windows,
                lambda step, model: position_losses([(step, model)], inputs.windows),
            ),
            Analyzer(
                "induction_scores",
                InductionScores,
                tokens,
                lambda step, model: induction_scores([(step, model)], inputs.tokens),
            ),
        ]


def accuracy_analyzer(name: str, samples: CopySamples) -> Analyzer[CopyingAccuracy]:
    """The copying test on some samples."""
    return Analyzer(
        name,
        CopyingAccuracy,
        samples_description(samples),
        lambda step, model: copying_accuracy([(step, model)], samples),
    )


def samples_description(samples: CopySamples) -> dict[str, Any]:
    """Names samples of the copying test exactly, in plain values."""
    task = samples.task
    return {
        "alphabet": f"{task.alphabet_name}: {len(task.alphabet)} symbols",
        "n_samples": len(samples.strings),
        "n_sequences": task.n_sequences,
        "n_prefix": task.n_prefix,
        "query_every": task.query_every,
        "tokens": tokens_hash(samples.context, samples.strings),
    }


@once_per_run
def evaluation_inputs(run: Run, *, n_samples: int = 100, n_windows: int = 128) -> CopyingInputs:
    """The evaluation inputs of a run, fitted to its context, stored with the run once they were made.

    Raises ValueError when they have not been made yet and the run's text has changed.
    """
    text = evaluation_text(run)
    return CopyingInputs.build(text, n_samples=n_samples, n_sequences=32, n_windows=n_windows)


def analyze(
    run: Run,
    inputs: CopyingInputs | None = None,
    *,
    device: str = "cpu",
    on_checkpoint: Callable[[int, int], None] | None = None,
) -> CopyingResults:
    """Evaluate every checkpoint of a run whose results are not stored yet.

    Args:
        run: a run on text; it may still be training.
        inputs: what to evaluate on; `evaluation_inputs(run)` if None.
        device: where models run, a torch device.
        on_checkpoint: is told (checkpoints done, checkpoints to do).

    Raises:
        ValueError: for a run on no text, without checkpoints, or with a damaged one.
    """
    return CopyingResults.of_run(
        run, CopyingResults.analyzers(inputs or evaluation_inputs(run)), device=device, on_checkpoint=on_checkpoint
    )
