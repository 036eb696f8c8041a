"""In-context learning on the four splits: over training (after Figure 3 of "Learning to grok") and by number of shots
(Figure 1c)."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr

from grok_interp.analysis.shots import ShotCurves
from grok_interp.arguments.objects import shown
from grok_interp.plots.drawing import Drawing, Panel
from grok_interp.plots.marks import TRAINING_STEP, Axis, Dash, Level, Line
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import BLACK, BLUE, LIGHT_GRAY, ORANGE, SKY, VERMILION

SPLIT_NAMES = {
    "id_train": "i.d. train",
    "id_test": "i.d. test",
    "ood_train": "o.o.d. train",
    "ood_test": "o.o.d. test",
}
SPLIT_COLORS = {"id_train": BLUE, "id_test": SKY, "ood_train": VERMILION, "ood_test": ORANGE}
KIND_COLORS = {"repeated": LIGHT_GRAY, "ratio": BLUE, "regression": VERMILION, "unsolved": ORANGE}  # of queries
SOLVED_BY: dict[str, tuple[tuple[str, ...], Dash]] = {
    "ratio matching": (("repeated", "ratio"), ":"),
    "modular regression": (("repeated", "ratio", "regression"), "--"),
}
SHOTS = Axis("number of shots", whole=True, format=".0f")


@picture()
def last_shot(curves: ShotCurves, *, threshold: float) -> Drawing:
    """Last-shot accuracy of the four splits against the training step, over all queries and over new ones.

    Bands are 95% intervals over contexts.

    Args:
        curves: of one run.
        threshold: accuracy that is dashed.

    Example:
        >>> from grok_interp import load_reference
        >>> from grok_interp.studies import modular
        >>> results = modular.analyze(load_reference("modular-p11"))
        >>> last_shot(results.shots, threshold=0.75)
        Drawing of 2 panels: last-shot accuracy against training step (updates)
    """
    levels = [Level(threshold, f"threshold {threshold:g}"), chance(curves)]
    panels = [
        Panel(
            TRAINING_STEP,
            Axis("last-shot accuracy", limits=(0, 1)),
            [_over_training(curves, queries, split) for split in curves.dataset["split"].values.tolist()],
            f"{queries} queries",
            levels,
        )
        for queries in ("all", "new")
    ]
    return Drawing(panels, columns=2)


@picture(ShotCurves)
def shot_curves(curves: ShotCurves, *, split: str = "ood_train", step: int | None = None) -> Drawing:
    """Accuracy by number of shots over training, with 95% intervals: all splits, and one split by kind of query.

    Beside them what Ratio Matching and Modular Regression could reach on the same contexts, guessing the rest.

    Args:
        curves: of one run.
        split: of the right panel and of the algorithms.
        step: that paper shows, the last if None.

    Example:
        >>> from grok_interp import load_reference
        >>> from grok_interp.studies import modular
        >>> results = modular.analyze(load_reference("modular-p11"))
        >>> shot_curves(results.shots)
        Drawing of 2 panels: accuracy against number of shots
    """
    splits = require_split(curves, split)
    solvable = [
        Line(
            curves.dataset["shot"].to_numpy(),
            curves.solvable(*solved).sel(split=split).to_numpy(),
            f"{algorithm} ({SPLIT_NAMES[split]})",
            BLACK,
            dash=dash,
            width=0.8,
        )
        for algorithm, (solved, dash) in SOLVED_BY.items()
    ]
    by_split = {
        at: [by_shots(curves, "all", at, each, SPLIT_NAMES[each], SPLIT_COLORS[each]) for each in splits]
        for at in _steps(curves)
    }
    by_kind = {
        at: [by_shots(curves, kind, at, split, kind, color) for kind, color in KIND_COLORS.items()]
        for at in _steps(curves)
    }
    y = Axis("accuracy", limits=(0, 1.02))
    panels = [
        Panel(SHOTS, y, solvable, "every query", [chance(curves)], frames=by_split),
        Panel(SHOTS, y, title=f"{SPLIT_NAMES[split]}, by kind of query", levels=[chance(curves)], frames=by_kind),
    ]
    return Drawing(panels, columns=2, step=step)


def require_split(curves: ShotCurves, split: str) -> list[str]:
    """The splits of the curves. Raises ValueError for one that they do not have."""
    splits = curves.dataset["split"].values.tolist()
    if split not in splits:
        raise ValueError(f"split must be one of {', '.join(splits)}, got {shown(split)}")
    return splits


def by_shots(curves: ShotCurves, queries: str, step: int, split: str, label: str, color: str) -> Line:
    """Accuracy at one step by number of shots, with its interval."""
    mean, low, high = (each.sel(checkpoint=step, split=split) for each in _with_interval(curves, queries))
    x = mean["shot"].to_numpy()
    return Line(x, mean.to_numpy(), label, color, dotted=True, low=low.to_numpy(), high=high.to_numpy())


def chance(curves: ShotCurves) -> Level:
    return Level(1 / curves.dataset.attrs["p"], "chance, 1/p", ":")


def _over_training(curves: ShotCurves, queries: str, split: str) -> Line:
    mean, low, high = (each.isel(shot=-1).sel(split=split).to_numpy() for each in _with_interval(curves, queries))
    steps = curves.dataset["checkpoint"].to_numpy()
    return Line(steps, mean, SPLIT_NAMES[split], SPLIT_COLORS[split], low=low, high=high)


def _with_interval(curves: ShotCurves, queries: str) -> Sequence[xr.DataArray]:
    return [curves.accuracy(queries), *curves.interval(queries)]


def _steps(curves: ShotCurves) -> list[int]:
    return curves.dataset["checkpoint"].values.tolist()
