"""Drawings on a screen, with plotly; what changes over training follows the page's one step slider.

A page draws the graphs with `page.js` and holds plotly once; its style sheet has the colors of text and axes in light
and dark.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grok_interp.arguments import checked
from grok_interp.plots.drawing import Drawing, KeyEntry, Panel
from grok_interp.plots.layout import Direction, cells_of, has_grid, named_ticks, names_along, wrapped
from grok_interp.plots.marks import Cells, ColorScale, Level, Line, Points, Shade
from grok_interp.plots.screen_marks import PLOTLY_DASHES, Trace, traces
from grok_interp.plots.theme import GRAY, LAYER_COLORS, LEAST_TYPE, WITH_WHITE

INK, PIXELS = "#1b1b1b", 12  # of text
AXIS = {"showline": True, "gridcolor": "#dddddd", "linecolor": "#666666", "zeroline": False, "automargin": True}
TEMPLATE = {
    "layout": {
        "colorway": list(LAYER_COLORS),
        "font": {"family": "system-ui, sans-serif", "size": PIXELS, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hoverlabel": {"bgcolor": "#ffffff", "font": {"color": INK}, "namelength": -1},
        "margin": {"l": 56, "r": 14, "t": 34, "b": 44},
        "title": {"x": 0.5, "font": {"size": 13}},
        "showlegend": False,
        "xaxis": AXIS,
        "yaxis": AXIS,
    }
}
MOST_UNIFIED = 8  # lines whose values a hover lists together
PAGE, LEAST_HEIGHT, LINES_HEIGHT, MOST_HEIGHT = 930, 230, 310, 600  # pixels
LOW_HEIGHT = 104  # of the marks in a panel that shares its x axis with those below


@dataclass(frozen=True)
class Graph:
    """A panel as plotly takes it.

    Args:
        traces: of plotly.
        layout: of plotly.
        markers: where the slider's step is marked on x, as (value for each step, color).
        frames: step -> what of the traces is then another.
    """

    traces: Sequence[Trace]
    layout: Mapping[str, Any]
    markers: Sequence[tuple[float, str]] = ()
    frames: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)

    def script(self) -> str:
        """JSON for a script element: nothing in it can end that element."""
        import plotly.graph_objects as go

        figure = go.Figure(list(self.traces), {**self.layout, "template": TEMPLATE})
        frames = {"steps": list(self.frames), "updates": list(self.frames.values())}
        text = json.dumps({"markers": self.markers, "frames": frames}, allow_nan=False)
        return f'{{"figure": {figure.to_json()}, {text[1:]}'.replace("<", "\\u003c")


@dataclass(frozen=True)
class Screen:
    """What a page needs of a drawing: graphs side by side, and their color key.

    `steps` are those that the slider stops at; `not_following` says why nothing here follows it; empty where it does.
    `has_white`: cells are white where nothing is.
    """

    graphs: Sequence[Graph]
    columns: int
    key: Sequence[KeyEntry]
    key_title: str
    scales: Sequence[ColorScale]
    steps: Sequence[int]
    title: str
    not_following: str
    has_white: bool

    def _repr_html_(self) -> str:
        """A page of its own in a frame, which works without a network; it holds all of plotly, 5 MB."""
        from grok_interp.plots.page import page_of

        height = 160 + sum(graph.layout["height"] for graph in self.graphs[:: self.columns])
        source = html.escape(page_of(self))
        return f'<iframe srcdoc="{source}" style="width: 100%; height: {height}px; border: 0"></iframe>'


@checked
def on_screen(drawing: Drawing) -> Screen:
    """The drawing as interactive graphs, for a page (see `Page`) or a notebook.

    Args:
        drawing: what is drawn.

    Returns:
        Graphs with a hover of values and units. What changes over training follows the page's step slider, and axes of
        training steps mark its step.

    Example:
        >>> from grok_interp.plots import TRAINING_STEP, Axis, Drawing, Line, Panel
        >>> panel = Panel(TRAINING_STEP, Axis("loss"), [Line([0, 1], [2.0, 1.0], "loss", "black")])
        >>> len(on_screen(Drawing([panel])).graphs)
        1
    """
    scales = [cells.scale for panel in drawing.panels for cells in cells_of(panel)]
    return Screen(
        graphs=[_graph(panel, drawing) for panel in drawing.panels],
        columns=drawing.columns,
        key=drawing.entries if drawing.needs_key else [],
        key_title=drawing.key_title,
        scales=list(dict.fromkeys(scale for scale in scales if scale.bar)),
        steps=drawing.steps,
        title=drawing.title,
        not_following=_not_following(drawing),
        has_white=any(scale.colors in WITH_WHITE for scale in scales),
    )


def plotly_javascript() -> str:
    """The library itself, to be inlined once in a page."""
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()


def _not_following(drawing: Drawing) -> str:
    steps = drawing.frame_steps
    if len(steps) > 1 or any(panel.x.markers for panel in drawing.panels):
        return ""
    step = steps[0] if steps else drawing.step
    return f"{'' if step is None else f'Step {step:,}. '}This figure does not follow the slider."


def _graph(panel: Panel, drawing: Drawing) -> Graph:
    moves = len(panel.frames) > 1
    shown = traces(panel, panel.at(drawing.step if panel.frames else None), packed=not moves)
    by_step = {step: traces(panel, panel.at(step), packed=False) for step in panel.frames} if moves else {}
    layout = _layout(panel, drawing.columns)
    if drawing.aligned:
        layout = _low(panel, layout, has_numbers=panel in drawing.panels[-drawing.columns :])
    return Graph(shown, layout, panel.x.markers, _updates(by_step))


def _updates(by_step: Mapping[int, list[Trace]]) -> dict[int, dict[str, list[Any]]]:
    """What differs between steps, for each trace, as plotly's `restyle` takes it."""
    if not by_step:
        return {}
    all_steps = list(by_step.values())
    keys = dict.fromkeys(key for shown in all_steps for trace in shown for key in trace)
    differing = [
        key
        for key in keys
        if any(a.get(key) != b.get(key) for shown in all_steps[1:] for a, b in zip(all_steps[0], shown, strict=True))
    ]
    return {step: {key: [trace.get(key) for trace in shown] for key in differing} for step, shown in by_step.items()}


def _layout(panel: Panel, columns: int) -> dict[str, Any]:
    marks, cells = panel.at(), cells_of(panel)
    lines = [mark for mark in marks if isinstance(mark, Line) and not mark.faint]
    unified = len(lines) <= MOST_UNIFIED and not any(isinstance(mark, Points) for mark in marks)
    title = panel.title.replace("\n", "<br>")
    width, height = PAGE / columns, _height(panel, cells, columns)
    x, y = _axis(panel, "x", 0.8 * width), _axis(panel, "y", 0.75 * height)
    if panel.square:
        x, y = {**x, "constrain": "domain"}, {**y, "scaleanchor": "x", **({"constrain": "domain"} if cells else {})}
    return {
        "title": {"text": title},
        "margin": {"t": 34 + 16 * title.count("<br>") if title else 12},
        "height": height,
        "hovermode": "x unified" if unified and lines and not cells else "closest",
        "xaxis": x,
        "yaxis": y,
        "shapes": [*map(_level, panel.levels), *map(_shade, panel.shades)],
    }


def _low(panel: Panel, layout: dict[str, Any], *, has_numbers: bool) -> dict[str, Any]:
    """Of a panel that shares its x axis with those below: equal margins at the sides, numbers below the last alone."""
    top, numbers = layout["margin"].get("t", 12), 42 if has_numbers else 6
    x = {**layout["xaxis"], "automargin": False, "showticklabels": has_numbers, "nticks": 6, "tickangle": 0}
    title = wrapped(panel.y.text, LOW_HEIGHT, PIXELS).replace("\n", "<br>")
    return {
        **layout,
        "height": LOW_HEIGHT + top + numbers,
        "margin": {"l": 72, "r": 14, "t": top, "b": numbers},
        "xaxis": x if has_numbers else {**x, "title": {"text": ""}},
        "yaxis": {**layout["yaxis"], "title": {"text": title, "standoff": 8}, "automargin": False, "nticks": 4},
    }


def _axis(panel: Panel, direction: Direction, length: float) -> dict[str, Any]:
    """`length` in pixels."""
    axis, cells = panel.x if direction == "x" else panel.y, cells_of(panel)
    title = wrapped(axis.text, length, PIXELS).replace("\n", "<br>")
    shown: dict[str, Any] = {
        "title": {"text": title, "standoff": 8},
        "hoverformat": axis.format,
        "showgrid": has_grid(panel),
    }
    if axis.limits != (None, None):
        shown["range"] = list(axis.limits[::-1] if axis.reversed else axis.limits)
    elif axis.reversed:
        shown["autorange"] = "reversed"
    if names := names_along(panel, direction):
        kept, turned = named_ticks(list(names.values()), length * LEAST_TYPE / PIXELS, across=direction == "x")
        places = [list(names)[index] for index in kept]
        ticks = {
            "tickvals": places,
            "ticktext": [names[place].replace("\n", "<br>") for place in places],
            "tickangle": 90 if turned else 0,
        }
        return {**shown, **ticks, "type": "category" if _are_names(cells, direction) else "linear"}
    if axis.per_step or axis.steps:
        shown |= {"tickformat": "~s" if axis.per_step else ",", "nticks": max(3, int(length / 70))}
    return {**shown, "type": axis.scale}


def _are_names(cells: Sequence[Cells], direction: Direction) -> bool:
    return any(isinstance(place, str) for each in cells for place in (each.x if direction == "x" else each.y))


def _height(panel: Panel, cells: Sequence[Cells], columns: int) -> int:
    if panel.square:
        return int(min(MOST_HEIGHT, max(LEAST_HEIGHT, PAGE / columns)))
    if cells and len(cells[0].y) <= 16:
        lines = 1 if cells[0].texts is None else 2
        return int(min(MOST_HEIGHT, max(180, 110 + 26 * lines * len(cells[0].y))))
    return int(min(LINES_HEIGHT, max(LEAST_HEIGHT, 0.66 * PAGE / columns)))


def _level(level: Level) -> dict[str, Any]:
    line = {"color": GRAY, "width": 1, "dash": PLOTLY_DASHES[level.dash]}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": level.value, "y1": level.value, "line": line}


def _shade(shade: Shade) -> dict[str, Any]:
    across = "y" if shade.along == "x" else "x"
    place = {f"{across}ref": "paper", f"{across}0": 0, f"{across}1": 1, "layer": "below"}
    place |= {f"{shade.along}0": shade.low, f"{shade.along}1": shade.high}
    return {"type": "rect", **place, "fillcolor": GRAY, "opacity": 0.2, "line": {"width": 0}}
