"""The study of "Language Models 'Grok' to Copy": four results of every checkpoint of a run.

    accuracy      the copying test (Figure 1) on strings of the run's `test_alphabet`, as many as the context holds
    hexadecimal   the same test on hexadecimal strings, as in the paper
    loss          the loss on held-out text, position by position
    induction     Abar, EP and I of every head (A.3)

The alphabet of the copying test is a choice, recorded in every result (`attrs["alphabet"]`). Printable strings are the
default of `test_alphabet`, which curves, claims and ablations use: among 94 symbols a match of two symbols nearly
always leads to the right place, so the test measures copying. Among 16 symbols matches by chance are common, and the
test also measures how long a match the model can find.

`analyze` evaluates only checkpoints whose results are not stored yet, so it can be called while a run trains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Int64
from torch import Tensor

from grok_interp.analysis.comparison import MeasuredRun
from grok_interp.analysis.copying import CopyingAccuracy, copying_accuracy
from grok_interp.analysis.induction import InductionScores, induction_scores
from grok_interp.analysis.loss import PositionLoss, position_losses
from grok_interp.arguments import checked
from grok_interp.configs import TrainConfig
from grok_interp.data.copying import CopySamples
from grok_interp.models.activations import HookedModel
from grok_interp.results.analyzer import Analyzer, tokens_hash
from grok_interp.runs.once_per_run import once_per_run
from grok_interp.runs.run import Run
from grok_interp.runs.series_run import SeriesRun
from grok_interp.studies.copying.copying_inputs import CopyingInputs, tokens_of
from grok_interp.studies.copying.evaluation_text import evaluation_text
from grok_interp.studies.copying.series_inputs import series_inputs, series_windows
from grok_interp.studies.run_results import RunResults

FORMED = 0.1  # I(L,H) above which a head counts as an induction head
MOST_LOGITS = 2**28  # of a forward pass: 1 GB


@dataclass(frozen=True)
class CopyingResults(RunResults):
    """The results of the same checkpoints; `accuracy` is on strings of the run's `test_alphabet`.

    `hexadecimal` is None where `accuracy` is on hexadecimal strings, or the inputs have none; `loss` where they have no
    text.
    """

    accuracy: CopyingAccuracy
    hexadecimal: CopyingAccuracy | None
    loss: PositionLoss | None
    induction: InductionScores

    def with_config(self, config: TrainConfig) -> MeasuredRun:
        """As `training_curves` takes them.

        Args:
            config: of the run.
        """
        assert self.loss, "a run on text has validation text"
        return config, self.accuracy, self.loss, self.induction

    @property
    def accuracies(self) -> list[CopyingAccuracy]:
        """`accuracy` and, where it is another test, `hexadecimal`."""
        return [each for each in (self.accuracy, self.hexadecimal) if each]

    @classmethod
    def analyzers(cls, inputs: CopyingInputs) -> list[Analyzer | None]:
        """One for each field; None for what the inputs lack.

        Args:
            inputs: what checkpoints are evaluated on.
        """
        return [
            accuracy_analyzer("copying_accuracy", inputs.samples),
            accuracy_analyzer("hexadecimal_copying_accuracy", inputs.hexadecimal) if inputs.hexadecimal else None,
            _loss_analyzer(inputs.windows) if inputs.held_out else None,
            _induction_analyzer(inputs.tokens),
        ]


def _loss_analyzer(windows: Int64[Tensor, "batch pos"]) -> Analyzer[PositionLoss]:
    def evaluate(step: int, model: HookedModel) -> PositionLoss:
        return position_losses([(step, model)], windows, batch_size=rows_at_once(model, windows.shape[1], most=64))

    return Analyzer("validation_loss", PositionLoss, {"tokens": tokens_hash(windows)}, evaluate)


def _induction_analyzer(tokens: Int64[Tensor, "batch pos"]) -> Analyzer[InductionScores]:
    def evaluate(step: int, model: HookedModel) -> InductionScores:
        return induction_scores([(step, model)], tokens, batch_size=rows_at_once(model, tokens.shape[1], most=16))

    return Analyzer("induction_scores", InductionScores, {"tokens": tokens_hash(tokens)}, evaluate)


def rows_at_once(model: HookedModel, n_tokens: int, *, most: int) -> int:
    """Rows of a forward pass whose logits are within `MOST_LOGITS`.

    Args:
        model: a hooked model.
        n_tokens: of each row.
        most: rows.
    """
    return max(1, min(most, MOST_LOGITS // (n_tokens * model.cfg.d_vocab)))


def accuracy_analyzer(name: str, samples: CopySamples) -> Analyzer[CopyingAccuracy]:
    """The copying test on some samples.

    Args:
        name: under which its results are stored.
        samples: of the copying test.
    """

    def evaluate(step: int, model: HookedModel) -> CopyingAccuracy:
        batch_size = rows_at_once(model, samples.task.n_tokens, most=64)
        return copying_accuracy([(step, model)], samples, batch_size=batch_size)

    return Analyzer(name, CopyingAccuracy, samples_description(samples), evaluate)


def samples_description(samples: CopySamples) -> dict[str, object]:
    """Names samples of the copying test exactly, in plain values.

    Args:
        samples: of the copying test.
    """
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

    Args:
        run: a run on text.
        n_samples: of the copying test.
        n_windows: of validation text.

    Raises:
        ValueError: when they have not been made yet and the run's text has changed.
    """
    if isinstance(run, SeriesRun):
        return series_inputs(run, n_samples=n_samples, n_sequences=32, n_windows=n_windows)
    text = evaluation_text(run)
    return CopyingInputs.build(text, n_samples=n_samples, n_sequences=32, n_windows=n_windows)


def held_out_windows(run: Run, n_windows: int) -> Int64[Tensor, "batch pos"]:
    """Windows of a run's validation text, evenly spread over it: other ones for another number.

    Args:
        run: a run on text, or a series with a text.
        n_windows: number of windows; fewer are returned if the text does not have as many.

    Raises:
        ValueError: where no text was named, and when they have not been read yet and the run's text has changed.
    """
    of_series = isinstance(run, SeriesRun)
    return tokens_of(series_windows(run, n_windows) if of_series else evaluation_text(run).windows(n_windows))


@checked
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
        on_checkpoint: called with (checkpoints done, checkpoints to do).

    Raises:
        ValueError: for a run on no text, without checkpoints, or with a damaged one.
    """
    analyzers = CopyingResults.analyzers(inputs or evaluation_inputs(run))
    return CopyingResults.of_run(run, analyzers, device=device, on_checkpoint=on_checkpoint)
