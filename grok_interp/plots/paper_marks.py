"""Each kind of mark as matplotlib draws it."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from grok_interp.plots.drawing import Panel
from grok_interp.plots.layout import texts_in_cells
from grok_interp.plots.marks import Cells, Line, Mark, Points
from grok_interp.plots.theme import LEAST_TYPE, colormap, is_dark

FAINT: dict[str, Any] = {"lw": 0.6, "alpha": 0.5}


def draw_mark(axis: Axes, mark: Mark, panel: Panel, width: float) -> None:
    """`width` of the panel in points."""
    if isinstance(mark, Line):
        draw_line(axis, mark)
    elif isinstance(mark, Points):
        draw_points(axis, mark)
    else:
        draw_cells(axis, mark, panel, width)


def draw_line(axis: Axes, line: Line) -> None:
    """With its interval as a band, or as a bar where there is one value."""
    x, y = np.asarray(line.x, float), np.asarray(line.y, float)
    alone = len(x) == 1
    if line.low is not None and line.high is not None:
        low, high = np.asarray(line.low, float), np.asarray(line.high, float)
        if alone:
            axis.vlines(x, low, high, color=line.color, lw=0.8)
        else:
            axis.fill_between(x, low, high, color=line.color, alpha=0.2, lw=0, zorder=1.5)
    style: dict[str, Any] = (
        FAINT if line.faint else {"lw": line.width, "alpha": None if line.opacity == 1 else line.opacity}
    )
    marker = "o" if alone else "." if line.dotted else ""
    axis.plot(x, y, color=line.color, ls=line.dash, marker=marker, ms=4, label=line.label, **style)


def draw_points(axis: Axes, points: Points) -> None:
    instead = points.written == "instead" and len(points.texts) > 0
    if points.low is not None and points.high is not None:
        axis.vlines(points.x, points.low, points.high, color=points.color, lw=0.8, alpha=0.6)
    size = 0 if instead else points.size**2  # dots of no size still set the limits
    axis.scatter(points.x, points.y, color=points.color, s=size, label=points.label, zorder=2)
    if instead:
        for x, y, text in zip(np.asarray(points.x), np.asarray(points.y), points.texts, strict=True):
            axis.text(x, y, text, color=points.color, ha="center", va="center", fontsize=LEAST_TYPE)
    if points.written == "beside" and points.texts:
        axis.margins(x=0.2, y=0.12)


def draw_cells(axis: Axes, cells: Cells, panel: Panel, width: float) -> None:
    """Columns of training steps reach half way to their neighbors; other places are at equal distances."""
    values, scale = np.asarray(cells.values, float), cells.scale
    colors = {"cmap": colormap(scale.colors), "vmin": scale.limits[0], "vmax": scale.limits[1]}
    if panel.x.steps:
        axis.pcolormesh(np.asarray(cells.x), np.asarray(cells.y), values, shading="nearest", **colors)
        return
    left, right = _edges(cells.x)
    low, high = _edges(cells.y)
    shape = "equal" if panel.square else "auto"
    axis.imshow(
        values, origin="lower", extent=(left, right, low, high), aspect=shape, interpolation="nearest", **colors
    )
    if cells.texts is not None:
        _write(axis, cells, values, texts_in_cells(cells, width))


def _edges(places: ArrayLike) -> tuple[float, float]:
    """Of cells around their places; names are at 0, 1, 2, ..."""
    at = np.asarray(places)
    if not np.issubdtype(at.dtype, np.number):
        return -0.5, len(at) - 0.5
    half = (at[-1] - at[0]) / (len(at) - 1) / 2 if len(at) > 1 else 0.5
    return float(at[0] - half), float(at[-1] + half)


def _write(axis: Axes, cells: Cells, values: np.ndarray, texts: np.ndarray) -> None:
    low, high = cells.scale.limits
    colors = colormap(cells.scale.colors)((values - low) / (high - low))
    for (row, column), text in np.ndenumerate(texts):
        if text and np.isfinite(values[row, column]):
            ink = "white" if is_dark(colors[row, column]) else "black"
            axis.text(
                *_place(cells, row, column),
                text,
                ha="center",
                va="center",
                color=ink,
                fontsize=LEAST_TYPE,
                linespacing=1,
            )


def _place(cells: Cells, row: int, column: int) -> tuple[float, float]:
    x, y = cells.x[column], cells.y[row]
    return column if isinstance(x, str) else x, row if isinstance(y, str) else y
