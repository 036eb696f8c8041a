"""Conditions beside each other over training (Figures 2 to 5 and 7): a colour a condition, thin lines its seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from grok_interp.analysis.comparison import TrainingCurves
from grok_interp.views.theme import layer_colour, new_figure

Against = Literal["updates", "tokens"]
Panel = tuple[str, Against]  # measure, abscissa
LABELS = {
    "whole": "suffixes copied whole (%)",
    "per_token": "suffix tokens copied (%)",
    "loss": "validation loss (nats)",
    "induction": "largest induction score I(L, H)",
}
PERCENT = ("whole", "per_token")


def plot_conditions(curves: TrainingCurves, panels: Sequence[Panel], *, ncols: int) -> Figure:
    """One panel a measure and abscissa: the mean over seeds, and each seed thinly where there are several."""
    nrows = -(-len(panels) // ncols)
    with new_figure(3.3 * ncols, 2.6 * nrows + 0.3, nrows=nrows, ncols=ncols, squeeze=False) as (figure, axes):
        for axis, (measure, against) in zip(axes.flat, panels, strict=True):
            for index, condition in enumerate(curves.array["condition"].values.tolist()):
                _draw(axis, curves, measure, condition, against, color=layer_colour(index))
            _label(axis, measure, against)
        handles, labels = axes.flat[0].get_legend_handles_labels()
        if len(labels) > 1:
            figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _draw(axis: Axes, curves: TrainingCurves, measure: str, condition: str, against: Against, *, color: Any) -> None:
    chosen = curves.of(measure, condition)
    scale = int(chosen["tokens_per_step"]) if against == "tokens" else 1
    at, values = chosen["checkpoint"].to_numpy() * scale, chosen.to_numpy() * (100 if measure in PERCENT else 1)
    if len(values) > 1:
        for seed in values:
            axis.plot(at, seed, color=color, lw=0.6, alpha=0.4)
    axis.plot(at, np.nanmean(values, axis=0), color=color, lw=1.8, label=condition.replace("_", " "))


def _label(axis: Axes, measure: str, against: Against) -> None:
    axis.set(xlabel="training step (updates)" if against == "updates" else "training tokens", ylabel=LABELS[measure])
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    if measure in PERCENT:
        axis.set_ylim(0, None)
