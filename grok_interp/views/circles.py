"""Points seen by PCA: the circle of circles of a head, and the embeddings of the numbers, by discrete logarithm."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize, hsv_to_rgb
from matplotlib.figure import Figure

from grok_interp.analysis.circles import CirclePCA
from grok_interp.analysis.embedding import EmbeddingPCA
from grok_interp.views.interactive import Line, Twin, line_graph
from grok_interp.views.theme import BLACK, BLUE, ORANGE, new_figure

HUES = np.linspace(0, 1, 256, endpoint=False)
CYCLE = ListedColormap(hsv_to_rgb([(hue, 1.0, 0.8) for hue in HUES]))  # its ends meet, as logarithms modulo p - 1 do
GREY = (0.6, 0.6, 0.6, 1.0)
MOST_NUMBERED = 11  # p up to which numbers are drawn and not dots


def plot_circles(circles: CirclePCA, *, step: int | None = None) -> Figure:
    """The first two components of every pair at a step (the last if none is named): coloured by log x, and by log y.

    A point is a dot, with p up to 11 the number x or y itself; pairs with a zero, which has no logarithm, are grey.
    Raises ValueError for fewer than two components.
    """
    points = circles.at(step)
    _require_two_components(points)
    with new_figure(8.4, 4.4, ncols=2) as (figure, axes):
        for axis, variable in zip(axes, ("x", "y"), strict=True):
            _plot_pairs(axis, points, variable)
            axis.set(xlabel=_component(points, 0), ylabel=_component(points, 1), title=f"colour: log {variable}")
            axis.set_aspect("equal", adjustable="datalim")
        scale = ScalarMappable(Normalize(0, len(points["x"]) - 1), CYCLE)
        figure.colorbar(scale, ax=axes, label="logarithm of x, of y (modulo p - 1)", aspect=40)
        figure.suptitle(place(circles, step=step))
    return figure


def place(circles: CirclePCA, *, step: int | None = None) -> str:
    """Which head, where and when, at a step (the last if none is named)."""
    attrs = circles.array.attrs
    return (
        f"L{attrs['layer']}H{attrs['head']} at x and y of slot {attrs['slot']}, task ({attrs['a']}, {attrs['b']}), "
        f"step {int(circles.at(step)['checkpoint'])}; logarithms to base {attrs['root']}"
    )


def circles_twin(circles: CirclePCA, *, step: int | None = None) -> Twin:
    """Both panels of `plot_circles`; a point says its numbers and their logarithms.

    Raises ValueError for fewer than two components.
    """
    points = circles.at(step)
    _require_two_components(points)
    graphs = [
        line_graph(
            _dots(points, variable),
            x=_component(points, 0),
            y=_component(points, 1),
            title=f"colour: log {variable}",
            clocks=(),
            height=440,
            square=True,
        )
        for variable in ("x", "y")
    ]
    return Twin(graphs, [], columns=2)


def _dots(points: xr.DataArray, variable: str) -> list[Line]:
    """One for each logarithm of the variable, and one for the pairs with a zero."""
    both = points.stack(pair=("x", "y"))
    n_logs, logs = points.sizes["x"] - 1, both[f"log_{variable}"].to_numpy()
    has_zero = ((both["x"] == 0) | (both["y"] == 0)).to_numpy()
    chosen = [has_zero, *(~has_zero & (logs == log) for log in range(n_logs))]
    colours = [GREY, *(CYCLE(log / n_logs) for log in range(n_logs))]
    return [_pairs(both.isel(pair=each), colour) for each, colour in zip(chosen, colours, strict=True)]


def _pairs(points: xr.DataArray, colour: Any) -> Line:
    right, up = points.isel(component=0).to_numpy(), points.isel(component=1).to_numpy()
    return Line("", right, up, colour, width=1.5, dots=True, names=[_named(point) for point in points.T])


def _named(point: xr.DataArray) -> str:
    texts = []
    for variable in ("x", "y"):
        number, log = int(point[variable]), point[f"log_{variable}"]
        texts.append(f"{variable} = {number}, " + (f"log {variable} = {int(log)}" if number else "no logarithm"))
    return "<br>".join(texts)


def plot_embedding(embedding: EmbeddingPCA, *, step: int | None = None) -> Figure:
    """Every two of the first three components at a step (the last if none is named), even and odd logarithms apart.

    Raises ValueError for fewer than two components.
    """
    points = embedding.at(step)
    _require_two_components(points)
    views = list(combinations(range(min(points.sizes["component"], 3)), 2))
    with new_figure(3.4 * len(views), 3.6, ncols=len(views), squeeze=False) as (figure, axes):
        for axis, (across, up) in zip(axes[0], views, strict=True):
            _plot_numbers(axis, points, across, up)
            axis.set(xlabel=_component(points, across), ylabel=_component(points, up))
        axes[0, 0].legend(loc="best", fontsize=7)
        step, root = int(points["checkpoint"]), embedding.array.attrs["root"]
        figure.suptitle(f"embeddings at step {step}, labelled by their number; logarithms to base {root}")
    return figure


def _plot_pairs(axis: Any, points: xr.DataArray, variable: str) -> None:
    both, n_logs = points.stack(pair=("x", "y")), points.sizes["x"] - 1
    right, up = both.isel(component=0).to_numpy(), both.isel(component=1).to_numpy()
    colours = CYCLE(both[f"log_{variable}"].to_numpy() / n_logs)
    colours[((both["x"] == 0) | (both["y"] == 0)).to_numpy()] = GREY
    numbered = n_logs < MOST_NUMBERED
    axis.scatter(right, up, c=colours, s=0 if numbered else 8)  # unseen dots still set the limits
    for across, above, number, colour in zip(right, up, both[variable].to_numpy(), colours, strict=True):
        if numbered:
            axis.text(across, above, str(number), color=colour, ha="center", va="center", fontsize=8)


def _plot_numbers(axis: Any, points: xr.DataArray, across: int, up: int) -> None:
    numbers, logs = points["number"].to_numpy(), points["log"].to_numpy()
    right, above = points.isel(component=across).to_numpy(), points.isel(component=up).to_numpy()
    kinds = {
        "even log": (numbers > 0) & (logs % 2 == 0),
        "odd log": (numbers > 0) & (logs % 2 == 1),
        "zero": numbers == 0,
    }
    for (label, chosen), colour in zip(kinds.items(), (BLUE, ORANGE, BLACK), strict=True):
        axis.scatter(right[chosen], above[chosen], color=colour, label=label, s=26)
    for number in numbers:
        at = right[number], above[number]
        axis.annotate(str(number), at, xytext=(3, 2), textcoords="offset points", fontsize=7)


def _require_two_components(points: xr.DataArray) -> None:
    if points.sizes["component"] < 2:
        raise ValueError("a picture needs two components, the PCA kept 1: analyze again with n_components=2")


def _component(points: xr.DataArray, component: int) -> str:
    return f"component {component} ({float(points['explained'][component]):.0%} of the variance)"
