"""The results of several copying runs side by side, as figures and reports compare them."""

from __future__ import annotations

from collections.abc import Sequence

from grok_interp.analysis.comparison import TrainingCurves, training_curves
from grok_interp.analysis.copying import CopyingAccuracy
from grok_interp.analysis.formation import FormationOrder, formation_order
from grok_interp.analysis.induction import InductionScores
from grok_interp.runs.run import Run
from grok_interp.studies.copying.results import FORMED, analyze


def accuracies_of(runs: Sequence[Run], *, device: str = "cpu") -> list[list[CopyingAccuracy]]:
    """Of each run, on printable and on hexadecimal strings."""
    results = (analyze(run, device=device) for run in runs)
    return [[each.accuracy, each.hexadecimal] for each in results]


def formations(
    runs: Sequence[Run], *, threshold: float | None = None, device: str = "cpu"
) -> list[tuple[InductionScores, FormationOrder]]:
    """Of each run; a head has formed above `threshold`, 0.1 if None."""
    threshold = FORMED if threshold is None else threshold
    scores = [analyze(run, device=device).induction for run in runs]
    return [(each, formation_order(each, threshold=threshold)) for each in scores]


def curves_of(runs: Sequence[Run], *, varied: Sequence[str] = (), device: str = "cpu") -> TrainingCurves:
    """The curves of analyzed runs that differ in `varied` fields and seeds only.

    Raises ValueError for runs that differ in more, their text included.
    """
    texts = {run.data_hash: str(run) for run in runs}
    if len(texts) > 1:
        raise ValueError(
            f"these runs read different texts, so that they cannot be compared: {', '.join(texts.values())}"
        )
    found = (analyze(run, device=device).with_config(run.config) for run in runs)
    return training_curves(found, varied=varied)
