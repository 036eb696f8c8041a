"""Ablation drawn: what is left of copying and loss without some heads over training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from grok_interp.analysis.ablation import HeadAblation
from grok_interp.views.interactive import Line, Twin, band, line_graph
from grok_interp.views.theme import BLACK, BLUE, GREEN, VERMILION, new_figure

MEASURED = {  # label and scale of a measure
    "whole": ("suffixes copied whole (%)", 100),
    "per_token": ("suffix tokens (%)", 100),
    "loss": ("added validation loss (nats)", 1),
}
SHORT = {  # plotly shows 15 characters
    "random": "without random",
    "entropy": "without nearest",
    "intact": "intact",
    "ablated": "without heads",
}
LINES: dict[str, dict[str, Any]] = {  # the later, the higher: equal curves stay visible
    "random": {"color": BLUE, "lw": 3.2, "alpha": 0.5},
    "entropy": {"color": GREEN, "lw": 1.4, "ls": "--"},
    "intact": {"color": BLACK, "lw": 1.0},
    "ablated": {"color": VERMILION, "lw": 2.6},
}


def plot_ablation(results: Sequence[HeadAblation]) -> Figure:
    """A column for each result (a way to ablate), a row for each measure, against step; thin lines are single draws.

    Of the loss the difference to intact is drawn: its own fall is many times as large. Bands: 95% over samples, of the
    mean over draws.
    Raises ValueError for no result, and for results of different heads.
    """
    heads = only([result.array.attrs["heads"] for result in results])
    with panels(len(results), n_rows=3) as (figure, axes):
        for result, column in zip(results, axes.T, strict=True):
            column[0].set_title(result.array.attrs["how"])
            column[-1].set_xlabel("training step")
            for axis, (measure, (_, scale)) in zip(column, MEASURED.items(), strict=True):
                _draw(axis, scale * _of(result, measure), [scale * end for end in _bounds(result, measure)])
        for axis, (label, _) in zip(axes[:, 0], MEASURED.values(), strict=True):
            axis.set_ylabel(label)
        handles = [axes[0, 0].plot([], [], **line)[0] for line in LINES.values()]
        figure.legend(handles, _legend(results, heads), loc="outside lower center", ncols=2)
    return figure


def _of(result: HeadAblation, measure: str) -> xr.DataArray:
    return (result.effect() if measure == "loss" else result.array).sel(measure=measure)


def _bounds(result: HeadAblation, measure: str) -> list[xr.DataArray]:
    """checkpoint x condition: low and high ends of the mean over draws."""
    ends = result.effect_interval() if measure == "loss" else result.interval()
    return [end.sel(measure=measure) for end in ends]


def _draw(axis: Any, values: xr.DataArray, bounds: Sequence[xr.DataArray]) -> None:
    """checkpoint x condition x draw of one measure, and checkpoint x condition of its bounds."""
    steps = values["checkpoint"]
    for name, line in LINES.items():
        low, high = (end.sel(condition=name) for end in bounds)
        axis.fill_between(steps, low, high, color=line["color"], alpha=0.15, lw=0)
    for name, line in LINES.items():
        draws = values.sel(condition=name)
        if name == "random" and draws.sizes["draw"] > 1:
            axis.plot(steps, draws.transpose("checkpoint", "draw"), color=line["color"], lw=0.6, alpha=0.5)
        axis.plot(steps, draws.mean("draw"), marker="o", ms=3, **line)


def _legend(results: Sequence[HeadAblation], heads: str) -> list[str]:
    """In the order of `LINES`; the controls are named where there is one choice."""
    random, nearest = (
        {
            name
            for result in results
            for name in result.array["heads"].sel(condition=control).to_numpy().ravel().tolist()
        }
        for control in ("random", "entropy")
    )
    return [
        f"without random heads{'' if results[0].controls_are_elsewhere else ' of the same layers'}: "
        + _one_of(random, f"mean of {len(random)} draws"),
        "without heads of the nearest attention entropy: " + _one_of(nearest, "chosen at each step"),
        "intact",
        f"without {heads}",
    ]


def ablation_twin(results: Sequence[HeadAblation]) -> Twin:
    """The panels of `plot_ablation`, row by row; what stands in a row has one scale.

    Raises ValueError as `plot_ablation` does.
    """
    heads = only([result.array.attrs["heads"] for result in results])
    switches = dict(zip(LINES, _legend(results, heads), strict=True))
    graphs = []
    for measure, (label, scale) in MEASURED.items():
        arrays = [scale * _of(result, measure) for result in results]
        bounds = [[scale * end for end in _bounds(result, measure)] for result in results]
        y_range = shared_range([*arrays, *chain(*bounds)])
        for result, values, ends in zip(results, arrays, bounds, strict=True):
            lines = {name: _twin_lines(values.sel(condition=name), name, switches[name]) for name in LINES}
            bands = [
                band(lines[name][-1], *(end.sel(condition=name).to_numpy() for end in ends)) for name in reversed(LINES)
            ]
            graphs.append(
                line_graph(
                    [*bands, *chain(*lines.values())],
                    x="training step",
                    y=label,
                    title=result.array.attrs["how"],
                    y_range=y_range,
                    decimals=3 if measure == "loss" else 1,
                    height=250,
                )
            )
    steps = sorted({int(step) for result in results for step in result.array["checkpoint"].values})
    legend = [Line("", [], [], line["color"], switches[name], line.get("ls", "-")) for name, line in LINES.items()]
    return Twin(graphs, steps, legend, columns=len(results))


def _twin_lines(draws: xr.DataArray, name: str, switch: str) -> list[Line]:
    """Of one condition, checkpoint x draw."""
    draws, line = draws.transpose("draw", "checkpoint"), LINES[name]
    steps, style = draws["checkpoint"].to_numpy(), {"colour": line["color"], "group": switch}
    single = name == "random" and draws.sizes["draw"] > 1
    thin = [Line(SHORT[name], steps, draw, thin=True, **style) for draw in draws.to_numpy()] if single else []
    mean = draws.mean("draw").to_numpy()
    shape = {"width": line["lw"], "dashes": line.get("ls", "-"), "opacity": line.get("alpha", 1)}
    return [*thin, Line(SHORT[name], steps, mean, dots=len(steps) == 1, **style, **shape)]


def shared_range(arrays: Sequence[ArrayLike]) -> tuple[float, float]:
    """From the lowest to the highest of all, and 0, with some room."""
    finite = [0.0, *(value for array in arrays for value in np.ravel(array).tolist() if np.isfinite(value))]
    room = 0.05 * (max(finite) - min(finite)) or 0.05
    return min(finite) - room, max(finite) + room


@contextmanager
def panels(n_columns: int, *, n_rows: int) -> Iterator[tuple[Figure, Any]]:
    size = 1.2 + 2.3 * n_columns, 0.6 + 1.8 * n_rows
    with new_figure(*size, nrows=n_rows, ncols=n_columns, sharex=True, sharey="row", squeeze=False) as drawing:
        yield drawing


def _one_of(names: set[str], several: str) -> str:
    return (next(iter(names)) or "none left") if len(names) == 1 else several


def only(values: Sequence[Any]) -> Any:
    """The one value that results drawn together share."""
    if len(set(values)) != 1:
        raise ValueError(f"a figure of ablations needs results of the same heads and step, got {values or 'none'}")
    return values[0]
