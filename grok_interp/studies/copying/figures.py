"""Figures of "Language Models 'Grok' to Copy", each one function of its runs, whatever their size.

Several runs of a condition are its seeds: the mean is drawn, and each of them thinly.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from grok_interp.analysis.comparison import TrainingCurves, training_curves
from grok_interp.analysis.formation import formation_order
from grok_interp.checkpoints.run import run_provenance
from grok_interp.checkpoints.series import CheckpointSeries
from grok_interp.studies.copying.experiments import BATCH_SIZE, LEARNING_RATE, REGULARISATION
from grok_interp.studies.copying.results import FORMED, analyzed
from grok_interp.views.comparison import Panel, plot_conditions
from grok_interp.views.copying import plot_copying_and_loss
from grok_interp.views.formation import plot_formation


def figure_2(*directories: Path) -> Figure:
    """Copying accuracy and loss over training."""
    return plot_copying_and_loss(curves_of(directories))


def figure_3(*directories: Path) -> Figure:
    """Copying at several batch sizes, against updates and against tokens: which of the two makes the curves agree?"""
    curves = curves_of(directories, varied=BATCH_SIZE.varied)
    panels: list[Panel] = [("per_token", "updates"), ("per_token", "tokens"), ("whole", "updates"), ("whole", "tokens")]
    return plot_conditions(curves, panels, ncols=2)


def figure_4(*directories: Path) -> Figure:
    """The same runs: loss and copying against tokens and against updates."""
    curves = curves_of(directories, varied=BATCH_SIZE.varied)
    panels: list[Panel] = [("loss", "tokens"), ("loss", "updates"), ("per_token", "tokens"), ("per_token", "updates")]
    return plot_conditions(curves, panels, ncols=2)


def figure_5(*directories: Path) -> Figure:
    """Copying and loss at several learning rates."""
    return _over_updates(curves_of(directories, varied=LEARNING_RATE.varied))


def figure_6(*directories: Path, threshold: float = FORMED) -> Figure:
    """I(L, H) of every head over training, with each head's first step above `threshold`: a panel a run."""
    scores = [analyzed(directory).induction for directory in directories]
    return plot_formation([(each, formation_order(each, threshold=threshold)) for each in scores])


def figure_7(*directories: Path) -> Figure:
    """Copying and loss with attention dropout, with weight decay, and with neither."""
    return _over_updates(curves_of(directories, varied=REGULARISATION.varied))


def curves_of(directories: Sequence[Path], *, varied: Sequence[str] = ()) -> TrainingCurves:
    """The curves of analyzed runs that differ in `varied` fields and seeds only.

    Raises ValueError for runs that differ in more, their text included.
    """
    texts = {run_provenance(directory)["data"]["hash"]: str(directory) for directory in directories}
    if len(texts) > 1:
        raise ValueError(
            f"these runs read different texts, so that they cannot be compared: {', '.join(texts.values())}"
        )
    runs = (analyzed(directory).with_config(CheckpointSeries(directory).config) for directory in directories)
    return training_curves(runs, varied=varied)


def _over_updates(curves: TrainingCurves) -> Figure:
    return plot_conditions(curves, [("per_token", "updates"), ("whole", "updates"), ("loss", "updates")], ncols=3)
