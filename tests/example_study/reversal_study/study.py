"""The study as grok_interp knows it. Imported by `grok-interp --help`, so what is heavy is imported when it is used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from grok_interp.configs import DataConfig, TrainConfig, llama_copier
from grok_interp.configs.schedules import linear_steps
from grok_interp.runs.run import Run
from grok_interp.studies.experiment import Experiment
from grok_interp.studies.picture import Pictures
from grok_interp.studies.study import Study

if TYPE_CHECKING:
    from grok_interp.plots.drawing import Drawing
    from grok_interp.plots.page import Page
    from grok_interp.results.analyzer import Analyzer
    from grok_interp.studies.study import OnCheckpoint
    from reversal_study.accuracy import ReversalResults
    from reversal_study.batches import ReversalBatches


@dataclass(frozen=True, kw_only=True)
class ReversalConfig(DataConfig):
    """Sequences of random symbols, a separator, and the same symbols in reverse order."""

    kind: ClassVar[str] = "reversal"

    n_symbols: int  # the symbols are 0 .. n_symbols - 1, the separator is the token after them
    length: int  # symbols of a string

    def reasons(self) -> Iterator[str]:
        if self.n_symbols < 2 or self.length < 1:
            yield f"n_symbols must be at least 2 and length at least 1, got {self.n_symbols} and {self.length}"

    def misfits(self, run: TrainConfig) -> Iterator[str]:
        if run.model.d_vocab != self.n_symbols + 1:
            yield f"d_vocab must be n_symbols + 1 = {self.n_symbols + 1}, got {run.model.d_vocab}"
        if run.model.n_ctx != 2 * self.length + 1:
            yield f"n_ctx must be 2 length + 1 = {2 * self.length + 1}, got {run.model.n_ctx}"


TINY = TrainConfig(
    model=llama_copier(n_layers=1, n_heads=2, d_model=8, d_mlp=16, d_vocab=6, n_ctx=7),
    data=ReversalConfig(n_symbols=5, length=3),
    n_steps=10,
    batch_size=4,
    learning_rate=3e-3,
    checkpoint_steps=linear_steps(10, every=5),
)
BASELINES = {"tiny": TINY}
BASELINE = Experiment.alone(BASELINES)
BATCH_SIZE = Experiment(("batch_size",), lambda run: [run, replace(run, batch_size=2 * run.batch_size)], BASELINES)
FIGURES = Pictures("reversal")


@FIGURES.of_run("accuracy", "accuracy of each reversed symbol over training", experiment=BASELINE)
def accuracy(run: Run, *, device: str = "cpu") -> Drawing:
    """One line per place in the reversed string."""
    from reversal_study.accuracy import accuracy_over_training

    return accuracy_over_training(STUDY.analyze(run, device=device).accuracy)


@FIGURES.of_runs("batches", "accuracy at two batch sizes", experiment=BATCH_SIZE)
def batches(*runs: Run, device: str = "cpu") -> Drawing:
    """One panel per run."""
    from grok_interp.plots import Drawing

    return Drawing([panel for run in runs for panel in accuracy(run, device=device).panels])


class ReversalStudy(Study):
    name, folders, next_figure = "reversal", "reversal", "reversal/accuracy"
    data, pictures = ReversalConfig, FIGURES
    presets = {"reversal-tiny": ("1 layer, 10 updates: strings of 3 symbols, reversed.", TINY)}

    def open_batches(self, config: TrainConfig) -> ReversalBatches:
        from reversal_study.batches import ReversalBatches

        return ReversalBatches(config)

    def evaluation_inputs(self, run: Run) -> object:
        from reversal_study.accuracy import evaluation_inputs

        return evaluation_inputs(run)

    def analyzers(self, run: Run) -> Sequence[Analyzer]:
        from reversal_study.accuracy import analyzers, evaluation_inputs

        return analyzers(evaluation_inputs(run))

    def analyze(self, run: Run, *, device: str = "cpu", on_checkpoint: OnCheckpoint | None = None) -> ReversalResults:
        from reversal_study.accuracy import ReversalResults

        return ReversalResults.of_run(run, self.analyzers(run), device=device, on_checkpoint=on_checkpoint)

    def report_page(self, run: Run, *, threshold: float | None = None, device: str = "cpu") -> Page:
        from reversal_study.report import report_page

        return report_page(run, self.analyze(run, device=device), threshold=0.9 if threshold is None else threshold)


STUDY = ReversalStudy()
