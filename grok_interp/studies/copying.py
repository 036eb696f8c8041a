"""The study of "Language Models 'Grok' to Copy": every checkpoint of a run asked the same three questions.

    results/correct.nc      the copying test (Figure 1), as many strings as the context holds
    results/loss.nc         the loss on held-out text, position by position
    results/induction.nc    Abar, EP and I of every head (A.3)
    results/probes.json     what exactly was asked; other probes than these start anew

`analyze` asks only the checkpoints that it has not asked before, so it can be called while a run trains.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from jaxtyping import Int64
from matplotlib.figure import Figure
from torch import Tensor

from grok_interp.activations import HookedModel
from grok_interp.analysis.copying import CopyingAccuracy, copying_accuracy
from grok_interp.analysis.formation import formation_order
from grok_interp.analysis.induction import InductionScores, induction_scores
from grok_interp.analysis.loss import PositionLoss, position_losses
from grok_interp.checkpoints.run import batches_of_run
from grok_interp.checkpoints.series import CheckpointSeries
from grok_interp.checkpoints.store import write_text
from grok_interp.data.copying import CopySamples, CopyTask, repeated_tokens
from grok_interp.data.corpus import Corpus
from grok_interp.data.windows import validation_windows
from grok_interp.training.batches import TextBatches
from grok_interp.views.copying import plot_copying_and_loss
from grok_interp.views.formation import plot_formation

PAPER_HALF = 100  # tokens of each half of a repeated sequence
SAVE_EVERY = 8  # checkpoints analyzed between two saves: what Ctrl-C can cost


@dataclass(frozen=True)
class CopyingProbes:
    """What every checkpoint is asked; all of it a function of the context length, the corpus and fixed seeds."""

    samples: CopySamples
    tokens: Int64[Tensor, "batch pos"]
    windows: Int64[Tensor, "batch pos"]
    corpus_hash: str

    @classmethod
    def build(cls, corpus: Corpus, n_ctx: int, *, n_samples: int, n_sequences: int, n_windows: int) -> Self:
        """`n_samples` of the copying test, `n_sequences` of repeated random tokens and `n_windows` of held-out text."""
        vocabulary = corpus.vocabulary
        symbols = tuple(int(vocabulary.encode(bytes([symbol]))[0]) for symbol in b"0123456789abcdef")
        newline = int(vocabulary.encode(b"\n")[0])
        task = CopyTask.fitting(n_ctx, n_samples=n_samples, alphabet=symbols, separator=newline)
        half = min(PAPER_HALF, n_ctx // 2)
        tokens = repeated_tokens(n_sequences=n_sequences, half=half, alphabet=vocabulary.common, seed=0)
        windows = validation_windows(corpus.validation, n_ctx=n_ctx, n_windows=n_windows)
        return cls(task.sample(), tokens, windows, corpus.hash)

    def description(self) -> dict[str, int | str]:
        task = self.samples.task
        return {
            "n_samples": task.n_samples,
            "n_sequences": task.n_sequences,
            "repeated": len(self.tokens),
            "half": self.tokens.shape[1] // 2,
            "n_windows": len(self.windows),
            "corpus": self.corpus_hash,
        }


@dataclass(frozen=True)
class CopyingResults:
    """The three answers of the same checkpoints."""

    accuracy: CopyingAccuracy
    loss: PositionLoss
    induction: InductionScores

    @classmethod
    def ask(cls, checkpoints: Iterable[tuple[int, HookedModel]], probes: CopyingProbes) -> Self:
        """Run each (step, model) on all probes, one model at a time."""
        answers = [
            cls(
                copying_accuracy([pair], probes.samples),
                position_losses([pair], probes.windows),
                induction_scores([pair], probes.tokens),
            )
            for pair in checkpoints
        ]
        return answers[0].extended(*answers[1:])

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Raises FileNotFoundError before the first analysis, ValueError for damaged files."""
        return cls(
            CopyingAccuracy.load(directory / f"{CopyingAccuracy.name}.nc"),
            PositionLoss.load(directory / f"{PositionLoss.name}.nc"),
            InductionScores.load(directory / f"{InductionScores.name}.nc"),
        )

    def save(self, directory: Path) -> None:
        for result in (self.accuracy, self.loss, self.induction):
            result.save(directory / f"{result.name}.nc")

    def extended(self, *later: Self) -> Self:
        return type(self)(
            self.accuracy.extended(*(other.accuracy for other in later)),
            self.loss.extended(*(other.loss for other in later)),
            self.induction.extended(*(other.induction for other in later)),
        )

    @property
    def steps(self) -> tuple[int, ...]:
        """Checkpoints that all three have answered."""
        answered = (set(r.array["checkpoint"].values.tolist()) for r in (self.accuracy, self.loss, self.induction))
        return tuple(sorted(set.intersection(*answered)))

    def at(self, steps: Iterable[int]) -> Self:
        kept = list(steps)
        return type(self)(
            CopyingAccuracy(self.accuracy.array.sel(checkpoint=kept)),
            PositionLoss(self.loss.array.sel(checkpoint=kept)),
            InductionScores(self.induction.array.sel(checkpoint=kept)),
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
    """Ask every checkpoint of a run that was not asked before, and save the answers in its `results` folder.

    `on_checkpoint` is told (checkpoints done, checkpoints to do). Raises ValueError for a run without checkpoints and
    for a damaged one; what was analyzed before it is kept.
    """
    series, results = CheckpointSeries(directory), Path(directory) / "results"
    known = _known(results, probes, series.steps)
    missing = [step for step in series.steps if known is None or step not in known.steps]
    if known is None and not missing:
        raise ValueError(f"{directory} has no checkpoints yet: train it first, with the same directory")
    if known is None:
        (results / "probes.json").unlink(missing_ok=True)  # no file may claim what was answered to others
    for chunk in _chunks(missing, SAVE_EVERY):
        pairs = ((step, series.load(step).to(device)) for step in chunk)
        answers = CopyingResults.ask(pairs, probes)
        known = answers if known is None else known.extended(answers)
        known.save(results)
        write_text(results / "probes.json", json.dumps(probes.description(), indent=1) + "\n")
        if on_checkpoint:
            on_checkpoint(missing.index(chunk[-1]) + 1, len(missing))
    assert known is not None
    return known


def _known(results: Path, probes: CopyingProbes, steps: tuple[int, ...]) -> CopyingResults | None:
    """What was answered before by these probes, for the checkpoints that are still there."""
    asked = results / "probes.json"
    if not asked.exists() or json.loads(asked.read_text()) != probes.description():
        return None
    try:
        known = CopyingResults.load(results)
    except FileNotFoundError:
        return None
    kept = [step for step in known.steps if step in steps]
    return known.at(kept) if kept else None


def _chunks(steps: list[int], size: int) -> Iterator[list[int]]:
    return (steps[start : start + size] for start in range(0, len(steps), size))


def figure_2(results: CopyingResults, *, tokens_per_step: int) -> Figure:
    """Copying accuracy and loss over training."""
    return plot_copying_and_loss(results.accuracy, results.loss, tokens_per_step=tokens_per_step)


def figure_6(results: CopyingResults, *, threshold: float) -> Figure:
    """I(L, H) of every head over training, with each head's first step above `threshold`."""
    return plot_formation(results.induction, formation_order(results.induction, threshold=threshold))
