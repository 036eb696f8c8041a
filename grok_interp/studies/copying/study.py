"""The copying study as a `Study`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from grok_interp.configs import TextConfig, TrainConfig
from grok_interp.presets import own_presets
from grok_interp.runs.run import Run
from grok_interp.runs.series_run import SeriesRun
from grok_interp.studies.copying.claims import CLAIMS
from grok_interp.studies.copying.head_figures import FIGURES
from grok_interp.studies.study import FolderReport, Study

if TYPE_CHECKING:
    from grok_interp.plots.page import Page
    from grok_interp.results.analyzer import Analyzer
    from grok_interp.studies.copying.copying_results import CopyingInputs, CopyingResults
    from grok_interp.studies.picture import ShowProgress
    from grok_interp.studies.study import OnCheckpoint
    from grok_interp.training.batches import TextBatches


class CopyingStudy(Study):
    """When context copying appears, which heads carry it, and in which order they form."""

    name, folders, next_figure = "copying", "copier", "copying/ablation"
    data, presets, pictures, claims = TextConfig, own_presets(TextConfig), FIGURES, CLAIMS

    def has(self, run: Run) -> bool:
        """Series of checkpoints from elsewhere are this study's, whatever they were trained on."""
        return run.trained is None or super().has(run)

    def open_batches(self, config: TrainConfig) -> TextBatches:
        from grok_interp.training.batches import TextBatches

        return TextBatches(config)

    def evaluation_inputs(self, run: Run) -> CopyingInputs:
        from grok_interp.studies.copying.copying_results import evaluation_inputs

        return evaluation_inputs(run)

    def analyzers(self, run: Run) -> Sequence[Analyzer]:
        from grok_interp.studies.copying.copying_results import CopyingResults

        return [each for each in CopyingResults.analyzers(self.evaluation_inputs(run)) if each]

    def analyze(self, run: Run, *, device: str = "cpu", on_checkpoint: OnCheckpoint | None = None) -> CopyingResults:
        from grok_interp.studies.copying.copying_results import analyze

        return analyze(run, device=device, on_checkpoint=on_checkpoint)

    def report_page(self, run: Run, *, threshold: float | None = None, device: str = "cpu") -> Page:
        from grok_interp.studies.copying.copying_report import report_page
        from grok_interp.studies.copying.series_report import series_page

        inputs = self.evaluation_inputs(run)
        if isinstance(run, SeriesRun):
            return series_page(run, self.analyze(run, device=device), inputs, threshold=threshold, device=device)
        return report_page(run, self.analyze(run, device=device), inputs, threshold=threshold, device=device)

    def store_for_report(self, run: Run, *, device: str) -> None:
        """Of a series from elsewhere that was named: nothing of the report needs its models afterwards."""
        from grok_interp.studies.copying.series_report import store_for_report

        if isinstance(run, SeriesRun) and run.series:
            store_for_report(run, self.analyze(run), self.evaluation_inputs(run), device=device)

    def require_threshold(self, threshold: float | None) -> None:
        """I(L, H) is at most 1, and 0 for a head that does nothing."""
        if threshold is not None and not 0 < threshold <= 1:
            raise ValueError(
                f"threshold must be a score I(L, H) above 0 and at most 1, got {threshold:g}: leave it out for 0.1"
            )

    def figure_after_report(self, run: Run) -> str:
        """The first that the report lacks. Of a series from elsewhere one that is drawn from stored results: ablations
        need its models and a text."""
        from grok_interp.studies.copying.ablation_results import are_stored

        if run.trained is None:
            return "copying/fig2"
        if not are_stored(run, "ablation"):
            return self.next_figure
        return "copying/attribution" if are_stored(run, "single_ablation") else "copying/heads"

    def final_measures(self, run: Run) -> Mapping[str, float]:
        from grok_interp.studies.copying.comparisons import curves_of

        last = curves_of([run]).dataset.isel(condition=0, seed=0, checkpoint=-1)
        return {str(name): float(value) for name, value in last.data_vars.items()}

    def folder_report(
        self, folder: Path, runs: Sequence[Run], *, threshold: float | None, device: str, show: ShowProgress
    ) -> FolderReport | None:
        """Of a folder that `reproduce --preset` filled: the claims of the paper, tested. Of one of seeds: the seeds."""
        from grok_interp.studies.copying.seeds_report import are_seeds, report_on_seeds
        from grok_interp.studies.copying.sweep_report import report_on_experiments

        if any(folder / "baseline" in run.directory.parents for run in runs):
            return report_on_experiments(folder, runs, threshold=threshold, device=device, show=show)
        return report_on_seeds(folder, runs, device=device, show=show) if are_seeds(runs) else None


COPYING = CopyingStudy()
