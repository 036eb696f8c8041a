"""Figures of "Language Models 'Grok' to Copy", each one function of its runs, whatever their size.

Several runs of a condition are its seeds: the mean is drawn, and each of them thinly.
"""

from __future__ import annotations

from collections.abc import Sequence

from grok_interp import plots
from grok_interp.analysis.comparison import TrainingCurves, training_curves
from grok_interp.analysis.copying import CopyingAccuracy
from grok_interp.analysis.copying_diagram import copying_diagram
from grok_interp.analysis.formation import FormationOrder, formation_order
from grok_interp.analysis.induction import InductionScores
from grok_interp.plots.drawing import Drawing
from grok_interp.plots.pictures.conditions import OVER_UPDATES, Against
from grok_interp.runs.run import Run
from grok_interp.studies.copying.experiments import BATCH_SIZE, LEARNING_RATE, REGULARISATION
from grok_interp.studies.copying.results import FORMED, analyze

BY_COPYING: list[tuple[str, Against]] = [
    ("per_token", "updates"),
    ("per_token", "tokens"),
    ("exact_match", "updates"),
    ("exact_match", "tokens"),
]
BY_LOSS: list[tuple[str, Against]] = [
    ("loss", "tokens"),
    ("loss", "updates"),
    ("per_token", "tokens"),
    ("per_token", "updates"),
]


def figure_2(*runs: Run, device: str = "cpu") -> Drawing:
    """Copying accuracy and loss over training; of one run with 95% intervals over samples."""
    accuracy = analyze(runs[0], device=device).accuracy if len(runs) == 1 else None
    return plots.copying_and_loss(curves_of(runs, device=device), accuracy)


def figure_3(*runs: Run, device: str = "cpu") -> Drawing:
    """Copying at several batch sizes, against updates and against tokens: which of the two makes the curves agree?"""
    return plots.conditions(curves_of(runs, varied=BATCH_SIZE.varied, device=device), BY_COPYING, columns=2)


def figure_4(*runs: Run, device: str = "cpu") -> Drawing:
    """The same runs: loss and copying against tokens and against updates."""
    return plots.conditions(curves_of(runs, varied=BATCH_SIZE.varied, device=device), BY_LOSS, columns=2)


def figure_5(*runs: Run, device: str = "cpu") -> Drawing:
    """Copying and loss at several learning rates."""
    return plots.conditions(curves_of(runs, varied=LEARNING_RATE.varied, device=device), OVER_UPDATES, columns=3)


def figure_6(*runs: Run, threshold: float = FORMED, device: str = "cpu") -> Drawing:
    """I(L, H) of every head over training, with each head's first step above `threshold`: a panel a run."""
    return plots.formation(formations(runs, threshold=threshold, device=device))


def figure_7(*runs: Run, device: str = "cpu") -> Drawing:
    """Copying and loss with attention dropout, with weight decay, and with neither."""
    return plots.conditions(curves_of(runs, varied=REGULARISATION.varied, device=device), OVER_UPDATES, columns=3)


def synthetic_data_diagram(*runs: Run, device: str = "cpu") -> Drawing:
    """Final exact-match accuracy against the fractions of windows with copies and of random windows."""
    found = ((run.config, analyze(run, device=device).accuracy) for run in runs)
    return plots.copying_diagram(copying_diagram(found))


def strings(*runs: Run, device: str = "cpu") -> Drawing:
    """Exact-match accuracy string by string over training, on printable and on hexadecimal strings.

    With 95% intervals: over samples of one run, over seeds of several.
    """
    return plots.strings(*accuracies_of(runs, device=device))


def accuracies_of(runs: Sequence[Run], *, device: str = "cpu") -> list[list[CopyingAccuracy]]:
    """Of each run, on printable and on hexadecimal strings."""
    results = (analyze(run, device=device) for run in runs)
    return [[each.accuracy, each.hexadecimal] for each in results]


def formations(
    runs: Sequence[Run], *, threshold: float = FORMED, device: str = "cpu"
) -> list[tuple[InductionScores, FormationOrder]]:
    """Of each run."""
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
