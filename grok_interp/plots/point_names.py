"""Names beside the points of a panel on paper, so that none lies on another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from grok_interp.plots.theme import LEAST_TYPE

MOST_NAMES = 3  # points near one another that are all named
NAME_HEIGHT = 8.5  # points between two names, one above the other
NAME_SIZE = (30.0, 9.0)  # of a name, in points


@dataclass(frozen=True)
class Named:
    """A point with its name; of many the `noun` is counted."""

    text: str
    x: float
    y: float
    noun: str


def write_names(axis: Axes, points: Sequence[Named]) -> None:
    """When the limits of the axis are known."""
    extent, dots_per_point = axis.get_window_extent(), axis.figure.dpi / 72
    size = np.array([np.ptp(axis.get_xlim()), np.ptp(axis.get_ylim())])
    units = size / np.array([extent.width, extent.height]) * dots_per_point  # for each point of length
    for group in _groups(points, units * NAME_SIZE):
        if len(group) > MOST_NAMES:
            x, y = np.mean([(each.x, each.y) for each in group], axis=0).tolist()
            _write(axis, f"{len(group)} {group[0].noun}", (x, y), 0.0)
            continue
        heights = np.array([each.y for each in group]) / units[1]
        for each, shift in zip(group, _shifts(heights), strict=True):
            _write(axis, each.text, (each.x, each.y), shift)


def _write(axis: Axes, name: str, place: tuple[float, float], shift: float) -> None:
    """Beside a point; `shift` points above its height, with a line to it where that is not beside it."""
    line = {"arrowstyle": "-", "lw": 0.4, "color": "0.6", "shrinkA": 0, "shrinkB": 2} if abs(shift) > 2 else None
    offset = (4 if line is None else 12, 1.5 + shift)
    axis.annotate(name, place, xytext=offset, textcoords="offset points", fontsize=LEAST_TYPE, arrowprops=line)


def _shifts(heights: np.ndarray) -> np.ndarray:
    """How far each name, from the top to the bottom, moves from its point so that no two overlap, in points."""
    moved = heights.copy()
    for below in range(1, len(moved)):
        moved[below] = min(moved[below], moved[below - 1] - NAME_HEIGHT)
    return moved - heights - (moved - heights).mean()


def _groups(points: Sequence[Named], size: np.ndarray) -> list[list[Named]]:
    """Points whose names would lie on one another, from the top; the first of each group is the highest."""
    groups: list[list[Named]] = []
    for point in sorted(points, key=lambda each: -each.y):
        near = [
            group for group in groups if abs(group[0].x - point.x) < size[0] and abs(group[0].y - point.y) < size[1]
        ]
        if near:
            near[0].append(point)
        else:
            groups.append([point])
    return groups
