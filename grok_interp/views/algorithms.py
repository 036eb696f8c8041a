"""Which algorithm a model follows: the grid comparison (Figure 5), and the likelihood of each by number of shots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from grok_interp.analysis.agreement import HYPOTHESES, AlgorithmAgreement
from grok_interp.analysis.grid import GridComparison
from grok_interp.views.heatmaps import heatmap_graph
from grok_interp.views.interactive import Graph, Line, Twin, line_graph
from grok_interp.views.shots import SPLIT_NAMES
from grok_interp.views.theme import BLUE, DIVERGING, GREEN, VERMILION, new_figure

RIGHT = ("wrong", "right")
HYPOTHESIS_COLOURS = dict(zip(HYPOTHESES, ("0.6", GREEN, BLUE, VERMILION), strict=True))


def plot_grids(grids: Sequence[GridComparison]) -> Figure:
    """A column for each number of examples: model, Ratio Matching, the difference; Modular Regression, its own."""
    rows = ("model", "ratio matching", "model - ratio matching", "modular regression", "model - modular regression")
    with new_figure(1.5 + 1.7 * len(grids), 8.4, nrows=len(rows), ncols=len(grids), squeeze=False) as (figure, axes):
        for column, grid in zip(axes.T, grids, strict=True):
            task = grid.array.attrs
            column[0].set_title(f"task ({task['a']}, {task['b']}), k = {task['k']}")
            for axis, row in zip(column, rows, strict=True):
                _, _, algorithm = row.partition(" - ")
                cells = grid.model_minus(algorithm) if algorithm else grid.array.sel(who=row)
                colours = {"cmap": DIVERGING, "vmin": -1} if algorithm else {"cmap": "Greens", "vmin": 0}
                axis.imshow(cells.transpose("x", "y"), vmax=1, **colours)
                axis.set(xticks=[], yticks=[], xlabel="y")
                axis.grid(False)
                shown = f"+{int((cells > 0).sum())} -{int((cells < 0).sum())}" if algorithm else f"{int(cells.sum())}"
                axis.text(1.02, 1, shown, transform=axis.transAxes, va="top", fontsize=7)
        for axis, row in zip(axes[:, 0], rows, strict=True):
            axis.set_ylabel(f"{row.replace(' - ', ' -' + chr(10))}\nx", fontsize=8)
    return figure


def grids_twin(grids: Sequence[GridComparison]) -> Twin:
    """Of `plot_grids` where the model is right, and its differences from each algorithm; a cell says who is right."""
    rows = ("", "ratio matching", "modular regression")
    return Twin([_grid(grid, algorithm) for algorithm in rows for grid in grids], [], columns=len(grids))


def _grid(grid: GridComparison, algorithm: str) -> Graph:
    """x y of the model, or of the model minus an algorithm."""
    model = grid.array.sel(who="model")
    cells = (grid.model_minus(algorithm) if algorithm else model).transpose("x", "y")
    right = grid.array.transpose("x", "y", "who")
    counts = f"+{int((cells > 0).sum())} -{int((cells < 0).sum())}" if algorithm else f"{int(model.sum())} right"
    hover = [f"{who}: %{{customdata[{number}]}}" for number, who in enumerate(right["who"].values)]
    return heatmap_graph(
        cells,
        x="y",
        y="x",
        title=f"model{f' - {algorithm}' * bool(algorithm)}<br>k = {grid.array.attrs['k']}: {counts}",
        hover="<br>".join(["x = %{y}, y = %{x}", *hover]),
        colours=DIVERGING if algorithm else "Greens",
        limits=(-1 if algorithm else 0, 1),
        square=True,
        height=260,
        customdata=[[[_verdict(each) for each in who] for who in row] for row in right.values],
    )


def _verdict(right: float) -> str:
    return "not finite" if np.isnan(right) else RIGHT[int(right)]


def plot_agreement(agreement: AlgorithmAgreement, *, step: int, subset: str = "generic") -> Figure:
    """Log-likelihood of the model's answers under each hypothesis, by number of shots, with 95% intervals."""
    values = agreement.log_likelihood(subset).sel(checkpoint=step)
    low, high = (bound.sel(checkpoint=step) for bound in agreement.interval(subset))
    splits = values["split"].values
    with new_figure(1 + 2.4 * len(splits), 3.0, ncols=len(splits), sharey=True, squeeze=False) as (figure, axes):
        for axis, split in zip(axes[0], splits, strict=True):
            for name, colour in HYPOTHESIS_COLOURS.items():
                where = {"split": split, "hypothesis": name}
                axis.plot(values["shot"], values.sel(where), color=colour, label=name, marker=".", ms=4)
                axis.fill_between(values["shot"], low.sel(where), high.sel(where), color=colour, alpha=0.2, lw=0)
            axis.set(title=SPLIT_NAMES[split], xlabel="number of shots")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes[0, 0].set_ylabel("log-likelihood (nats an answer)")
        axes[0, -1].legend(fontsize=7)
    return figure


def agreement_twin(agreement: AlgorithmAgreement, *, subset: str = "generic") -> Twin:
    """The panels of `plot_agreement` at the step of the page's slider."""
    steps, splits = (agreement.array[dim].values.tolist() for dim in ("checkpoint", "split"))
    arrays = [agreement.log_likelihood(subset), *agreement.interval(subset)]
    frames = {split: {step: _lines(arrays, checkpoint=step, split=split) for step in steps} for split in splits}
    lowest = float(min(array.min() for array in arrays))
    lowest = lowest if np.isfinite(lowest) else -1.0
    graphs = [
        line_graph(
            frames[split][steps[-1]],
            x="number of shots",
            y="log-likelihood (nats an answer)",
            title=SPLIT_NAMES[split],
            clocks=(),
            y_range=(1.05 * lowest, 0),
            frames=frames[split],
        )
        for split in splits
    ]
    return Twin(graphs, steps, frames[splits[0]][steps[-1]], columns=2)


def _lines(arrays: Sequence[xr.DataArray], **where: Any) -> list[Line]:
    """A line for each hypothesis, of the values and both ends of their intervals."""
    shots, lines = arrays[0]["shot"].to_numpy(), []
    for name, colour in HYPOTHESIS_COLOURS.items():
        value, low, high = (array.sel(hypothesis=name, **where).to_numpy() for array in arrays)
        lines.append(Line(name, shots, value, colour, spread=(low, high)))
    return lines
