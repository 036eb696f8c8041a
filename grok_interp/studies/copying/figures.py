"""Figures of "Language Models 'Grok' to Copy", each one function of its runs, whatever their size.

Several runs of a condition are its seeds: the mean is drawn, and each of them thinly.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from grok_interp.analysis.comparison import TrainingCurves, training_curves
from grok_interp.analysis.copying import CopyingAccuracy
from grok_interp.analysis.copying_diagram import copying_diagram
from grok_interp.analysis.formation import FormationOrder, formation_order
from grok_interp.analysis.induction import InductionScores
from grok_interp.runs.run import Run
from grok_interp.studies.copying.experiments import BATCH_SIZE, LEARNING_RATE, REGULARISATION
from grok_interp.studies.copying.results import FORMED, analyze
from grok_interp.views.comparison import Panel, conditions_twin, plot_conditions
from grok_interp.views.copying import copying_twin, plot_copying_and_loss
from grok_interp.views.copying_diagram import plot_copying_diagram
from grok_interp.views.formation import formation_twin, plot_formation
from grok_interp.views.interactive import Twin
from grok_interp.views.strings import plot_strings

OVER_UPDATES: list[Panel] = [("per_token", "updates"), ("whole", "updates"), ("loss", "updates")]
PANELS: dict[str, list[Panel]] = {
    "fig3": [("per_token", "updates"), ("per_token", "tokens"), ("whole", "updates"), ("whole", "tokens")],
    "fig4": [("loss", "tokens"), ("loss", "updates"), ("per_token", "tokens"), ("per_token", "updates")],
    "fig5": OVER_UPDATES,
    "fig7": OVER_UPDATES,
}


def figure_2(*runs: Run, device: str = "cpu") -> Figure:
    """Copying accuracy and loss over training; of one run with 95% intervals over samples."""
    accuracy = analyze(runs[0], device=device).accuracy if len(runs) == 1 else None
    return plot_copying_and_loss(curves_of(runs, device=device), accuracy)


def figure_3(*runs: Run, device: str = "cpu") -> Figure:
    """Copying at several batch sizes, against updates and against tokens: which of the two makes the curves agree?"""
    return plot_conditions(curves_of(runs, varied=BATCH_SIZE.varied, device=device), PANELS["fig3"], ncols=2)


def figure_4(*runs: Run, device: str = "cpu") -> Figure:
    """The same runs: loss and copying against tokens and against updates."""
    return plot_conditions(curves_of(runs, varied=BATCH_SIZE.varied, device=device), PANELS["fig4"], ncols=2)


def figure_5(*runs: Run, device: str = "cpu") -> Figure:
    """Copying and loss at several learning rates."""
    return plot_conditions(curves_of(runs, varied=LEARNING_RATE.varied, device=device), PANELS["fig5"], ncols=3)


def figure_6(*runs: Run, threshold: float = FORMED, device: str = "cpu") -> Figure:
    """I(L, H) of every head over training, with each head's first step above `threshold`: a panel a run."""
    return plot_formation(formations(runs, threshold=threshold, device=device))


def figure_7(*runs: Run, device: str = "cpu") -> Figure:
    """Copying and loss with attention dropout, with weight decay, and with neither."""
    return plot_conditions(curves_of(runs, varied=REGULARISATION.varied, device=device), PANELS["fig7"], ncols=3)


def synthetic_data_diagram(*runs: Run, device: str = "cpu") -> Figure:
    """Final exact-match accuracy against the fractions of windows with copies and of random windows."""
    found = ((run.config, analyze(run, device=device).accuracy) for run in runs)
    return plot_copying_diagram(copying_diagram(found))


def strings(*runs: Run, device: str = "cpu") -> Figure:
    """Exact-match accuracy string by string over training, on printable and on hexadecimal strings.

    With 95% intervals: over samples of one run, over seeds of several.
    """
    return plot_strings(*accuracies_of(runs, device=device))


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


def interactive(figure: str, runs: Sequence[Run], *, varied: Sequence[str] = (), threshold: float = FORMED) -> Twin:
    """The twin of fig2 to fig7."""
    if figure == "fig6":
        return formation_twin(formations(runs, threshold=threshold))
    curves = curves_of(runs, varied=varied)
    if figure == "fig2":
        return copying_twin(curves)
    return conditions_twin(curves, PANELS[figure], ncols=2 if len(PANELS[figure]) == 4 else 3)


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
