"""Each head taken away alone: what copying and loss lose without it, against its induction score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from grok_interp.analysis.ablated_model import Head, named
from grok_interp.analysis.induction import InductionScores
from grok_interp.analysis.single_ablation import SingleAblation
from grok_interp.views.ablation import MEASURED, only, panels, shared_range
from grok_interp.views.interactive import Line, Twin, line_graph
from grok_interp.views.theme import layer_colour

CHANGES = {  # name, unit and digits of a measure's change
    "per_token": ("suffix tokens", "percentage points", 1),
    "loss": ("validation loss", "nats", 3),
}
Places = Mapping[Head, tuple[float, float]]
MOST_NAMES = 3  # heads near one another that are all named
NAME_HEIGHT = 9.0  # points between two names, one above the other


def plot_single_heads(results: Sequence[SingleAblation], scores: InductionScores) -> Figure:
    """What each head's absence changes at the last checkpoint, against its I(L, H), a column for each way to ablate.

    Bars: 95% intervals over samples, paired with the intact model.
    Raises ValueError for no result, and for scores of other checkpoints.
    """
    step = only([int(result.at()["checkpoint"]) for result in results])
    induction = scores.at(step).sel(score="I").to_numpy()
    effects = [result.effect().isel(checkpoint=-1) for result in results]
    with panels(len(results), n_rows=2) as (figure, axes):
        for row, measure in zip(axes, CHANGES, strict=True):
            scale = MEASURED[measure][1]
            places = [_places(induction, scale * effect.sel(measure=measure).to_numpy()) for effect in effects]
            for axis, dots, result in zip(row, places, results, strict=True):
                low, high = _last_bounds(result, measure)
                axis.vlines(induction.ravel(), low.ravel(), high.ravel(), color="0.6", lw=1)
                _draw_dots(axis, dots)
            for axis, dots in zip(row, places, strict=True):  # when all dots of the row have set its limits
                _draw_names(axis, dots)
        for axis, result in zip(axes[0], results, strict=True):
            axis.set_title(result.array.attrs["how"])
        for axis in axes[1]:
            axis.set_xlabel("I(L, H)")
        for axis, (what, unit, _) in zip(axes[:, 0], CHANGES.values(), strict=True):
            axis.set_ylabel(f"change of {what}\n({unit})")
        figure.suptitle(f"each head taken away alone, step {step:,}", fontsize="medium")
    return figure


def single_heads_twin(results: Sequence[SingleAblation], scores: InductionScores) -> Twin:
    """The panels of `plot_single_heads`: a dot says which head it is.

    Raises ValueError as `plot_single_heads` does.
    """
    step = only([int(result.at()["checkpoint"]) for result in results])
    induction = scores.at(step).sel(score="I").to_numpy()
    graphs, layers = [], []
    for measure, (what, unit, decimals) in CHANGES.items():
        scale = MEASURED[measure][1]
        effects = [scale * result.effect().isel(checkpoint=-1).sel(measure=measure).to_numpy() for result in results]
        for result, effect in zip(results, effects, strict=True):
            form, bounds = (
                f"{{:+.{decimals}f}} [{{:+.{decimals}f}}, {{:+.{decimals}f}}] {unit}",
                _last_bounds(result, measure),
            )
            layers = [
                _layer(layer, induction[layer], [row, *(end[layer] for end in bounds)], form)
                for layer, row in enumerate(effect)
            ]
            graphs.append(
                line_graph(
                    layers,
                    x="I(L, H)",
                    y=f"change of {what}<br>({unit})",
                    title=result.array.attrs["how"],
                    clocks=(),
                    levels=[(0, "-")],
                    y_range=shared_range(effects),
                    height=250,
                )
            )
    return Twin(graphs, [], layers, columns=len(results))


def _last_bounds(result: SingleAblation, measure: str) -> list[np.ndarray]:
    """layer x head: low and high ends of the change at the last checkpoint, in the unit that is drawn."""
    at = {"measure": measure}
    return [MEASURED[measure][1] * end.sel(at).isel(checkpoint=-1).to_numpy() for end in result.effect_interval()]


def _layer(layer: int, scores: np.ndarray, effects: Sequence[np.ndarray], form: str) -> Line:
    """`effects`: of each head, with the low and the high ends of their intervals."""
    names = [
        f"L{layer}H{head}: {form.format(*effect)}<br>I = {score:.2f}"
        for head, (score, *effect) in enumerate(zip(scores, *effects, strict=True))
    ]
    return Line(f"layer {layer}", scores, effects[0], layer_colour(layer), dots=True, names=names)


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
    points_per_unit = 72 / axis.figure.dpi * axis.get_window_extent().height / np.ptp(axis.get_ylim())
    for heads in _neighbours(places, size):
        if len(heads) > MOST_NAMES:
            middle = np.mean([places[head] for head in heads], axis=0)
            _write(axis, f"{len(heads)} heads", (float(middle[0]), float(middle[1])), 0.0)
            continue
        heights = points_per_unit * np.array([places[head][1] for head in heads])
        for head, shift in zip(heads, _shifts(heights), strict=True):
            _write(axis, named([head]), places[head], shift)


def _write(axis: Any, name: str, place: tuple[float, float], shift: float) -> None:
    """Beside a dot; `shift` points above its height, with a line to it where that is not beside it."""
    line = {"arrowstyle": "-", "lw": 0.4, "color": "0.6", "shrinkA": 0, "shrinkB": 2} if abs(shift) > 2 else None
    x = 5 if line is None else 12
    axis.annotate(name, place, xytext=(x, 2 + shift), textcoords="offset points", fontsize="small", arrowprops=line)


def _shifts(heights: np.ndarray) -> np.ndarray:
    """How far each name, from the top to the bottom, moves from its dot's height so that no two overlap, in points."""
    moved = heights.copy()
    for below in range(1, len(moved)):
        moved[below] = min(moved[below], moved[below - 1] - NAME_HEIGHT)
    return moved - heights - (moved - heights).mean()


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
