"""The results of several copying runs side by side, as figures and reports compare them."""

from __future__ import annotations

from collections.abc import Sequence

from grok_interp.analysis.comparison import TrainingCurves, curves_of_series, training_curves
from grok_interp.analysis.copying import CopyingAccuracy
from grok_interp.analysis.formation import FormationOrder, formation_order
from grok_interp.analysis.induction import InductionScores
from grok_interp.runs.run import Run
from grok_interp.runs.series_run import SeriesRun
from grok_interp.studies.copying.copying_results import FORMED, CopyingResults, analyze


def accuracies_of(runs: Sequence[Run], *, device: str = "cpu") -> list[list[CopyingAccuracy]]:
    """Of each run, on printable and, where they are defined, on hexadecimal strings."""
    results = (analyze(run, device=device) for run in runs)
    return [each.accuracies for each in results]


def formations(
    runs: Sequence[Run], *, threshold: float | None = None, device: str = "cpu"
) -> list[tuple[InductionScores, FormationOrder]]:
    """Of each run; a head has formed above `threshold`, 0.1 if None."""
    threshold = FORMED if threshold is None else threshold
    scores = [analyze(run, device=device).induction for run in runs]
    return [(each, formation_order(each, threshold=threshold)) for each in scores]


def curves_of(runs: Sequence[Run], *, varied: Sequence[str] = (), device: str = "cpu") -> TrainingCurves:
    """The curves of analyzed runs that differ in `varied` fields and seeds only.

    Raises ValueError for runs that differ in more, their text included, and for a series of checkpoints from elsewhere
    that is not alone.
    """
    if len(runs) == 1 and isinstance(runs[0], SeriesRun) and not varied:
        return curves_of_series_run(runs[0], analyze(runs[0], device=device))
    texts = {run.data_hash: str(run) for run in runs}
    if len(texts) > 1:
        raise ValueError(
            f"these runs read different texts, so that they cannot be compared: {', '.join(texts.values())}"
        )
    found = (analyze(run, device=device).with_config(run.config) for run in runs)
    return training_curves(found, varied=varied)


def curves_of_series_run(run: SeriesRun, results: CopyingResults) -> TrainingCurves:
    """Of checkpoints from elsewhere: one condition."""
    per_step = run.source.tokens_per_step
    return curves_of_series(results.accuracy, results.loss, results.induction, tokens_per_step=per_step)
