"""Every head at once: a score by layer and head, at one checkpoint or over training; the patterns on one sequence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from grok_interp.analysis.attention import AttentionMaps
from grok_interp.views.heatmaps import heatmap_graph
from grok_interp.views.interactive import Twin
from grok_interp.views.theme import DIVERGING, new_figure


def plot_head_map(scores: xr.DataArray, *, title: str) -> Figure:
    """layer x head of one checkpoint as a picture, white at 0."""
    layers, heads = scores.sizes["layer"], scores.sizes["head"]
    with new_figure(1.6 + 0.45 * heads, 1.2 + 0.35 * layers) as (figure, axis):
        image = axis.imshow(scores.transpose("layer", "head"), cmap=DIVERGING, vmin=-1, vmax=1, origin="lower")
        axis.set(xlabel="head", ylabel="layer", xticks=range(heads), yticks=range(layers), title=title)
        axis.grid(False)
        figure.colorbar(image, ax=axis)
    return figure


def plot_attention(maps: AttentionMaps, tokens: Sequence[str]) -> Figure:
    """The patterns of all heads on one sequence, a row a layer.

    Raises ValueError for tokens of another number.
    """
    n_layers, n_heads, n_tokens, _ = maps.array.shape
    if len(tokens) != n_tokens:
        raise ValueError(f"the maps are over {n_tokens} tokens, got {len(tokens)} token strings")
    size = 1.2 + 0.06 * n_tokens
    with new_figure(size * n_heads, size * n_layers, nrows=n_layers, ncols=n_heads, squeeze=False) as (figure, axes):
        for (layer, head), axis in np.ndenumerate(axes):
            axis.imshow(maps.of(layer, head), cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
            axis.set_title(f"L{layer}H{head}", fontsize=8)
            axis.set_xticks(range(n_tokens), tokens, rotation=90, fontsize=4)
            axis.set_yticks(range(n_tokens), tokens, fontsize=4)
            axis.grid(False)
        figure.supxlabel("key", fontsize=8)
        figure.supylabel("query", fontsize=8)
    return figure


def head_map_twin(scores: xr.DataArray, *, title: str) -> Twin:
    """checkpoint x layer x head, each head at its place, at the step of the page's slider."""
    values = scores.transpose("checkpoint", "layer", "head").to_numpy()
    steps = [int(step) for step in scores["checkpoint"].values]
    graph = heatmap_graph(
        values[-1],
        x="head",
        y="layer",
        hover="%{customdata}: %{z:.3f}",
        colours=DIVERGING,
        limits=(-1, 1),
        height=120 + 40 * values.shape[1],
        x_axis={"dtick": 1},
        y_axis={"dtick": 1},
        frames=dict(zip(steps, values, strict=True)),
        customdata=[[f"L{layer}H{head}" for head in scores["head"].values] for layer in scores["layer"].values],
        colorbar={"title": {"text": title}, "thickness": 14},
        xgap=1,
        ygap=1,
    )
    return Twin([graph], steps)
