"""Conditions beside each other over training (Figures 2 to 5 and 7): a colour a condition, thin lines its seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from grok_interp.analysis.comparison import TrainingCurves
from grok_interp.views.interactive import BY_UPDATES, Clock, Line, Twin, line_graph
from grok_interp.views.theme import layer_colour, new_figure

Against = Literal["updates", "tokens"]
Panel = tuple[str, Against]  # measure, abscissa
LABELS = {
    "whole": "suffixes copied whole (%)",
    "per_token": "suffix tokens copied (%)",
    "loss": "validation loss (nats)",
    "induction": "largest induction score I(L, H)",
}
AXES: dict[Against, str] = {"updates": "training step (updates)", "tokens": "training tokens"}
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


def conditions_twin(curves: TrainingCurves, panels: Sequence[Panel], *, ncols: int) -> Twin:
    """The same panels. Over tokens the slider's step is at another place in each condition: a marker for each."""
    conditions = curves.array["condition"].values.tolist()
    lines = [[line for name in conditions for line in _lines(curves, *panel, name)] for panel in panels]
    graphs = [
        line_graph(each, x=AXES[against], y=LABELS[measure], clocks=_clocks(curves, against))
        for (measure, against), each in zip(panels, lines, strict=True)
    ]
    return Twin(graphs, curves.array["checkpoint"].values.tolist(), lines[0] if len(conditions) > 1 else (), ncols)


def _clocks(curves: TrainingCurves, against: Against) -> Sequence[Clock]:
    if against == "updates":
        return BY_UPDATES
    return [(scale, layer_colour(i)) for i, scale in enumerate(curves.array["tokens_per_step"].values.tolist())]


def _lines(curves: TrainingCurves, measure: str, against: Against, condition: str) -> list[Line]:
    """The mean, and each seed thinly where there are several."""
    colour = layer_colour(curves.array["condition"].values.tolist().index(condition))
    name, (at, values) = condition.replace("_", " "), _points(curves, measure, condition, against)
    seeds = [Line(name, at, seed, colour, thin=True) for seed in values] if len(values) > 1 else []
    return [*seeds, Line(name, at, np.nanmean(values, axis=0), colour)]


def _points(curves: TrainingCurves, measure: str, condition: str, against: Against) -> tuple[np.ndarray, np.ndarray]:
    """Abscissa, and seed x checkpoint, as they are drawn."""
    chosen = curves.of(measure, condition)
    scale = int(chosen["tokens_per_step"]) if against == "tokens" else 1
    return chosen["checkpoint"].to_numpy() * scale, chosen.to_numpy() * (100 if measure in PERCENT else 1)


def _draw(axis: Axes, curves: TrainingCurves, measure: str, condition: str, against: Against, *, color: Any) -> None:
    at, values = _points(curves, measure, condition, against)
    if len(values) > 1:
        for seed in values:
            axis.plot(at, seed, color=color, lw=0.6, alpha=0.4)
    axis.plot(at, np.nanmean(values, axis=0), color=color, lw=1.8, label=condition.replace("_", " "))


def _label(axis: Axes, measure: str, against: Against) -> None:
    axis.set(xlabel=AXES[against], ylabel=LABELS[measure])
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    if measure in PERCENT:
        axis.set_ylim(0, None)
