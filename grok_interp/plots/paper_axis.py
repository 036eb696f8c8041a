"""The axes of a panel on paper: limits, ticks that have room, numbers with thousands separators."""

from __future__ import annotations

from math import isfinite

from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator

from grok_interp.plots.drawing import Panel
from grok_interp.plots.layout import CHARACTER, LINE, Direction, named_ticks, names_along
from grok_interp.plots.marks import Axis


def draw_axis(axis: Axes, direction: Direction, panel: Panel, length: float) -> None:
    """`length` of the axis in points."""
    described = panel.x if direction == "x" else panel.y
    line = axis.xaxis if direction == "x" else axis.yaxis
    (axis.set_xscale if direction == "x" else axis.set_yscale)(described.scale)
    if described.limits != (None, None):
        (axis.set_xlim if direction == "x" else axis.set_ylim)(*described.limits)
    if described.reversed:
        line.set_inverted(True)
    if names := names_along(panel, direction):
        kept, turned = named_ticks(list(names.values()), length, across=direction == "x")
        places = [list(names)[index] for index in kept]
        line.set_ticks(places, [names[place] for place in places], rotation=90 if turned else 0)
    elif described.scale == "linear":
        bounds = [float(f"{bound:.1g}") for bound in line.get_data_interval() if isfinite(bound)]
        line.set_major_locator(_locator(described, direction, length, max(map(len, map(number, bounds)), default=0)))
        line.set_major_formatter(EngFormatter(sep="") if described.per_step else FuncFormatter(number))


def number(value: float, _: object = None) -> str:
    """1,000 and −0.5"""
    return f"{value:,.10g}".replace("-", "−")


def _locator(described: Axis, direction: Direction, length: float, n_characters: int) -> MaxNLocator:
    large = described.steps or bool(described.per_step)
    needed = (9 if large else max(5.5, n_characters + 2)) * CHARACTER if direction == "x" else 2.2 * LINE
    return MaxNLocator(max(2, int(length / needed)), integer=described.whole, steps=[1, 2, 2.5, 5, 10])
