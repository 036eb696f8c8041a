"""How a drawing fits a width: panels in a row, heights, lines of text, and ticks that have room. All in points."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Literal

import numpy as np

from grok_interp.plots.drawing import Drawing, KeyEntry, Panel
from grok_interp.plots.marks import Cells, Points
from grok_interp.plots.theme import LEAST_TYPE, TYPE

Direction = Literal["x", "y"]
MEAN_WIDTH = 0.54  # of a character, for each point of its height
CELL_TYPE = 0.64 * LEAST_TYPE  # of digits and signs
Y_AXIS = 42  # with its label and numbers
MOST_BROKEN = 6  # characters that are on one line at least
CHARACTER = MEAN_WIDTH * LEAST_TYPE
LINE = 1.25 * LEAST_TYPE  # height of one
HANDLE = 28  # of an entry of the color key, with the space around
LOW = 84.0  # height of a panel that shares its x axis with those below
LEAST_PANEL, LEAST_NAMED, LEAST_CELLS = 96.0, 125.0, 62.0  # widths, with names beside points, and of cells


def wrapped(text: str, width: float, size: float = TYPE) -> str:
    """The text in lines of about one length that are not wider."""
    most = max(MOST_BROKEN, int(width / (MEAN_WIDTH * size)))
    lines = []
    for line in text.split("\n"):
        n_lines = max(1, len(textwrap.wrap(line, most, break_long_words=False)))
        narrow = (n for n in range(-(-len(line) // n_lines), most) if len(_wrap(line, n)) == n_lines)
        lines += _wrap(line, next(narrow, most))
    return "\n".join(lines)


def _wrap(line: str, n_characters: int) -> list[str]:
    return textwrap.wrap(line, max(1, n_characters), break_long_words=False) or [""]


def columns_in(drawing: Drawing, width: float) -> int:
    """How many panels are side by side: as many as the drawing has where each has room, else a divisor if there is
    one, so that rows stay together."""
    wanted = min(drawing.columns, len(drawing.panels))
    room = max(1, min(wanted, int(width / max(map(_least_width, drawing.panels)))))
    divisors = [n for n in range(1, room + 1) if wanted % n == 0]
    return max(divisors) if 2 * max(divisors) > room else room


def row_heights(drawing: Drawing, columns: int, width: float) -> list[float]:
    if drawing.aligned:
        return [LOW] * math.ceil(len(drawing.panels) / columns)
    heights = [
        _height(panel, width / columns) + LINE * _title_lines(panel, width / columns) for panel in drawing.panels
    ]
    return [max(heights[start : start + columns]) for start in range(0, len(heights), columns)]


def key_columns(entries: Sequence[KeyEntry], width: float) -> int:
    """Entries of the color key side by side."""
    widest = max(CHARACTER * max(map(len, entry.label.split("\n"))) + HANDLE for entry in entries)
    most = max(1, min(len(entries), int(width / widest)))
    return math.ceil(len(entries) / math.ceil(len(entries) / most))


def key_height(entries: Sequence[KeyEntry], columns: int) -> float:
    lines = max(entry.label.count("\n") + 1 for entry in entries)
    return 1.15 * LINE * lines * math.ceil(len(entries) / columns) + 6


def names_along(panel: Panel, direction: Direction) -> dict[int, str]:
    """Place -> text, of an axis that has its own ticks or one for each row or column of cells; else empty."""
    described = panel.x if direction == "x" else panel.y
    if described.ticks:
        return dict(described.ticks)
    for cells in cells_of(panel):
        places = cells.x if direction == "x" else cells.y
        if described.whole and not described.steps:
            return {int(place): f"{int(place):,}" for place in places}
        return {index: name for index, name in enumerate(places) if isinstance(name, str)}
    return {}


def named_ticks(names: Sequence[str], length: float, *, across: bool) -> tuple[list[int], bool]:
    """Which of the names at equal distances have room along an axis, and whether they are turned."""
    spacing = length / max(1, len(names))
    widest = CHARACTER * max(map(len, names)) + 3
    turned = across and widest > max(spacing, 3 * LINE)
    needed = widest if across and not turned else LINE * (1 + max(name.count("\n") for name in names))
    return list(range(0, len(names), math.ceil(needed / spacing))), turned


def cells_of(panel: Panel) -> list[Cells]:
    return [mark for mark in panel.at() if isinstance(mark, Cells)]


def has_grid(panel: Panel) -> bool:
    """Not behind cells, and not behind names in the place of dots."""
    named = any(isinstance(mark, Points) and mark.texts and mark.written == "instead" for mark in panel.at())
    return not (named or cells_of(panel))


def texts_in_cells(cells: Cells, width: float) -> np.ndarray:
    """The texts of cells in lines that fit a panel of this width."""
    texts = np.asarray(cells.texts, object)
    if cells.texts is None:
        return texts
    cell = (width - Y_AXIS) / len(cells.x)
    fitted = [wrapped(str(text), cell / CELL_TYPE, 1 / MEAN_WIDTH) if text else "" for text in texts.ravel()]
    return np.array(fitted, dtype=object).reshape(texts.shape)


def _lines_of_text(cells: Cells) -> list[str]:
    return [line for text in np.ravel(np.asarray(cells.texts, object)) for line in str(text).split("\n")]


def _least_width(panel: Panel) -> float:
    cells = cells_of(panel)
    if not cells:
        named = any(isinstance(mark, Points) and mark.texts and mark.written == "beside" for mark in panel.at())
        return LEAST_NAMED if named else LEAST_PANEL
    if cells[0].texts is None:
        return LEAST_CELLS
    words = [word for line in _lines_of_text(cells[0]) for word in line.split()]
    return Y_AXIS + len(cells[0].x) * (CELL_TYPE * max(map(len, words), default=1) + 1)


def _title_lines(panel: Panel, width: float) -> int:
    return wrapped(panel.title, 0.9 * width).count("\n") + 1 if panel.title else 0


def _height(panel: Panel, width: float) -> float:
    cells = cells_of(panel)
    if panel.square:
        return width + LINE  # of the numbers below
    if panel.y.ticks and not cells:
        lines = 1 + max(name.count("\n") for name in panel.y.ticks.values())
        has_names = any(isinstance(mark, Points) and mark.written == "instead" for mark in panel.marks)
        return 40 + len(panel.y.ticks) * (LINE * (lines + 2 * has_names) + 6)  # between names there are edges
    if cells and (n_rows := len(cells[0].y)) <= 16:
        texts = [] if cells[0].texts is None else texts_in_cells(cells[0], width).ravel()
        lines = max((text.count("\n") + 1 for text in texts), default=1)
        return max(70, 36 + n_rows * (LINE * lines + 5))
    return min(165, max(100, 0.66 * width))
