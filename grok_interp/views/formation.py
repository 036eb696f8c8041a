"""Figure 6 of "Language Models 'Grok' to Copy": the induction score of every head over training, layer by layer."""

from __future__ import annotations

from matplotlib.figure import Figure

from grok_interp.analysis.formation import FormationOrder
from grok_interp.analysis.induction import InductionScores
from grok_interp.views.theme import layer_colour, new_figure


def plot_formation(scores: InductionScores, order: FormationOrder) -> Figure:
    """I(L, H) against step: a line a head, a colour a layer; dots mark where a head first passes the threshold."""
    threshold = order.array.attrs["threshold"]
    with new_figure(6.4, 3.4) as (figure, axis):
        for layer in scores.array["layer"].to_numpy():
            curves = scores.I.sel(layer=layer)
            axis.plot([], [], color=layer_colour(layer), label=f"layer {layer}")
            for head in curves["head"].to_numpy():
                curve, onset = curves.sel(head=head), order.array.sel(layer=layer, head=head)
                axis.plot(curve["checkpoint"], curve, color=layer_colour(layer), lw=1.2)
                if onset.notnull():
                    axis.plot(onset, curve.sel(checkpoint=onset), "o", color=layer_colour(layer), ms=5)
        axis.axhline(threshold, color="0.5", lw=0.8, ls="--")
        axis.set(xlabel="training step (updates)", ylabel="induction score I(L, H)")
        axis.legend(loc="best", title=f"dots: first above {threshold:g}")
    return figure
