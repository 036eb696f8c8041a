"""In-context learning on the four splits: over training (after Figure 3) and by number of shots (Figure 1c)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from grok_interp.analysis.shots import ShotCurves
from grok_interp.views.interactive import Graph, Line, Twin, line_graph
from grok_interp.views.theme import BLACK, BLUE, ORANGE, SKY, VERMILION, new_figure

SPLIT_NAMES = {
    "id_train": "i.d. train",
    "id_test": "i.d. test",
    "ood_train": "o.o.d. train",
    "ood_test": "o.o.d. test",
}
SPLIT_COLOURS = {"id_train": BLUE, "id_test": SKY, "ood_train": VERMILION, "ood_test": ORANGE}
CLEAN_TO_NOISY = plt.get_cmap("viridis")
KINDS = {"repeated": "0.6", "ratio": BLUE, "regression": VERMILION, "unsolved": ORANGE}  # of queries
SOLVED_BY = {"ratio matching": ("repeated", "ratio"), "modular regression": ("repeated", "ratio", "regression")}


def plot_last_shot(curves: ShotCurves, *, threshold: float) -> Figure:
    """Last-shot accuracy of the four splits against step, over all queries and new ones, with 95% intervals."""
    with new_figure(8.4, 3.2, ncols=2, sharey=True) as (figure, axes):
        for axis, queries in zip(axes, ("all", "new"), strict=True):
            for split, (curve, low, high) in _last_shots(curves, queries).items():
                axis.plot(curve["checkpoint"], curve, color=SPLIT_COLOURS[split], label=SPLIT_NAMES[split])
                axis.fill_between(curve["checkpoint"], low, high, color=SPLIT_COLOURS[split], alpha=0.2, lw=0)
            axis.axhline(threshold, color="0.5", lw=0.8, ls="--")
            _chance(axis, curves)
            axis.set(title=f"{queries} queries", xlabel="training step (updates)", ylim=(0, 1))
        axes[0].set_ylabel("last-shot accuracy")
        axes[1].legend(loc="upper left")
    return figure


def plot_shots(curves: ShotCurves, *, step: int, split: str) -> Figure:
    """Accuracy by number of shots at one checkpoint, with 95% intervals: all splits; one split by kind of query."""
    with new_figure(8.4, 3.2, ncols=2, sharey=True) as (figure, axes):
        for name in curves.array["split"].values:
            _band(axes[0], curves, "all", step, name, color=SPLIT_COLOURS[name], label=SPLIT_NAMES[name])
        for kind, colour in KINDS.items():
            _band(axes[1], curves, kind, step, split, color=colour, label=kind)
        for (algorithm, solved), dashes in zip(SOLVED_BY.items(), (":", "--"), strict=True):
            line = curves.solvable(*solved).sel(split=split)
            axes[0].plot(line["shot"], line, color=BLACK, lw=1, ls=dashes, label=f"{algorithm} ({SPLIT_NAMES[split]})")
        for axis in axes:
            _chance(axis, curves)
            axis.set(xlabel="number of shots (examples before the query)", ylim=(0, 1.02))
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            axis.legend(fontsize=7)
        axes[0].set(ylabel="accuracy", title=f"step {step:,}")
        axes[1].set_title(f"{SPLIT_NAMES[split]}, by kind of query")
    return figure


def last_shot_twin(curves: ShotCurves, *, threshold: float) -> Twin:
    """The same two panels, over the training."""
    lines: dict[str, list[Line]] = {}
    for queries in ("all", "new"):
        lines[queries] = [_split_line(split, *three) for split, three in _last_shots(curves, queries).items()]
    levels = [(threshold, "--"), (1 / curves.array.attrs["p"], ":")]
    graphs = [
        line_graph(
            each,
            x="training step (updates)",
            y="last-shot accuracy",
            title=f"{queries} queries",
            levels=levels,
            y_range=(0, 1),
        )
        for queries, each in lines.items()
    ]
    return Twin(graphs, curves.array["checkpoint"].values.tolist(), lines["all"], columns=2)


def shots_twin(curves: ShotCurves, *, split: str) -> Twin:
    """The two panels of `plot_shots` at the step of the page's slider."""
    steps = curves.array["checkpoint"].values.tolist()
    by_split = {step: _by_split(curves, step, split) for step in steps}
    by_kind = {step: _by_kind(curves, step, split) for step in steps}
    graphs = [
        _shot_graph(curves, by_split, title="every query"),
        _shot_graph(curves, by_kind, title=f"{SPLIT_NAMES[split]}, by kind of query"),
    ]
    return Twin(graphs, steps, [*by_split[steps[-1]], *by_kind[steps[-1]]], columns=2)


def _shot_graph(curves: ShotCurves, frames: dict[int, list[Line]], *, title: str) -> Graph:
    return line_graph(
        list(frames.values())[-1],
        x="number of shots",
        y="accuracy",
        title=title,
        clocks=(),
        levels=[(1 / curves.array.attrs["p"], ":")],
        y_range=(0, 1.02),
        frames=frames,
    )


def _by_split(curves: ShotCurves, step: int, split: str) -> list[Line]:
    at = curves.array
    measured = [
        _shot_line(_measured(curves, "all", step, name), SPLIT_NAMES[name], SPLIT_COLOURS[name])
        for name in at["split"].values.tolist()
    ]
    return measured + [
        Line(
            f"{algorithm} ({SPLIT_NAMES[split]})",
            at["shot"].to_numpy(),
            curves.solvable(*solved).sel(split=split).to_numpy(),
            BLACK,
            width=1,
            dashes=dashes,
        )
        for (algorithm, solved), dashes in zip(SOLVED_BY.items(), (":", "--"), strict=True)
    ]


def _by_kind(curves: ShotCurves, step: int, split: str) -> list[Line]:
    return [_shot_line(_measured(curves, kind, step, split), kind, colour) for kind, colour in KINDS.items()]


def _last_shots(curves: ShotCurves, queries: str) -> dict[str, list[xr.DataArray]]:
    """Of each split: last-shot accuracy and both ends of its interval, over checkpoints."""
    arrays = [curves.last_shot(queries), *(end.isel(shot=-1) for end in curves.interval(queries))]
    return {split: [each.sel(split=split) for each in arrays] for split in curves.array["split"].values.tolist()}


def _measured(curves: ShotCurves, queries: str, step: int, split: str) -> list[xr.DataArray]:
    """Accuracy and both ends of its interval, by number of shots."""
    arrays = [curves.accuracy(queries), *curves.interval(queries)]
    return [each.sel(checkpoint=step, split=split) for each in arrays]


def _shot_line(measured: Sequence[xr.DataArray], name: str, colour: str) -> Line:
    mean, low, high = (each.to_numpy() for each in measured)
    return Line(name, measured[0]["shot"].to_numpy(), mean, colour, spread=(low, high))


def _split_line(split: str, curve: xr.DataArray, low: xr.DataArray, high: xr.DataArray) -> Line:
    ends = (low.to_numpy(), high.to_numpy())
    return Line(SPLIT_NAMES[split], curve["checkpoint"].to_numpy(), curve.to_numpy(), SPLIT_COLOURS[split], spread=ends)


def plot_noise(curves: Sequence[ShotCurves], *, split: str) -> Figure:
    """Accuracy of the first checkpoint of each result by number of shots, with 95% intervals: one line per noise."""
    with new_figure(4.6, 3.2) as (figure, axis):
        for index, result in enumerate(curves):
            colour = CLEAN_TO_NOISY(index / max(1, len(curves) - 1))
            step = int(result.array["checkpoint"][0])
            _band(axis, result, "all", step, split, color=colour, label=f"{result.array.attrs['noise']:.0%}")
        _chance(axis, curves[0])
        axis.set(xlabel="number of shots", ylabel="accuracy", ylim=(0, 1.02), title=SPLIT_NAMES[split])
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.legend(title="wrong answers shown", fontsize=7)
    return figure


def _band(axis: Axes, curves: ShotCurves, queries: str, step: int, split: str, *, color: Any, label: str) -> None:
    mean, low, high = _measured(curves, queries, step, split)
    axis.plot(mean["shot"], mean, color=color, label=label, marker=".", ms=4)
    axis.fill_between(mean["shot"], low, high, color=color, alpha=0.2, lw=0)


def _chance(axis: Axes, curves: ShotCurves) -> None:
    axis.axhline(1 / curves.array.attrs["p"], color="0.7", lw=0.8, ls=":")
