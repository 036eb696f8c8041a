"""Steps at which a checkpoint is missing: of a run, from its schedule; of other series, from the spacing of steps.

The schedule is looked for of which the series lacks the fewest steps (see `spacing`). If it lacks none, there is no
gap. If it lacks more than FEW, or if no schedule fits, nothing is said. The first and the last interval may have any
length: what is missing there counts in a long series only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise, takewhile
from typing import Any

from grok_interp.results.order import shown_steps
from grok_interp.runs.findings import Finding
from grok_interp.runs.spacing import FEWEST, Schedule, closest_schedule

FEW = 0.3  # of the steps of a schedule: where more are missing, another schedule is as likely
FEWEST_STEPS = 5  # fewer fit anything
LONG = 7  # steps of one spacing
VERY_LONG = 100  # steps of several: the spacing may change once more


def gaps_of(series: Any) -> Iterator[Finding]:
    """Of any series: from the schedule of its run where it is known.

    Args:
        series: a `CheckpointSeries`, or what has steps alone.
    """
    due = getattr(series, "due_steps", None)
    if due is None:
        yield from gaps(getattr(series, "source_steps", series.steps))
        return
    there = set(series.steps)
    for is_there, steps in groupby(sorted(there.union(due)), lambda step: step in there):
        if not is_there:
            missing = list(steps)
            before = [step for step in there if step < missing[0]]
            after = [step for step in there if step > missing[-1]]
            around = (*sorted(before)[-1:], *sorted(after)[:1])
            which = f"step {missing[0]}" if len(missing) == 1 else f"steps {shown_steps(missing)}"
            yield Finding(
                "gap", around, f"no checkpoint at {which}, where config.json keeps one: restore what was deleted"
            )


def gaps(steps: Sequence[int]) -> Iterator[Finding]:
    """From the spacing alone: 1, 2, 4, 16, 32 lacks 8.

    Args:
        steps: of the checkpoints, sorted.

    Example:
        >>> [each.steps for each in gaps([0, 200, 300, 400, 500, 700, 900, 1000])]
        [(0, 200), (500, 700), (700, 900)]
    """
    for number in _lacking(steps):
        pair = (steps[number], steps[number + 1])
        yield Finding("gap", pair, f"no checkpoint between steps {pair[0]} and {pair[1]}: are files missing?")


def _lacking(steps: Sequence[int]) -> Mapping[int, int]:
    """Position of an interval -> how many steps are missing in it."""
    if len(steps) < FEWEST_STEPS:
        return {}
    whole = closest_schedule(steps)
    if whole and not whole.lacks:
        return {}
    tail = 1 if whole and not whole.changes else _tail(steps)
    inside = closest_schedule(steps, free_last=tail)
    if whole and _is_few(whole, steps) and (inside is None or _ends_count(whole, inside, steps, tail)):
        return whole.lacks
    return inside.lacks if inside and _is_few(inside, steps) else {}


def _tail(steps: Sequence[int]) -> int:
    """How many of the last intervals may be of a spacing that has just begun; the very last has any length."""
    *intervals, wide = [b - a for a, b in pairwise(steps[:-1])]
    n_wide = 1 + len(list(takewhile(lambda each: each == wide, reversed(intervals))))
    has_begun = n_wide < FEWEST and wide > intervals[-n_wide]
    return 1 + n_wide if has_begun else 1


def _ends_count(whole: Schedule, inside: Schedule, steps: Sequence[int], tail: int) -> bool:
    """Whether what is missing in the first and the last intervals counts."""
    end = len(steps) - 1 - tail
    at_end = sum(n for number, n in whole.lacks.items() if number >= end)
    same_inside = {number: n for number, n in whole.lacks.items() if 0 < number < end} == inside.lacks
    return same_inside and at_end <= 1 and len(steps) >= (VERY_LONG if whole.changes else LONG)


def _is_few(schedule: Schedule, steps: Sequence[int]) -> bool:
    return schedule.n_lacking <= FEW * (len(steps) + schedule.n_lacking)
