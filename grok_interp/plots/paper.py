"""Drawings on paper, with matplotlib: in the width of a column or of a page, no type below 7 points."""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from grok_interp.arguments import checked
from grok_interp.files import write_atomically
from grok_interp.plots.drawing import Drawing, KeyEntry, Panel
from grok_interp.plots.layout import (
    LINE,
    cells_of,
    columns_in,
    has_grid,
    key_columns,
    key_height,
    row_heights,
    wrapped,
)
from grok_interp.plots.marks import ColorScale, Points
from grok_interp.plots.paper_axis import draw_axis, number
from grok_interp.plots.paper_marks import draw_mark
from grok_interp.plots.point_names import Named, write_names
from grok_interp.plots.theme import COLUMN, FULL, GRAY, LEAST_TYPE, SHADED, STYLE

Width = Literal["column", "full"]
WIDTHS: dict[Width, float] = {"column": COLUMN, "full": FULL}
COLOR_BAR = 32.0  # height of one with its numbers and its label, in points


@checked
def on_paper(drawing: Drawing, *, width: Width = "full", step: int | None = None) -> Figure:
    """The drawing as a matplotlib figure that fits a paper without being scaled.

    Args:
        drawing: what is drawn.
        width: "column", 190 points, or "full", 397 points. Panels that have no room beside one another go below.
        step: the training step of what changes over training; by default the one that the drawing names, else the last.

    Returns:
        A figure in points of its width; type is 7 points or more.

    Raises:
        ValueError: for another width, and for a step that the drawing has no frame of.

    Example:
        >>> from grok_interp.plots.marks import TRAINING_STEP, Axis, Line
        >>> loss = Line([0, 100], [5.2, 3.1], "validation loss", "#0072B2")
        >>> figure = on_paper(Drawing([Panel(TRAINING_STEP, Axis("loss", "nats"), [loss])]), width="column")
        >>> figure.axes[0].get_ylabel()
        'loss (nats)'
    """
    if width not in tuple(WIDTHS):
        raise ValueError(f"width is {' or '.join(WIDTHS)}, got {width!r}")
    points, step = WIDTHS[width], drawing.step if step is None else step
    columns = columns_in(drawing, points)
    heights = row_heights(drawing, columns, points)
    with matplotlib.rc_context(STYLE):
        figure = Figure(layout="constrained")
        axes = figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights)
        for axis in axes.flat[len(drawing.panels) :]:
            axis.set_axis_off()
        shown = list(zip(axes.flat, drawing.panels, strict=False))
        for index, (axis, panel) in enumerate(shown):
            left = drawing.panels[index - 1] if index % columns else None
            below = drawing.panels[index + columns] if index + columns < len(drawing.panels) else None
            _draw_panel(axis, panel, step, left, below, (points / columns, heights[index // columns]))
            if drawing.aligned and below is not None:
                axis.tick_params(labelbottom=False)
        height = sum(heights) + _draw_bars(figure, shown, points)
        height += _draw_title(figure, drawing, step, points) + _draw_key(figure, drawing, points)
        figure.set_size_inches(points / 72, height / 72)
        _write_names(figure, shown, step)
    return figure


@checked
def save_figure(drawing: Drawing, stem: Path, *, width: Width = "full", step: int | None = None) -> list[Path]:
    """stem.svg and stem.pdf, without dates inside: the same drawing gives the same bytes.

    Args:
        drawing: what is drawn.
        stem: the path without suffix; its folder is made.
        width: "column" (190 points) or "full" (397 points).
        step: that is drawn of what changes over training; the last if None.
    """
    written, figure = [], on_paper(drawing, width=width, step=step)
    for suffix, metadata in ((".svg", {"Date": None}), (".pdf", {"CreationDate": None})):
        path = stem.with_suffix(suffix)
        with matplotlib.rc_context(STYLE):
            write_atomically(
                path, lambda scratch, s=suffix, m=metadata: figure.savefig(scratch, format=s[1:], metadata=m)
            )
        written.append(path)
    return written


def inline_svg(drawing: Drawing) -> str:
    """The figure as an SVG element to stand in a page: no background, black in the color of the page's text.

    Its ids are its own: matplotlib gives equal parts of two figures the same one.
    """
    buffer = io.StringIO()
    figure = on_paper(drawing)
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace("#000000", "currentColor")
    mark = hashlib.sha256(svg.encode()).hexdigest()[:8]
    return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{mark}-", svg)


def png(drawing: Drawing) -> bytes:
    """The figure as pixels, for a notebook."""
    buffer = io.BytesIO()
    figure = on_paper(drawing)
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _draw_title(figure: Figure, drawing: Drawing, step: int | None, width: float) -> float:
    """With the step of what changes over training; its height in points."""
    shown = step if step is not None else max(drawing.frame_steps, default=None)
    title = ", ".join(part for part in (drawing.title, "" if shown is None else f"step {shown:,}") if part)
    if not title:
        return 0
    title = wrapped(title, width)
    figure.suptitle(title)
    return LINE * (title.count("\n") + 1) + 4


def _draw_panel(
    axis: Axes,
    panel: Panel,
    step: int | None,
    left: Panel | None,
    below: Panel | None,
    size: tuple[float, float],
) -> None:
    for shade in panel.shades:
        shaded = axis.axvspan if shade.along == "x" else axis.axhspan
        shaded(shade.low, shade.high, color=SHADED, lw=0, zorder=0)
    for level in panel.levels:
        axis.axhline(level.value, color=GRAY, lw=0.8, ls=level.dash, zorder=1)
    for mark in panel.at(step):
        draw_mark(axis, mark, panel, size[0])
    axis.set_title(wrapped(panel.title, 0.9 * size[0]))
    axis.grid(has_grid(panel))
    draw_axis(axis, "x", panel, 0.75 * size[0])
    draw_axis(axis, "y", panel, 0.7 * size[1])
    shares_y = left is not None and left.y == panel.y
    axis.set_ylabel("" if shares_y else wrapped(panel.y.text, 0.72 * size[1]))
    if left is not None and shares_y and _on_one_scale(panel, left):
        axis.tick_params(labelleft=False)
    axis.set_xlabel("" if below is not None and below.x == panel.x else wrapped(panel.x.text, 0.85 * size[0]))
    if panel.square:
        axis.set_aspect("equal", adjustable="box" if cells_of(panel) else "datalim")


def _on_one_scale(*panels: Panel) -> bool:
    """Are the numbers along y, of neighbors with equal axes, the same?"""
    if None not in panels[0].y.limits:
        return True
    rows = [[list(each.y) for each in cells_of(panel)] for panel in panels]
    return bool(rows[0]) and all(each == rows[0] for each in rows)


def _draw_bars(figure: Figure, shown: list[tuple[Axes, Panel]], width: float) -> float:
    """One for each color scale, below its panels; their height in points."""
    scales: dict[ColorScale, list[Axes]] = {}
    for axis, panel in shown:
        for cells in cells_of(panel):
            if cells.scale.bar:
                scales.setdefault(cells.scale, []).append(axis)
    for scale, axes in scales.items():
        drawn = [*axes[0].images, *(each for each in axes[0].collections if isinstance(each, QuadMesh))]
        label = wrapped(scale.text, 0.9 * width)
        bar = figure.colorbar(drawn[0], ax=axes, location="bottom", shrink=0.7, aspect=40, pad=0.02, label=label)
        bar.ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        bar.ax.xaxis.set_major_formatter(FuncFormatter(number))
        bar.outline.set_linewidth(0.6)  # pyright: ignore[reportCallIssue]
    return COLOR_BAR * len(scales)


def _draw_key(figure: Figure, drawing: Drawing, width: float) -> float:
    """Below all panels, where there is something to tell apart; its height in points."""
    entries = [replace(each, label=wrapped(each.label, width - 30, LEAST_TYPE)) for each in drawing.entries]
    if not drawing.needs_key:
        return 0
    columns, labels = key_columns(entries, width), [entry.label for entry in entries]
    title = drawing.key_title or None
    figure.legend(list(map(_handle, entries)), labels, loc="outside lower center", ncols=columns, title=title)
    return key_height(entries, columns) + (LINE if title else 0)


def _handle(entry: KeyEntry) -> Line2D | Patch:
    if entry.kind == "patch":
        return Patch(color=entry.color)
    if entry.kind == "dot":
        return Line2D([], [], color=entry.color, marker="o", ls="", ms=4)
    return Line2D([], [], color=entry.color, ls=entry.dash, lw=entry.width)


def _write_names(figure: Figure, shown: list[tuple[Axes, Panel]], step: int | None) -> None:
    """Beside points; the layout must be known."""
    named = [(axis, _named(panel, step)) for axis, panel in shown]
    if any(points for _, points in named):
        figure.draw_without_rendering()
    for axis, points in named:
        write_names(axis, points)


def _named(panel: Panel, step: int | None) -> list[Named]:
    return [
        Named(text, float(x), float(y), mark.noun)
        for mark in panel.at(step)
        if isinstance(mark, Points) and mark.written == "beside" and mark.texts
        for text, x, y in zip(mark.texts, list(mark.x), list(mark.y), strict=True)  # pyright: ignore[reportArgumentType]
    ]
