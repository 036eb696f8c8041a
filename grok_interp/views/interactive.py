"""Interactive twins of the figures, in one plotly template; what is over training moves with the page's step slider.

A view builds `Line`s of its result; a `Twin` is the graphs that stand together. The page draws them with `report.js`
and holds plotly once; its style sheet says which colours text and axes have in light and dark.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.colors import to_hex, to_rgb
from numpy.typing import ArrayLike

from grok_interp.views.theme import BLACK, LAYER_COLOURS

DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}  # matplotlib's -> plotly's
INK = "#1b1b1b"
AXIS = {"showline": True, "gridcolor": "#dddddd", "linecolor": "#666666", "zeroline": False, "automargin": True}
TEMPLATE = {
    "layout": {
        "colorway": list(LAYER_COLOURS),
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hoverlabel": {"bgcolor": "#ffffff", "font": {"color": INK}},
        "margin": {"l": 56, "r": 14, "t": 34, "b": 44},
        "title": {"x": 0.5, "font": {"size": 13}},
        "showlegend": False,
        "xaxis": AXIS,
        "yaxis": AXIS,
    }
}
MOST_UNIFIED = 8  # lines whose values a hover lists together
Clock = tuple[float, str]  # x of a step is this many times the step; the marker's colour
BY_UPDATES: tuple[Clock, ...] = ((1, BLACK),)


@dataclass(frozen=True)
class Line:
    """`group` is what a legend switches on and off; `spread` are the low and high ends of an interval.

    Of `dots`, each 4.5 times as wide as a line, `names` are what a hover says.
    """

    name: str
    x: ArrayLike
    y: ArrayLike
    colour: Any
    group: str = ""
    dashes: str = "-"
    width: float = 2
    spread: tuple[ArrayLike, ArrayLike] | None = None
    dots: bool = False
    names: Sequence[str] = ()
    opacity: float = 1
    thin: bool = False  # one of several seeds, without a hover of its own
    filled: bool = False  # an area with no edge: see `band`

    @property
    def switch(self) -> str:
        return self.group or self.name

    def trace(self) -> dict[str, Any]:
        """As plotly takes it."""
        colour = to_hex(self.colour)
        width = 0.7 if self.thin else self.width
        style = {"line": {"color": colour, "width": width, "dash": DASHES[self.dashes]}}
        return {
            "type": "scatter",
            "mode": "markers" if self.dots else "lines",
            "name": self.name,
            "legendgroup": self.switch,
            "x": _numbers(self.x),
            "y": _numbers(self.y),
            "opacity": 0.5 if self.thin else self.opacity,
            "hoverinfo": "skip" if self.thin else "all",
            "marker": {"color": colour, "size": 4.5 * width},
            **({} if self.dots else style),
            **({"text": list(self.names), "hovertemplate": "%{text}<extra></extra>"} if self.names else {}),
            **self._error_bars(colour),
            **(_area(self.colour) if self.filled else {}),
        }

    def frame(self) -> dict[str, Any]:
        """What of the trace changes from step to step."""
        return {"y": _numbers(self.y), **{f"error_y.{name}": ends for name, ends in self._ends().items()}}

    def _error_bars(self, colour: str) -> dict[str, Any]:
        if self.spread is None:
            return {}
        return {"error_y": {"type": "data", **self._ends(), "color": colour, "thickness": 1, "width": 0}}

    def _ends(self) -> dict[str, list[float | None]]:
        if self.spread is None:
            return {}
        low, y, high = map(np.asarray, (self.spread[0], self.y, self.spread[1]))
        return {"array": _numbers(high - y), "arrayminus": _numbers(y - low)}


@dataclass(frozen=True)
class Graph:
    """Traces and layout as plotly takes them. Without `clocks`, x is not the training; `frames` are by step."""

    traces: Sequence[Mapping[str, Any]]
    layout: Mapping[str, Any]
    clocks: Sequence[Clock] = ()
    frames: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)

    def script(self) -> str:
        """JSON that stands in a script element: nothing in it can end that element."""
        import plotly.graph_objects as go

        figure = go.Figure(list(self.traces), {**self.layout, "template": TEMPLATE})
        frames = {"steps": list(self.frames), "updates": list(self.frames.values())}
        text = json.dumps({"clocks": self.clocks, "frames": frames}, allow_nan=False)
        return f'{{"figure": {figure.to_json()}, {text[1:]}'.replace("<", "\\u003c")


@dataclass(frozen=True)
class Twin:
    """Graphs side by side, with the legend that they share; `steps` are the checkpoints that the slider stops at."""

    graphs: Sequence[Graph]
    steps: Sequence[int]
    legend: Sequence[Line] = ()
    columns: int = 1

    @property
    def switchable(self) -> bool:
        """Do the graphs have lines that a legend can switch off?"""
        return not self.legend or any("legendgroup" in trace for graph in self.graphs for trace in graph.traces)

    @property
    def switches(self) -> list[Line]:
        """One line for each group, in their order."""
        return list({line.switch: line for line in reversed(self.legend)}.values())[::-1]


def line_graph(
    lines: Sequence[Line],
    *,
    x: str,
    y: str,
    title: str = "",
    clocks: Sequence[Clock] = BY_UPDATES,
    levels: Iterable[tuple[float, str]] = (),
    shaded: tuple[float, float] | None = None,
    y_range: Sequence[float] | None = None,
    frames: Mapping[int, Sequence[Line]] | None = None,
    decimals: int = 3,
    height: int = 300,
    square: bool = False,
) -> Graph:
    """Lines over one abscissa; `levels`: (value, dashes) of horizontal lines; `frames`: the same lines at each step.

    `square`: both axes have one scale.
    """
    unified = sum(not line.thin for line in lines) <= MOST_UNIFIED and not any(line.names for line in lines)
    return Graph(
        [line.trace() for line in lines],
        {
            "title": {"text": title},
            "margin": {"t": 34 if title else 12},
            "height": height,
            "hovermode": "x unified" if unified else "closest",
            "xaxis": {"title": {"text": x}, "hoverformat": ",.6~g"},
            "yaxis": {
                "title": {"text": y},
                "hoverformat": f".{decimals}f",
                **({"range": list(y_range)} if y_range else {"rangemode": "tozero"}),
                **({"scaleanchor": "x"} if square else {}),
            },
            "shapes": [*map(_level, levels), *([_band(*shaded)] if shaded else [])],
        },
        clocks,
        {int(step): _restyled(shown) for step, shown in (frames or {}).items()},
    )


def band(line: Line, low: ArrayLike, high: ArrayLike) -> Line:
    """The area between two curves over a line's abscissa, in the line's color and switched on and off with it.

    Args:
        line: what the band belongs to.
        low: lower ends, one for each x of the line; where an end is not finite the band has a gap.
        high: upper ends.
    """
    low, high, x = (np.asarray(values, float) for values in (low, high, line.x))
    known = np.isfinite(low) & np.isfinite(high)
    x, low, high = x[known], low[known], high[known]
    outline = np.concatenate([x, x[::-1]]), np.concatenate([high, low[::-1]])
    return Line(line.name, *outline, line.colour, line.switch, thin=True, filled=True)


def plotly_javascript() -> str:
    """The library itself, to be inlined once in a page."""
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()


def _restyled(lines: Sequence[Line]) -> dict[str, list[Any]]:
    frames = [line.frame() for line in lines]
    keys = dict.fromkeys(key for frame in frames for key in frame)
    return {key: [frame.get(key) for frame in frames] for key in keys}


def _level(level: tuple[float, str]) -> dict[str, Any]:
    value, dashes = level
    line = {"color": "#808080", "width": 1, "dash": DASHES[dashes]}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": value, "y1": value, "line": line}


def _band(low: float, high: float) -> dict[str, Any]:
    place = {"xref": "paper", "x0": 0, "x1": 1, "y0": low, "y1": high, "layer": "below"}
    return {"type": "rect", **place, "fillcolor": "#808080", "opacity": 0.2, "line": {"width": 0}}


def _area(colour: Any) -> dict[str, Any]:
    red, green, blue = (round(255 * part) for part in to_rgb(colour))
    return {"fill": "toself", "fillcolor": f"rgba({red},{green},{blue},0.15)", "line": {"width": 0}, "opacity": 1}


def _numbers(values: ArrayLike) -> list[float | None]:
    """Rounded to 5 digits; what is not finite is a gap."""
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in np.asarray(values, float).tolist()]
