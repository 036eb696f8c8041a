"""Where the model, Ratio Matching and Modular Regression are correct, by query (Figure 5 of "Learning to grok")."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import to_hex

from grok_interp.analysis.grid import GridComparison
from grok_interp.arguments.objects import require_some
from grok_interp.plots.drawing import Drawing, KeyEntry, Panel
from grok_interp.plots.marks import Axis, Cells, ColorScale
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import DIVERGING, WHITE_TO_GREEN, colormap

ROWS = ("model", "ratio matching", "model minus ratio matching", "modular regression", "model minus modular regression")
VERDICTS = ("wrong", "correct")
DIFFERENCE = ColorScale("model minus algorithm", (-1, 1), DIVERGING, bar=False)
RIGHT = ColorScale("correct", (0, 1), WHITE_TO_GREEN, bar=False)


@picture(GridComparison, several=True)
def grids(grids: Sequence[GridComparison]) -> Drawing:
    """A column for each number of examples k: model, each algorithm, and the differences; a number counts the cells.

    Args:
        grids: of one task.

    Example:
        >>> from grok_interp import Transformer, grid_comparisons, preset
        >>> model = Transformer(preset("modular-tiny"), seed=0)
        >>> grids(grid_comparisons(model, 5, (2, 1), [(0, 1), (1, 1)], shots=[1, 2]))
        Drawing of 10 panels: x against y
    """
    require_some(grids, "grids")
    task = grids[0].dataset.attrs
    colors = [(colormap(scale.colors), place) for scale, place in ((RIGHT, 1.0), (DIFFERENCE, 1.0), (DIFFERENCE, 0.0))]
    words = ("correct", "only the model is correct (+)", "only the algorithm is correct (-)")
    key = [
        KeyEntry(text, to_hex(scale(place)), kind="patch", switches=False)
        for text, (scale, place) in zip(words, colors, strict=True)
    ]
    panels = [_panel(grid, row) for row in ROWS for grid in grids]
    return Drawing(panels, columns=len(grids), title=f"task ({task['a']}, {task['b']})", key=key)


def _panel(grid: GridComparison, row: str) -> Panel:
    """x by y of the model, of an algorithm, or of the model minus an algorithm."""
    _, _, algorithm = row.partition(" minus ")
    cells = (grid.model_minus(algorithm) if algorithm else grid["right"].sel(who=row)).transpose("x", "y")
    counts = f"+{int((cells > 0).sum())} -{int((cells < 0).sum())}" if algorithm else f"{int(cells.sum())} correct"
    p = len(cells["x"])
    scale = DIFFERENCE if algorithm else RIGHT
    drawn = Cells(cells.to_numpy(), list(range(p)), list(range(p)), scale, names=_names(grid))
    axes = Axis("y", whole=True), Axis("x", whole=True, reversed=True)
    return Panel(*axes, [drawn], f"{row}\nk = {grid.dataset.attrs['k']}: {counts}", square=True)


def _names(grid: GridComparison) -> np.ndarray:
    """Who is correct, for each query."""
    right = grid["right"].transpose("x", "y", "who")
    names = np.empty(right.shape[:2], dtype=object)
    for x, y in np.ndindex(*names.shape):
        verdicts = zip(right["who"].values, right.values[x, y], strict=True)
        names[x, y] = "<br>".join([f"x = {x}, y = {y}", *(f"{who}: {_verdict(each)}" for who, each in verdicts)])
    return names


def _verdict(right: float) -> str:
    return "not finite" if np.isnan(right) else VERDICTS[int(right)]
