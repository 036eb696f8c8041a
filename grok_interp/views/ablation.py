"""Ablation drawn: what is left of copying and loss without some heads over training, and without each head alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from grok_interp.analysis.ablated_model import Head, named
from grok_interp.analysis.ablation import HeadAblation
from grok_interp.analysis.induction import InductionScores
from grok_interp.analysis.single_ablation import SingleAblation
from grok_interp.views.theme import BLACK, BLUE, GREEN, VERMILION, layer_colour, new_figure

MEASURED = {  # label and scale of a measure
    "whole": ("suffixes copied whole (%)", 100),
    "per_token": ("suffix tokens (%)", 100),
    "loss": ("validation loss\nadded to intact (nats)", 1),
}
LINES: dict[str, dict[str, Any]] = {  # the later, the higher: equal curves stay visible
    "random": {"color": BLUE, "lw": 3.2, "alpha": 0.5},
    "entropy": {"color": GREEN, "lw": 1.4, "ls": "--"},
    "intact": {"color": BLACK, "lw": 1.0},
    "ablated": {"color": VERMILION, "lw": 2.6},
}
Places = Mapping[Head, tuple[float, float]]
MOST_NAMES = 3  # heads that stand in one place and are all named


def plot_ablation(results: Sequence[HeadAblation]) -> Figure:
    """A column for each result (a way to ablate), a row for each measure, against step; thin lines are single draws.

    Of the loss the difference to intact is drawn: its own fall is many times as large.
    Raises ValueError for no result, and for results of different heads.
    """
    heads = _only([result.array.attrs["heads"] for result in results])
    with _panels(len(results), n_rows=3) as (figure, axes):
        for result, column in zip(results, axes.T, strict=True):
            column[0].set_title(result.array.attrs["how"])
            column[-1].set_xlabel("training step")
            for axis, (measure, (_, scale)) in zip(column, MEASURED.items(), strict=True):
                values = result.effect() if measure == "loss" else result.array
                _draw(axis, scale * values.sel(measure=measure))
        for axis, (label, _) in zip(axes[:, 0], MEASURED.values(), strict=True):
            axis.set_ylabel(label)
        handles = [axes[0, 0].plot([], [], **line)[0] for line in LINES.values()]
        figure.legend(handles, _legend(results, heads), loc="outside lower center", ncols=2)
    return figure


def _draw(axis: Any, values: Any) -> None:
    """checkpoint x condition x draw of one measure."""
    steps = values["checkpoint"]
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
        "without random heads of the same layers: " + _one_of(random, f"mean of {len(random)} draws"),
        "without heads of the nearest attention entropy: " + _one_of(nearest, "chosen at each step"),
        "intact",
        f"without {heads}",
    ]


def plot_single_heads(results: Sequence[SingleAblation], scores: InductionScores) -> Figure:
    """What each head's absence changes at the last checkpoint, against its I(L, H), a column for each way to ablate.

    Raises ValueError for no result, and for scores of other checkpoints.
    """
    step = _only([int(result.at()["checkpoint"]) for result in results])
    induction = scores.at(step).sel(score="I").to_numpy()
    effects = [result.effect().isel(checkpoint=-1) for result in results]
    with _panels(len(results), n_rows=2) as (figure, axes):
        for row, (measure, (_, scale)) in zip(axes, list(MEASURED.items())[1:], strict=True):
            places = [_places(induction, scale * effect.sel(measure=measure).to_numpy()) for effect in effects]
            for axis, dots in zip(row, places, strict=True):
                _draw_dots(axis, dots)
            for axis, dots in zip(row, places, strict=True):  # when all dots of the row have set its limits
                _draw_names(axis, dots)
        for axis, result in zip(axes[0], results, strict=True):
            axis.set_title(result.array.attrs["how"])
        for axis in axes[1]:
            axis.set_xlabel("I(L, H)")
        axes[0, 0].set_ylabel("change of suffix tokens\n(percentage points)")
        axes[1, 0].set_ylabel("change of validation loss\n(nats)")
        figure.suptitle(f"each head taken away alone, step {step:,}", fontsize="medium")
    return figure


def _places(scores: np.ndarray, effects: np.ndarray) -> Places:
    """Both layer x head."""
    return {head: (float(scores[head]), float(effects[head])) for head in np.ndindex(effects.shape)}


def _draw_dots(axis: Any, places: Places) -> None:
    axis.axhline(0, color="0.5", lw=0.8)
    axis.margins(x=0.25, y=0.15)
    for (layer, _), place in places.items():
        axis.plot(*place, "o", color=layer_colour(layer), ms=5)


def _draw_names(axis: Any, places: Places) -> None:
    size = np.array([0.4 * np.ptp(axis.get_xlim()), 0.1 * np.ptp(axis.get_ylim())])  # of a name
    for heads in _neighbours(places, size):
        name = named(heads) if len(heads) <= MOST_NAMES else f"{len(heads)} heads"
        axis.annotate(name, places[heads[0]], xytext=(5, 2), textcoords="offset points", fontsize="small")


def _neighbours(places: Places, size: np.ndarray) -> list[list[Head]]:
    """Heads whose names would lie on one another, from the top; the first of each group is the highest."""
    groups: list[list[Head]] = []
    for head in sorted(places, key=lambda head: -places[head][1]):
        near = [group for group in groups if (abs(np.subtract(places[group[0]], places[head])) < size).all()]
        if near:
            near[0].append(head)
        else:
            groups.append([head])
    return groups


@contextmanager
def _panels(n_columns: int, *, n_rows: int) -> Iterator[tuple[Figure, Any]]:
    size = 1.2 + 2.3 * n_columns, 0.6 + 1.8 * n_rows
    with new_figure(*size, nrows=n_rows, ncols=n_columns, sharex=True, sharey="row", squeeze=False) as drawing:
        yield drawing


def _one_of(names: set[str], several: str) -> str:
    return next(iter(names)) if len(names) == 1 else several


def _only(values: Sequence[Any]) -> Any:
    """The one value that results drawn together share."""
    if len(set(values)) != 1:
        raise ValueError(f"a figure of ablations needs results of the same heads and step, got {values or 'none'}")
    return values[0]
