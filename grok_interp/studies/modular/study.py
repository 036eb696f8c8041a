"""The modular study as a `Study`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from grok_interp.configs import ModularConfig, TrainConfig
from grok_interp.presets import own_presets
from grok_interp.runs.run import Run
from grok_interp.studies.modular.further_figures import FIGURES
from grok_interp.studies.study import FolderReport, Study

if TYPE_CHECKING:
    from grok_interp.plots.page import Page
    from grok_interp.results.analyzer import Analyzer
    from grok_interp.studies.modular.modular_inputs import ModularInputs
    from grok_interp.studies.modular.modular_results import ModularResults
    from grok_interp.studies.picture import ShowProgress
    from grok_interp.studies.study import OnCheckpoint
    from grok_interp.training.batches import ModularBatches


class ModularStudy(Study):
    """When in-context modular arithmetic generalizes to unseen tasks, and by which algorithm."""

    name, folders, next_figure = "modular", "modular", "modular/shift"
    compared = frozenset({"data.n_id", "data.alpha"})
    data, presets, pictures = ModularConfig, own_presets(ModularConfig), FIGURES

    def open_batches(self, config: TrainConfig) -> ModularBatches:
        from grok_interp.training.batches import ModularBatches

        return ModularBatches(config)

    def evaluation_inputs(self, run: Run) -> ModularInputs:
        from grok_interp.studies.modular.modular_inputs import evaluation_inputs

        return evaluation_inputs(run)

    def analyzers(self, run: Run) -> Sequence[Analyzer]:
        from grok_interp.studies.modular.modular_results import ModularResults

        return ModularResults.analyzers(self.evaluation_inputs(run))

    def analyze(self, run: Run, *, device: str = "cpu", on_checkpoint: OnCheckpoint | None = None) -> ModularResults:
        from grok_interp.studies.modular.modular_results import analyze

        return analyze(run, device=device, on_checkpoint=on_checkpoint)

    def report_page(self, run: Run, *, threshold: float | None = None, device: str = "cpu") -> Page:
        from grok_interp.studies.modular.modular_report import report_page

        inputs = self.evaluation_inputs(run)
        return report_page(run, self.analyze(run, device=device), inputs, threshold=threshold, device=device)

    def require_threshold(self, threshold: float | None) -> None:
        from grok_interp.analysis.phases import require_threshold

        if threshold is not None:
            require_threshold(threshold)

    def final_measures(self, run: Run) -> Mapping[str, float]:
        """Last-shot accuracies by split."""
        last = self.analyze(run).shots.last_shot().isel(checkpoint=-1)
        return {str(split): float(last.sel(split=split)) for split in last["split"].values}

    def folder_report(
        self, folder: Path, runs: Sequence[Run], *, threshold: float | None, device: str, show: ShowProgress
    ) -> FolderReport | None:
        """Of runs over n_id and alpha: their phase diagram."""
        from grok_interp.studies.modular.sweep_report import report_on_phases

        with_checkpoints = [run for run in runs if run.steps]
        if not with_checkpoints:
            return None
        return report_on_phases(folder, with_checkpoints, threshold=threshold, device=device, show=show)


MODULAR = ModularStudy()
