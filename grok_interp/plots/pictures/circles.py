"""The circle of circles of a head, seen by PCA (Figure 6 of "Learning to grok")."""

from __future__ import annotations

import xarray as xr

from grok_interp.analysis.circles import CirclePCA
from grok_interp.plots.drawing import Drawing, KeyEntry, Panel
from grok_interp.plots.marks import Axis, Points
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import LIGHT_GRAY, cyclic_colors

MOST_NUMBERED = 11  # p up to which numbers are drawn in place of dots
MOST_KEYS = 12  # logarithms that are all in the color key


@picture(CirclePCA)
def circles(circles: CirclePCA) -> Drawing:
    """The first two components of every pair over training, colored by log x, and by log y.

    A point is a dot, with p up to 11 the number x or y itself; pairs with a zero, which has no logarithm, are gray.

    Args:
        circles: of one head, with two components or more.

    Raises:
        ValueError: for fewer than two components.

    Example:
        >>> from grok_interp import Transformer, circle_pca, preset, slot_sequences
        >>> model = Transformer(preset("modular-tiny"), seed=0)
        >>> tokens = slot_sequences((2, 1), 5, slot=1, n_examples=8, seed=0)
        >>> circles(circle_pca(model, p=5, tokens=tokens, slot=1, layer=0, head=0))
        Drawing of 2 panels: component 1 ...
    """
    require_two_components(circles.dataset)
    panels = []
    for variable in ("x", "y"):
        frames = {int(step): _points(circles.at(int(step)), variable) for step in circles.dataset["checkpoint"].values}
        x, y = (component(circles.dataset, number) for number in (0, 1))
        panels.append(Panel(x, y, title=f"color: log {variable}", frames=frames, square=True))
    colors = cyclic_colors(n_logs := circles.dataset.sizes["x"] - 1)
    every = -(-n_logs // MOST_KEYS)
    key = [KeyEntry(f"log {log}", colors[log], kind="dot", switches=False) for log in range(0, n_logs, every)]
    key.append(KeyEntry("a zero", LIGHT_GRAY, kind="dot", switches=False))
    return Drawing(panels, columns=2, title=circles.place, key=key)


def require_two_components(points: xr.Dataset) -> None:
    if points.sizes["component"] < 2:
        raise ValueError("a picture needs two components, the PCA kept 1: analyze again with n_components=2")


def component(points: xr.Dataset, number: int) -> Axis:
    """With its fraction of the variance, of one checkpoint where there is one."""
    if points.sizes["checkpoint"] > 1:
        return Axis(f"component {number}")
    return Axis(f"component {number} ({float(points['explained'][0, number]):.0%} of the variance)")


def _points(points: xr.Dataset, variable: str) -> list[Points]:
    """One mark for the pairs with a zero, and one for each logarithm of the variable."""
    both = points["projection"].stack(pair=("x", "y"))
    n_logs, logs = points.sizes["x"] - 1, both[f"log_{variable}"].to_numpy()
    has_zero = ((both["x"] == 0) | (both["y"] == 0)).to_numpy()
    chosen = [has_zero, *(~has_zero & (logs == log) for log in range(n_logs))]
    labels = ["a zero", *(f"log {variable} = {log}" for log in range(n_logs))]
    colors = [LIGHT_GRAY, *cyclic_colors(n_logs)]
    return [
        _mark(both.isel(pair=pairs), variable, label, color, numbered=points.attrs["p"] <= MOST_NUMBERED)
        for pairs, label, color in zip(chosen, labels, colors, strict=True)
    ]


def _mark(points: xr.DataArray, variable: str, label: str, color: str, *, numbered: bool) -> Points:
    right, up = points.isel(component=0).to_numpy(), points.isel(component=1).to_numpy()
    texts = [str(number) for number in points[variable].to_numpy()] if numbered else []
    return Points(right, up, label, color, [_name(each) for each in points.T], texts=texts, written="instead", size=2.5)


def _name(point: xr.DataArray) -> str:
    texts = []
    for variable in ("x", "y"):
        number, log = int(point[variable]), point[f"log_{variable}"]
        texts.append(f"{variable} = {number}, " + (f"log {variable} = {int(log)}" if number else "no logarithm"))
    return "<br>".join(texts)
