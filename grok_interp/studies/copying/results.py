"""The study of "Language Models 'Grok' to Copy": every checkpoint of a run asked the same three questions.

    correct     the copying test (Figure 1), as many strings as the context holds
    loss        the loss on held-out text, position by position
    induction   Abar, EP and I of every head (A.3)

`analyze` asks only the checkpoints that it has not asked before, so it can be called while a run trains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from jaxtyping import Int64
from torch import Tensor

from grok_interp.activations import HookedModel
from grok_interp.analysis.comparison import Answers
from grok_interp.analysis.copying import CopyingAccuracy, copying_accuracy
from grok_interp.analysis.induction import InductionScores, induction_scores
from grok_interp.analysis.loss import PositionLoss, position_losses
from grok_interp.checkpoints.run import batches_of_run
from grok_interp.checkpoints.series import CheckpointSeries
from grok_interp.configs import TrainConfig
from grok_interp.data.copying import CopySamples, CopyTask, repeated_tokens
from grok_interp.data.corpus import Corpus
from grok_interp.data.windows import ValidationWindows, validation_windows
from grok_interp.studies.run_results import RunResults, ask_run
from grok_interp.training.batches import TextBatches

FORMED = 0.1  # I(L,H) above which a head counts as an induction head
PAPER_HALF = 100  # tokens of each half of a repeated sequence


@dataclass(frozen=True)
class CopyingProbes:
    """What every checkpoint is asked; all of it a function of the context length, the corpus and fixed seeds."""

    samples: CopySamples
    tokens: Int64[Tensor, "batch pos"]
    held_out: ValidationWindows
    corpus_hash: str

    @property
    def windows(self) -> Int64[Tensor, "batch pos"]:
        """Tokens of held-out text; no window shares a 50-token span with the training text."""
        return self.held_out.tokens

    @classmethod
    def build(cls, corpus: Corpus, n_ctx: int, *, n_samples: int, n_sequences: int, n_windows: int) -> Self:
        """`n_samples` of the copying test, `n_sequences` of repeated random tokens and `n_windows` of held-out text."""
        vocabulary = corpus.vocabulary
        symbols = tuple(int(vocabulary.encode(bytes([symbol]))[0]) for symbol in b"0123456789abcdef")
        newline = int(vocabulary.encode(b"\n")[0])
        task = CopyTask.fitting(n_ctx, n_samples=n_samples, alphabet=symbols, separator=newline)
        half = min(PAPER_HALF, n_ctx // 2)
        tokens = repeated_tokens(n_sequences=n_sequences, half=half, alphabet=vocabulary.common, seed=0)
        held_out = validation_windows(corpus.validation, corpus.leaks, n_ctx=n_ctx, n_windows=n_windows)
        return cls(task.sample(), tokens, held_out, corpus.hash)

    def description(self) -> dict[str, int | str]:
        task = self.samples.task
        return {
            "n_samples": task.n_samples,
            "n_sequences": task.n_sequences,
            "repeated": len(self.tokens),
            "half": self.tokens.shape[1] // 2,
            "n_windows": len(self.windows),
            "n_windows_dropped": self.held_out.n_dropped,
            "n_windows_examined": self.held_out.n_examined,
            "corpus": self.corpus_hash,
        }


@dataclass(frozen=True)
class CopyingResults(RunResults):
    """The three answers of the same checkpoints."""

    version: ClassVar[int] = 2  # 2: induction scores name the processing state of the weights

    accuracy: CopyingAccuracy
    loss: PositionLoss
    induction: InductionScores

    def with_config(self, config: TrainConfig) -> Answers:
        """As `training_curves` takes them."""
        return config, self.accuracy, self.loss, self.induction

    @classmethod
    def ask(cls, pair: tuple[int, HookedModel], probes: CopyingProbes) -> Self:
        return cls(
            copying_accuracy([pair], probes.samples),
            position_losses([pair], probes.windows),
            induction_scores([pair], probes.tokens),
        )


def probes_of_run(directory: Path, *, n_samples: int = 100, n_windows: int = 128) -> CopyingProbes:
    """The probes of a run, fitted to its context. Raises ValueError when its corpus has changed."""
    n_ctx = CheckpointSeries(directory).config.model.n_ctx
    corpus = corpus_of_run(directory)
    return CopyingProbes.build(corpus, n_ctx, n_samples=n_samples, n_sequences=32, n_windows=n_windows)


def corpus_of_run(directory: Path) -> Corpus:
    """The text that a run reads. Raises ValueError when it has changed, and for a run on no text."""
    batches = batches_of_run(directory)
    if not isinstance(batches, TextBatches):
        raise ValueError(f"{directory} is no run on text ({batches.description}): the copying study cannot look at it")
    return batches.corpus


def analyze(
    directory: Path,
    probes: CopyingProbes,
    *,
    device: str = "cpu",
    on_checkpoint: Callable[[int, int], None] | None = None,
) -> CopyingResults:
    """Ask every checkpoint of a run that was not asked before: `ask_run` of these three results."""
    return ask_run(directory, CopyingResults, probes, device=device, on_checkpoint=on_checkpoint)


def analyzed(directory: Path) -> CopyingResults:
    """The results of a run, with the default probes."""
    return analyze(directory, probes_of_run(directory))
