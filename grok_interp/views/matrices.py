"""Pictures over all pairs (x, y): similarity matrices (Figure 7 of "Learning to grok") and maps of MLP neurons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import xarray as xr
from matplotlib.figure import Figure

from grok_interp.analysis.mlp import MLPActivations
from grok_interp.analysis.similarity import CosineSimilarity, source
from grok_interp.views.heatmaps import heatmap_graph
from grok_interp.views.interactive import Twin
from grok_interp.views.theme import DIVERGING, new_figure

COLUMNS = 6
MOST_NUMBERS = 31  # p of which a page holds every pair of pairs: a million numbers, 2.5 MB
BELOW = {"thickness": 12, "len": 0.6, "yref": "container", "y": 0, "yanchor": "bottom"}


def plot_similarity(similarity: CosineSimilarity, *, step: int | None = None) -> Figure:
    """The p^2 x p^2 matrix at a step (the last if none is named); a tick where x goes up by one, y runs in between."""
    matrix, p = similarity.at(step), similarity.array.attrs["p"]
    shown = _ticks(p)
    ticks = [p * x for x in shown]
    with new_figure(5.2, 4.6) as (figure, axis):
        image = axis.imshow(matrix, cmap=DIVERGING, vmin=-1, vmax=1, interpolation="nearest")
        axis.set_xticks(ticks, [str(x) for x in shown])
        axis.set_yticks(ticks, [str(x) for x in shown])
        axis.set(xlabel="x' (y' runs within)", ylabel="x (y runs within)")
        axis.set_title(_place(similarity, matrix))
        axis.grid(False)
        figure.colorbar(image, ax=axis, label="cosine similarity")
    return figure


def similarity_twin(similarity: CosineSimilarity, *, step: int | None = None) -> Twin:
    """The matrix of `plot_similarity`; of a p above `MOST_NUMBERS`, every second x and y, or every third or so."""
    matrix, p = similarity.at(step), similarity.array.attrs["p"]
    every = math.ceil(p / MOST_NUMBERS)
    numbers = range(0, p, every)
    pairs = [(x, y) for x in numbers for y in numbers]
    shown = matrix.isel(dict.fromkeys(("pair", "other_pair"), [p * x + y for x, y in pairs]))
    names, ticks = [f"({x}, {y})" for x, y in pairs], _ticks(len(numbers))
    at = {"tickvals": [len(numbers) * tick for tick in ticks], "ticktext": [str(numbers[tick]) for tick in ticks]}
    graph = heatmap_graph(
        shown,
        x="x' (y' runs within)",
        y="x (y runs within)",
        title=_place(similarity, matrix) + (f"<br>(one in {every} of x and y)" if every > 1 else ""),
        hover="%{y} against %{x}: %{z:.2f}",
        colours=DIVERGING,
        limits=(-1, 1),
        names=(names, names),
        square=True,
        height=600,
        x_axis=at,
        y_axis=at,
        colorbar={"title": {"text": "cosine similarity", "side": "bottom"}, "orientation": "h", **BELOW},
    )
    return Twin([graph], [])


def _place(similarity: CosineSimilarity, matrix: xr.DataArray) -> str:
    attrs = similarity.array.attrs
    return (
        f"{source(attrs)} at {attrs['position']} of slot {attrs['slot']}, task ({attrs['a']}, {attrs['b']}), "
        f"step {int(matrix['checkpoint'])}"
    )


def plot_mlp_activations(activations: MLPActivations, neurons: Sequence[int], *, step: int | None = None) -> Figure:
    """A p x p map for each neuron named, at a step (the last if none is named); one colour scale, white at 0.

    Raises ValueError when no neuron is named.
    """
    if not neurons:
        raise ValueError("no neuron to draw: name some, for example activations.most_varied(12)")
    attrs, maps = activations.array.attrs, activations.at(step).sel(neuron=list(neurons))
    columns = min(COLUMNS, len(neurons))
    rows = math.ceil(len(neurons) / columns)
    limit = float(abs(maps).max()) or 1.0
    grid: dict[str, Any] = dict(ncols=columns, nrows=rows, sharex=True, sharey=True, squeeze=False)
    with new_figure(max(4.8, 1.2 + 1.3 * columns), 1.0 + 1.45 * rows, **grid) as (figure, axes):
        for axis, neuron in zip(axes.flat, neurons, strict=False):
            axis.imshow(maps.sel(neuron=neuron), cmap=DIVERGING, vmin=-limit, vmax=limit, origin="lower")
            axis.set_title(f"neuron {neuron}", fontsize=8)
            axis.set(xlabel="y", ylabel="x", xticks=_ticks(attrs["p"]), yticks=_ticks(attrs["p"]))
            axis.label_outer()
            axis.grid(False)
        for axis in axes.flat[len(neurons) :]:
            axis.set_axis_off()
        figure.suptitle(
            f"MLP of block {attrs['layer']} at {attrs['position']} of slot {attrs['slot']}, "
            f"task ({attrs['a']}, {attrs['b']}), step {int(maps['checkpoint'])}"
        )
        figure.colorbar(axes[0, 0].images[0], ax=axes, label="activation")
    return figure


def _ticks(p: int) -> range:
    """The numbers 0 .. p - 1, or every third or so, that fit on an axis."""
    return range(0, p, math.ceil(p / 8))
