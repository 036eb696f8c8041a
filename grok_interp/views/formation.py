"""Figure 6 of "Language Models 'Grok' to Copy": the induction score of every head over training, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grok_interp.analysis.formation import FormationOrder
from grok_interp.analysis.induction import InductionScores
from grok_interp.views.interactive import Line, Twin, line_graph
from grok_interp.views.theme import layer_colour, new_figure


def plot_formation(runs: Sequence[tuple[InductionScores, FormationOrder]]) -> Figure:
    """I(L, H) against step, a panel a run: a line a head, a colour a layer; dots mark a head's first step above the
    threshold."""
    width = 6.4 if len(runs) == 1 else 3.4 * len(runs)
    with new_figure(width, 3.4, ncols=len(runs), sharey=True, squeeze=False) as (figure, axes):
        for axis, (scores, order) in zip(axes.flat, runs, strict=True):
            _draw(axis, scores, order)
        axes.flat[0].set_ylabel("induction score I(L, H)")
        axes.flat[0].legend(loc="best", title=f"dots: first above {runs[0][1].array.attrs['threshold']:g}")
    return figure


def formation_twin(runs: Sequence[tuple[InductionScores, FormationOrder]]) -> Twin:
    """The same: a graph a run, in which every head is named."""
    panels = [_lines(scores, order) for scores, order in runs]
    graphs = [
        line_graph(
            [*lines, *onsets],
            x="training step (updates)",
            y="induction score I(L, H)",
            title=f"run {number}" if len(runs) > 1 else "",
            levels=[(order.array.attrs["threshold"], "--")],
        )
        for number, ((lines, onsets), (_, order)) in enumerate(zip(panels, runs, strict=True), start=1)
    ]
    steps = sorted({int(step) for scores, _ in runs for step in scores.array["checkpoint"].values})
    return Twin(graphs, steps, panels[0][0], columns=min(3, len(runs)))


def _lines(scores: InductionScores, order: FormationOrder) -> tuple[list[Line], list[Line]]:
    """A line a head, and a dot for each that formed."""
    steps, lines, onsets = scores.array["checkpoint"].to_numpy(), [], []
    for layer, head in np.ndindex(order.array.shape):
        name, colour, group = f"L{layer}H{head}", layer_colour(layer), f"layer {layer}"
        curve, onset = scores.I.sel(layer=layer, head=head), order.array.sel(layer=layer, head=head)
        lines.append(Line(name, steps, curve.to_numpy(), colour, group, width=1.5))
        if onset.notnull():
            height = float(curve.sel(checkpoint=onset))
            onsets.append(Line(f"{name} formed", [float(onset)], [height], colour, group, dots=True))
    return lines, onsets


def _draw(axis: Axes, scores: InductionScores, order: FormationOrder) -> None:
    for layer in scores.array["layer"].to_numpy():
        curves = scores.I.sel(layer=layer)
        axis.plot([], [], color=layer_colour(layer), label=f"layer {layer}")
        for head in curves["head"].to_numpy():
            curve, onset = curves.sel(head=head), order.array.sel(layer=layer, head=head)
            axis.plot(curve["checkpoint"], curve, color=layer_colour(layer), lw=1.2)
            if onset.notnull():
                axis.plot(onset, curve.sel(checkpoint=onset), "o", color=layer_colour(layer), ms=5)
    axis.axhline(order.array.attrs["threshold"], color="0.5", lw=0.8, ls="--")
    axis.set_xlabel("training step (updates)")
