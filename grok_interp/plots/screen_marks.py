"""Each kind of mark as plotly takes it; a hover says its name, its value with the unit, and its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from numpy.typing import ArrayLike

from grok_interp.plots.drawing import Panel
from grok_interp.plots.marks import Axis, Cells, Line, Mark, Points
from grok_interp.plots.theme import colorscale

PLOTLY_DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}
MOST_WRITTEN = 10_000  # cells of a heatmap that are in the page as text
MOST_LABEL = 20  # characters of a label that is on one line with its value
MOST_SPACED = 200  # cells with white between them
UNIT, ZERO, GAP = 1e-3, 20_000, 0  # of larger ones: thousandths from a zero on, 16 bits that `page.js` unpacks
THICKER = 5 / 3  # pixels of a screen for a point of paper
Trace = dict[str, Any]


def traces(panel: Panel, marks: Sequence[Mark], *, packed: bool) -> list[Trace]:
    """One for each mark, and before a line one for its band. `packed`: many cells are 16-bit numbers, a third of the
    text."""
    drawn: list[Trace] = []
    for mark in marks:
        if isinstance(mark, Line):
            drawn += _line(mark, panel.y)
        elif isinstance(mark, Points):
            drawn.append(_points(mark, panel))
        else:
            drawn.append(_heatmap(mark, panel, packed=packed))
    return drawn


def _line(line: Line, axis: Axis) -> list[Trace]:
    x, y, width = _numbers(line.x), _numbers(line.y), 0.7 if line.faint else THICKER * line.width
    alone = len(x) == 1
    trace = {
        "type": "scatter",
        "mode": "markers" if alone else "lines+markers" if line.dotted else "lines",
        "name": line.label,
        "legendgroup": line.entry,
        "x": x,
        "y": y,
        "opacity": 0.5 if line.faint else line.opacity,
        "hoverinfo": "skip" if line.faint else "all",
        "line": {"color": line.color, "width": width, "dash": PLOTLY_DASHES[line.dash]},
        "marker": {"color": line.color, "size": 8 if alone else 4},
    }
    value = f"%{{y:{axis.format}}}{_unit(axis.unit)}"
    if line.low is None or line.high is None:
        return [trace if line.faint else {**trace, "hovertemplate": value}]
    low, high = _numbers(line.low), _numbers(line.high)
    trace |= {"customdata": list(zip(low, high, strict=True)), "hovertemplate": f"{value} {_ends(axis.format)}"}
    return [_with_error_bar(line, trace)] if alone else [_band(line), trace]


def _ends(form: str) -> str:
    """Of an interval, as a hover says it."""
    return f"[{', '.join(f'%{{customdata[{end}]:{form}}}' for end in (0, 1))}]"


def _with_error_bar(line: Line | Points, trace: Trace) -> Trace:
    """Dots with their intervals."""
    low, y, high = (np.asarray(values, float) for values in (line.low, line.y, line.high))
    ends = {"array": _numbers(high - y), "arrayminus": _numbers(y - low)}
    return {**trace, "error_y": {"type": "data", **ends, "color": line.color, "thickness": 1, "width": 0}}


def _band(line: Line) -> Trace:
    """The area between both ends, switched on and off with its line; where an end is not finite there is a gap."""
    ends = np.array([np.asarray(values, float) for values in (line.x, line.low, line.high)])
    known = np.asarray(np.isfinite(ends).all(axis=0))
    outline: list[tuple[float, float]] = []
    for part in np.split(np.arange(len(known)), np.flatnonzero(np.diff(known)) + 1):
        if known[part].all():
            x, low, high = ends[:, part]
            outline += [*zip(x, high, strict=True), *zip(x[::-1], low[::-1], strict=True), (np.nan, np.nan)]
    red, green, blue = (round(255 * part) for part in to_rgb(line.color))
    return {
        "type": "scatter",
        "mode": "lines",
        "name": line.label,
        "legendgroup": line.entry,
        "x": _numbers([x for x, _ in outline[:-1]]),
        "y": _numbers([y for _, y in outline[:-1]]),
        "hoverinfo": "skip",
        "fill": "toself",
        "fillcolor": f"rgba({red},{green},{blue},0.15)",
        "line": {"width": 0, "color": line.color},
    }


def _points(points: Points, panel: Panel) -> Trace:
    values = [_hover(name, axis) for name, axis in (("x", panel.x), ("y", panel.y))]
    interval: Trace = {}
    if points.low is not None and points.high is not None:
        interval = {"customdata": list(zip(_numbers(points.low), _numbers(points.high), strict=True))}
        values.append(_ends(panel.y.format))
    instead = points.written == "instead" and len(points.texts) > 0
    return {
        "type": "scatter",
        "mode": "text" if instead else "markers",
        "name": points.label,
        "legendgroup": points.entry,
        "x": _numbers(points.x),
        "y": _numbers(points.y),
        "hovertext": list(points.names),
        "hovertemplate": "<br>".join(["%{hovertext}", *values]) + "<extra></extra>",
        "marker": {"color": points.color, "size": 2 * points.size},
        **({"text": list(points.texts), "textfont": {"color": points.color}} if instead else {}),
        **(_with_error_bar(points, interval) if interval else {}),
    }


def _heatmap(cells: Cells, panel: Panel, *, packed: bool) -> Trace:
    scale, values = cells.scale, np.asarray(cells.values, float)
    place = f"{panel.x.label} %{{x}}, {panel.y.label} %{{y}}"
    number = f"{scale.label}: %{{z:{scale.format}}}{_unit(scale.unit)}"
    named = "%{customdata}" if cells.names is not None else place
    return {
        "type": "heatmap",
        **_values(values, packed=packed and values.size > MOST_WRITTEN),
        "x": list(cells.x),
        "y": list(cells.y),
        "colorscale": colorscale(scale.colors),
        "zmin": scale.limits[0],
        "zmax": scale.limits[1],
        "hovertemplate": "<br>".join([named, *([number] if scale.bar else [])]) + "<extra></extra>",
        "showscale": False,
        **({} if cells.names is None else {"customdata": np.asarray(cells.names, object).tolist()}),
        **({} if cells.texts is None else {"text": _html(cells.texts), "texttemplate": "%{text}"}),
        **({"xgap": 1, "ygap": 1} if values.size <= MOST_SPACED and not panel.x.steps else {}),
    }


def _values(values: np.ndarray, *, packed: bool) -> Trace:
    if not packed:
        rows = values.tolist()
        return {"z": [[round(value, 7) if np.isfinite(value) else None for value in row] for row in rows]}
    thousandths = np.where(np.isfinite(values), np.round(values / UNIT) + ZERO, GAP)
    return {"z": thousandths.astype("<u2"), "meta": {"unit": UNIT, "zero": ZERO, "gap": GAP}}


def _hover(name: str, axis: Axis) -> str:
    between = "<br>" if len(axis.label) > MOST_LABEL else " "
    return f"{axis.label}:{between}%{{{name}:{axis.format}}}{_unit(axis.unit)}"


def _html(texts: ArrayLike) -> list[list[str]]:
    return [[str(text).replace("\n", "<br>") for text in row] for row in np.asarray(texts, object)]


def _unit(unit: str) -> str:
    return unit if unit == "%" else f" {unit}" if unit else ""


def _numbers(values: ArrayLike) -> list[float | None]:
    """Rounded to 5 digits; what is not finite is a gap."""
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in np.asarray(values, float).tolist()]
