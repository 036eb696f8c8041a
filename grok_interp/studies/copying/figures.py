"""Figures of "Language Models 'Grok' to Copy", each one function of a run."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from grok_interp.analysis.formation import formation_order
from grok_interp.checkpoints.series import CheckpointSeries
from grok_interp.studies.copying.results import FORMED, analyzed
from grok_interp.views.copying import plot_copying_and_loss
from grok_interp.views.formation import plot_formation


def figure_2(directory: Path) -> Figure:
    """Copying accuracy and loss over training."""
    results, tokens_per_step = analyzed(directory), CheckpointSeries(directory).config.tokens_per_step
    return plot_copying_and_loss(results.accuracy, results.loss, tokens_per_step=tokens_per_step)


def figure_6(directory: Path, *, threshold: float = FORMED) -> Figure:
    """I(L, H) of every head over training, with each head's first step above `threshold`."""
    results = analyzed(directory)
    return plot_formation(results.induction, formation_order(results.induction, threshold=threshold))
