"""What a panel of a drawing is made of: axes, and marks between them.

A mark belongs to the entry of the color key that has its `key`, or its `label` if it has no key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from numpy.typing import ArrayLike

from grok_interp.plots.theme import BLACK, SEQUENTIAL

Dash = Literal["-", "--", ":", "-."]
Limits = tuple[float | None, float | None]


@dataclass(frozen=True)
class Axis:
    """What one direction of a panel means.

    Args:
        label: the quantity.
        unit: in parentheses behind it.
        limits: lowest and highest value; None leaves an end to the data.
        scale: of the values.
        steps: the values are training steps: the page's slider is marked on the axis.
        per_step: values for each training step by color, where steps are marked at several places: tokens of
            conditions that differ in their batch size.
        ticks: value -> text; empty for numbers.
        whole: the values are integers.
        reversed: the lowest value is on top.
        format: of a value in words, as Python and d3 know it.
    """

    label: str
    unit: str = ""
    limits: Limits = (None, None)
    scale: Literal["linear", "log"] = "linear"
    steps: bool = False
    per_step: Mapping[str, float] = field(default_factory=dict)
    ticks: Mapping[int, str] = field(default_factory=dict)
    whole: bool = False
    reversed: bool = False
    format: str = ".3f"

    @property
    def text(self) -> str:
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def markers(self) -> list[tuple[float, str]]:
        """Where a training step is marked, as (value for each step, color)."""
        return [(1, BLACK)] if self.steps else [(scale, color) for color, scale in self.per_step.items()]

    def at_least(self, low: float | None, high: float | None = None) -> Axis:
        """The same with limits.

        Args:
            low: in the axis' unit; None leaves it to the data.
            high: the same of the upper end.
        """
        return replace(self, limits=(low, high))


TRAINING_STEP = Axis("training step", "updates", steps=True, whole=True, format=",.0f")


@dataclass(frozen=True)
class Line:
    """Values along x. `low` and `high` are the ends of their intervals; a value that is not finite is a gap.

    A line of one value is a dot. `faint`: one of several seeds or draws. `dotted` marks each value.
    """

    x: ArrayLike
    y: ArrayLike
    label: str
    color: str
    key: str = ""
    dash: Dash = "-"
    width: float = 1.2
    low: ArrayLike | None = None
    high: ArrayLike | None = None
    faint: bool = False
    dotted: bool = False
    opacity: float = 1

    @property
    def entry(self) -> str:
        return self.key or self.label


@dataclass(frozen=True)
class Points:
    """Places without an order. `names` say what each is; `low` and `high` are the ends of intervals of y.

    `texts` are drawn beside the dots, or in place of them. Of many that are near one another paper says how many there
    are of this `noun`.
    """

    x: ArrayLike
    y: ArrayLike
    label: str
    color: str
    names: Sequence[str]
    key: str = ""
    texts: Sequence[str] = ()
    written: Literal["beside", "instead"] = "beside"
    noun: str = "points"
    low: ArrayLike | None = None
    high: ArrayLike | None = None
    size: float = 4

    @property
    def entry(self) -> str:
        return self.key or self.label


@dataclass(frozen=True)
class ColorScale:
    """What a color means. `colors` is a map of matplotlib, or one color for each integer between the limits.

    `bar`: show the scale with its numbers. Panels of one drawing with equal scales share a bar.
    """

    label: str
    limits: tuple[float, float]
    colors: str | tuple[str, ...] = SEQUENTIAL
    unit: str = ""
    format: str = ".2f"
    bar: bool = True

    @property
    def text(self) -> str:
        return f"{self.label} ({self.unit})" if self.unit else self.label


@dataclass(frozen=True)
class Cells:
    """A value for each row (y) and column (x). Their places are numbers, or names at equal distances.

    `texts` are drawn in the cells, `names` say what a cell is. A value that is not finite is a gap.
    """

    values: ArrayLike
    x: Sequence[float] | Sequence[str]
    y: Sequence[float] | Sequence[str]
    scale: ColorScale
    texts: ArrayLike | None = None
    names: ArrayLike | None = None
    entry = ""


Mark = Line | Points | Cells


@dataclass(frozen=True)
class Level:
    """A reference value of y, drawn across the panel."""

    value: float
    label: str = ""
    dash: Dash = "--"


@dataclass(frozen=True)
class Shade:
    """A range of y, or of x, that is shaded across the panel."""

    low: float
    high: float
    label: str = ""
    along: Literal["x", "y"] = "y"
