"""Final copying accuracy against the fractions of windows with copies and of random windows, as a heat map."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grok_interp.analysis.copying_diagram import CopyingDiagram
from grok_interp.views.theme import new_figure

LIGHT = 0.6  # accuracies from which a cell's text is dark


def plot_copying_diagram(diagram: CopyingDiagram) -> Figure:
    """Each cell the mean over seeds, with half of their range and their number."""
    mean, spread, n_seeds = diagram.mean(), diagram.spread(), diagram.n_seeds()
    with new_figure(4.6, 3.4) as (figure, axis):
        image = axis.imshow(mean.values, origin="lower", aspect="auto", vmin=0, vmax=1, cmap="viridis")
        for (row, column), value in np.ndenumerate(mean.values):
            if np.isfinite(value):
                seeds = int(n_seeds.values[row, column])
                text = f"{value:.0%} ± {spread.values[row, column]:.0%}\n{seeds} seed{'s' * (seeds > 1)}"
                color = "black" if value > LIGHT else "white"
                axis.text(column, row, text, ha="center", va="center", color=color, fontsize=7)
        _name_ticks(axis, mean["random_fraction"].values, mean["copy_fraction"].values)
        figure.colorbar(image, label="exact-match accuracy, last checkpoint")
    return figure


def _name_ticks(axis: Axes, random: np.ndarray, copies: np.ndarray) -> None:
    axis.set(xticks=range(len(random)), xticklabels=[f"{value:.3g}" for value in random])
    axis.set(yticks=range(len(copies)), yticklabels=[f"{value:.3g}" for value in copies])
    axis.set(xlabel="fraction of random windows", ylabel="fraction of windows with copies")
    axis.grid(False)
