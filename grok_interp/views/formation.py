"""Figure 6 of "Language Models 'Grok' to Copy": the induction score of every head over training, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grok_interp.analysis.formation import FormationOrder
from grok_interp.analysis.induction import InductionScores
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
