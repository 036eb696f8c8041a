"""Heatmaps of a twin: every cell has its number on hover; a cell that is not finite is a gap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from grok_interp.views.interactive import Graph

MOST_WRITTEN = 10_000  # cells of a heatmap that stand in the page as text
UNIT, ZERO, GAP = 1e-3, 20_000, 0  # of larger ones: thousandths from a zero on, 16 bits that `report.js` unpacks


def heatmap_graph(
    values: ArrayLike,
    *,
    x: str,
    y: str,
    hover: str,
    colours: Any,
    limits: tuple[float, float],
    title: str = "",
    height: int = 280,
    names: tuple[Sequence[str], Sequence[str]] | None = None,
    square: bool = False,
    x_axis: Mapping[str, Any] | None = None,
    y_axis: Mapping[str, Any] | None = None,
    frames: Mapping[int, ArrayLike] | None = None,
    **trace: Any,
) -> Graph:
    """Rows (y) x columns (x) of numbers on one colour scale; axes, `hover` and `trace` as plotly takes them.

    `names` of rows and of columns stand in place of their numbers; `square` cells begin with the first row on top.
    Above `MOST_WRITTEN` cells, values lie between -19 and 19 and keep three digits after the point.
    """
    rows, columns = names or (None, None)
    heatmap = {
        "type": "heatmap",
        **_cells(np.asarray(values, float)),
        **({"x": list(columns), "y": list(rows)} if rows and columns else {}),
        "colorscale": colours,
        "zmin": limits[0],
        "zmax": limits[1],
        "hovertemplate": f"{hover}<extra></extra>",
        "showscale": "colorbar" in trace,
        **trace,
    }
    kind = {"showgrid": False, **({"type": "category"} if names else {})}
    cells = {"scaleanchor": "x", "constrain": "domain", "autorange": "reversed"} if square else {}
    layout = {
        "title": {"text": title},
        "margin": {"t": 34 + 16 * title.count("<br>") if title else 12},
        "height": height,
        "xaxis": {"title": {"text": x}, **kind, **({"constrain": "domain"} if square else {}), **(x_axis or {})},
        "yaxis": {"title": {"text": y}, **kind, **cells, **(y_axis or {})},
    }
    return Graph([heatmap], layout, frames={step: {"z": [_written(each)]} for step, each in (frames or {}).items()})


def _cells(values: np.ndarray) -> dict[str, Any]:
    if values.size <= MOST_WRITTEN:
        return {"z": _written(values)}
    thousandths = np.where(np.isfinite(values), np.round(values / UNIT) + ZERO, GAP)
    return {"z": thousandths.astype("<u2"), "meta": {"unit": UNIT, "zero": ZERO, "gap": GAP}}


def _written(values: ArrayLike) -> list[list[float | None]]:
    rows = np.asarray(values, float).tolist()
    return [[round(value, 7) if np.isfinite(value) else None for value in row] for row in rows]
