"""The numbers of the representations over training: how circular each head, how kaleidoscopic each block."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr
from matplotlib.figure import Figure

from grok_interp.analysis.circularity import Circularity
from grok_interp.analysis.kaleidoscope import PATTERNS, Kaleidoscope
from grok_interp.views.interactive import Line, Twin, line_graph
from grok_interp.views.theme import layer_colour, new_figure

DASHES = ("-", "--", ":", "-.")


def plot_circularity(heads: Sequence[Circularity]) -> Figure:
    """Above: circularity of each head against step, a colour a layer. Below: how far it passes shuffled labels."""
    with new_figure(7.2, 5.0, nrows=2, sharex=True) as (figure, axes):
        for found in heads:
            layer, head = found.array.attrs["layer"], found.array.attrs["head"]
            values = found.array.sel(measure="circularity")
            style = {"color": layer_colour(layer), "ls": DASHES[head % len(DASHES)], "label": f"L{layer}H{head}"}
            axes[0].plot(values["checkpoint"], values, **style)
            axes[1].plot(values["checkpoint"], values - found.array.sel(measure="null_q95"), **style)
        axes[1].axhline(0, color="0.5", lw=0.8)
        axes[0].set(ylabel="circularity", ylim=(0, 1))
        axes[1].set(ylabel="above the 95% quantile\nof shuffled labels", xlabel="training step (updates)")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", fontsize=7)
    return figure


def plot_kaleidoscope(blocks: Sequence[Kaleidoscope]) -> Figure:
    """Rank correlation of each block's similarities with each algorithm's pattern against step; a panel a position.

    Shaded: below the largest 95% quantile of shuffled pairs.
    """
    positions = sorted({found.array.attrs["position"] for found in blocks})
    with new_figure(1.5 + 3.4 * len(positions), 3.2, ncols=len(positions), sharey=True, squeeze=False) as (
        figure,
        axes,
    ):
        for axis, position in zip(axes[0], positions, strict=True):
            for found in (found for found in blocks if found.array.attrs["position"] == position):
                layer, values = found.array.attrs["layer"], found.array.sel(measure="spearman")
                for pattern, dashes in zip(PATTERNS, DASHES, strict=False):
                    style = {"color": layer_colour(layer), "ls": dashes, "label": f"block {layer}, {pattern}"}
                    axis.plot(values["checkpoint"], values.sel(pattern=pattern), **style)
            axis.axhspan(0, float(max(found.array.sel(measure="null_q95").max() for found in blocks)), color="0.9")
            axis.set(title=f"at {position}", xlabel="training step (updates)")
        axes[0, 0].set_ylabel("Spearman's rank correlation")
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right upper", fontsize=7)
    return figure


def circularity_twin(heads: Sequence[Circularity]) -> Twin:
    """The panels of `plot_circularity`."""
    measured = [_head_line(found, found.array.sel(measure="circularity")) for found in heads]
    margins = [
        _head_line(found, found.array.sel(measure="circularity") - found.array.sel(measure="null_q95"))
        for found in heads
    ]
    x, steps = "training step (updates)", heads[0].array["checkpoint"].values.tolist()
    graphs = [
        line_graph(measured, x=x, y="circularity", y_range=(0, 1)),
        line_graph(margins, x=x, y="above 95% of shuffled labels", levels=[(0, "-")]),
    ]
    return Twin(graphs, steps, measured, columns=2)


def _head_line(found: Circularity, curve: xr.DataArray) -> Line:
    layer, head = found.array.attrs["layer"], found.array.attrs["head"]
    style = {"colour": layer_colour(layer), "dashes": DASHES[head % len(DASHES)]}
    return Line(f"L{layer}H{head}", curve["checkpoint"].to_numpy(), curve.to_numpy(), **style)


def kaleidoscope_twin(blocks: Sequence[Kaleidoscope]) -> Twin:
    """The panels of `plot_kaleidoscope`."""
    positions = sorted({found.array.attrs["position"] for found in blocks})
    lines = {
        position: [line for found in blocks if found.array.attrs["position"] == position for line in _lines(found)]
        for position in positions
    }
    chance = float(max(found.array.sel(measure="null_q95").max() for found in blocks))
    graphs = [
        line_graph(
            lines[position],
            x="training step (updates)",
            y="Spearman's rank correlation",
            title=f"at {position}",
            shaded=(0, chance),
        )
        for position in positions
    ]
    steps = blocks[0].array["checkpoint"].values.tolist()
    return Twin(graphs, steps, lines[positions[0]], columns=len(positions))


def _lines(found: Kaleidoscope) -> list[Line]:
    layer, values = found.array.attrs["layer"], found.array.sel(measure="spearman")
    steps = values["checkpoint"].to_numpy()
    curves = {pattern: values.sel(pattern=pattern).to_numpy() for pattern in PATTERNS}
    return [
        Line(f"block {layer}, {pattern}", steps, curve, layer_colour(layer), dashes=dashes)
        for (pattern, curve), dashes in zip(curves.items(), DASHES, strict=False)
    ]
