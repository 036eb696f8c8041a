"""A picture as data. `on_paper` and `on_screen` draw it with the same numbers, labels, units and colors.

Drawing    panels in a grid, with one color key
Panel      marks between two axes, with reference levels; `frames` are the marks that change over training
Axis       label, unit, limits
marks      Line (with an interval), Points, Cells
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Literal

import numpy as np

from grok_interp.plots.marks import Axis, Cells, Dash, Level, Limits, Line, Mark, Points, Shade
from grok_interp.plots.theme import GRAY, SHADED


@dataclass(frozen=True)
class KeyEntry:
    """One line of the color key. `switches`: marks of this name can be switched off on a screen."""

    label: str
    color: str
    dash: Dash = "-"
    width: float = 1.2
    kind: Literal["line", "dot", "patch"] = "line"
    switches: bool = True


@dataclass(frozen=True)
class Panel:
    """Marks between two axes. `frames` are those at each training step, drawn over `marks`; all have the same form.

    `square`: a unit has the same length along both axes.

    Raises:
        ValueError: if two frames differ in the number, the kinds or the labels of their marks.
    """

    x: Axis
    y: Axis
    marks: Sequence[Mark] = ()
    title: str = ""
    levels: Sequence[Level] = ()
    shades: Sequence[Shade] = ()
    frames: Mapping[int, Sequence[Mark]] = field(default_factory=dict)
    square: bool = False

    def __post_init__(self) -> None:
        forms = {step: [(type(mark), mark.entry) for mark in marks] for step, marks in self.frames.items()}
        for step, form in forms.items():
            if form != (first := next(iter(forms.values()))):
                raise ValueError(f"frames need the same marks at every step, step {step} has {form} instead of {first}")

    @property
    def every_mark(self) -> list[Mark]:
        """Those of all frames, too."""
        return [*self.marks, *chain.from_iterable(self.frames.values())]

    def at(self, step: int | None = None) -> list[Mark]:
        """Every mark at a step of the frames, the last if None.

        Args:
            step: of a checkpoint.

        Raises:
            ValueError: for a step without a frame, naming those that have one.
        """
        if not self.frames:
            return list(self.marks)
        if step is not None and step not in self.frames:
            raise ValueError(f"no step {step} in this drawing, its steps: {list(self.frames)}")
        return [*self.marks, *self.frames[max(self.frames) if step is None else step]]


@dataclass(frozen=True, repr=False)
class Drawing:
    """Panels row by row, `columns` in a row where there is room.

    Args:
        panels: one or more.
        columns: how many are side by side; fewer where a page is narrow.
        title: above all of them.
        key: the color key; by default an entry for each name of a mark, and for each level and shade that has one.
        key_title: above the key.
        step: the training step that paper shows of the frames, the last if None. Without frames: the only step that
            the drawing is of.
        aligned: panels below one another share their x axis: they are low, and the last one alone has its numbers.

    Example:
        >>> from grok_interp.plots.marks import TRAINING_STEP
        >>> loss = Line([0, 100], [5.2, 3.1], "validation loss", "#0072B2")
        >>> Drawing([Panel(TRAINING_STEP, Axis("loss", "nats"), [loss])])
        Drawing of 1 panel: loss (nats) against training step (updates)
    """

    panels: Sequence[Panel]
    columns: int = 1
    title: str = ""
    key: Sequence[KeyEntry] | None = None
    key_title: str = ""
    step: int | None = None
    aligned: bool = False

    def __post_init__(self) -> None:
        if not self.panels:
            raise ValueError("a drawing needs one panel or more, got none")
        if self.aligned and len({panel.x.text for panel in self.panels}) > 1:
            axes = ", ".join(dict.fromkeys(panel.x.text for panel in self.panels))
            raise ValueError(f"aligned panels share one x axis, got {axes}: draw them without `aligned`")

    def __repr__(self) -> str:
        axes = dict.fromkeys(f"{panel.y.text} against {panel.x.text}" for panel in self.panels)
        count = f"{len(self.panels)} panel{'s' * (len(self.panels) > 1)}"
        return f"Drawing of {count}: {'; '.join(axes)}"

    def _repr_png_(self) -> bytes:
        """A notebook shows it as on paper."""
        from grok_interp.plots.paper import png

        return png(self)

    @property
    def frame_steps(self) -> list[int]:
        """The training steps of the frames, in order."""
        return sorted({step for panel in self.panels for step in panel.frames})

    @property
    def steps(self) -> list[int]:
        """Every training step that is drawn: those of the frames, and the values of axes that are training steps."""
        lines = [
            mark.x for panel in self.panels if panel.x.steps for mark in panel.at() if not isinstance(mark, Points)
        ]
        along = {int(step) for x in lines for step in np.asarray(x, float).tolist()}
        return sorted(along | set(self.frame_steps))

    @property
    def entries(self) -> list[KeyEntry]:
        """The color key."""
        if self.key is not None:
            return list(self.key)
        shown: dict[str, KeyEntry] = {}
        for entry in [each for panel in self.panels for each in _entries(panel)]:
            if entry.label:
                shown.setdefault(entry.label, entry)
        switched = [entry for entry in shown.values() if entry.switches]
        return switched + [entry for entry in shown.values() if not entry.switches]

    @property
    def needs_key(self) -> bool:
        """Is there more than one thing to tell apart, or a key that was asked for?"""
        return len(self.entries) > 1 or bool(self.entries and (self.key or self.key_title))


def _entries(panel: Panel) -> Iterator[KeyEntry]:
    for mark in panel.at():
        if isinstance(mark, Points):
            yield KeyEntry(mark.entry, mark.color, kind="dot")
        elif isinstance(mark, Line) and not mark.faint:
            yield KeyEntry(mark.entry, mark.color, mark.dash, mark.width)
    for level in panel.levels:
        yield KeyEntry(level.label, GRAY, level.dash, 0.8, switches=False)
    for shade in panel.shades:
        yield KeyEntry(shade.label, SHADED, kind="patch", switches=False)


def on_one_scale(panels: Sequence[Panel]) -> list[Panel]:
    """The panels with the same limits of y: those of all their lines, points and levels, with some room.

    Args:
        panels: of one drawing.
    """
    marks = [mark for panel in panels for mark in panel.every_mark if not isinstance(mark, Cells)]
    arrays = [mark.y for mark in marks]
    arrays += [end for mark in marks for end in (mark.low, mark.high) if end is not None]
    arrays += [[level.value] for panel in panels for level in panel.levels]
    values = np.concatenate([np.ravel(np.asarray(array, float)) for array in arrays])
    values = values[np.isfinite(values)]
    if not values.size:
        return list(panels)
    room = 0.05 * float(np.ptp(values)) or 0.05
    low, high = float(values.min()) - room, float(values.max()) + room
    return [replace(panel, y=replace(panel.y, limits=_filled(panel.y.limits, low, high))) for panel in panels]


def _filled(limits: Limits, low: float, high: float) -> Limits:
    return (low if limits[0] is None else limits[0], high if limits[1] is None else limits[1])
