"""Steps at which a checkpoint seems to be missing, from the spacing of the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from math import isclose, log

from grok_interp.runs.findings import Finding

GAP = 1.5  # times the intervals beside it
AGREE = 1.2  # the longest of these is at most so many times the shortest
BESIDE = 2  # intervals on either side
FEWEST = 3  # equal intervals that make a spacing of a series
LONGEST = 3  # neighboring multiples of the spacing; more are a spacing of their own
DIGITS = 10  # of a logarithm, in which equal intervals are equal


def gaps(steps: Sequence[int]) -> Iterator[Finding]:
    """In linear and in logarithmic spacing: 1, 2, 4, 16, 32 lacks 8.

    Args:
        steps: of the checkpoints, sorted.

    Example:
        >>> [each.steps for each in gaps([0, 200, 300, 400, 500, 700, 900, 1000])]
        [(0, 200), (500, 700), (700, 900)]
    """
    positive = [step for step in steps if step > 0]
    found = _found(steps, [float(step) for step in steps]) | _found(positive, [log(step) for step in positive])
    for pair in sorted(found):
        yield Finding("gap", pair, f"no checkpoint between steps {pair[0]} and {pair[1]}: are files missing?")


def _found(steps: Sequence[int], positions: Sequence[float]) -> set[tuple[int, int]]:
    """Pairs of steps, by their positions on one axis."""
    intervals = [round(b - a, DIGITS) for a, b in zip(positions, positions[1:], strict=False)]
    return {(steps[number], steps[number + 1]) for number in (*_wider(intervals), *_multiples(intervals))}


def _wider(intervals: Sequence[float]) -> Iterator[int]:
    """Those between equal ones, in a part of the series; the last interval of a training has any length."""
    for number in range(1, len(intervals) - 1 - BESIDE):
        beside = [*intervals[max(0, number - BESIDE) : number], *intervals[number + 1 : number + 1 + BESIDE]]
        if 0 < max(beside) <= AGREE * min(beside) and intervals[number] > GAP * max(beside):
            yield number


def _multiples(intervals: Sequence[float]) -> list[int]:
    """Multiples of the most frequent interval, if all others equal it but narrower ones at the start and at the end.

    Many neighboring multiples are another spacing, and so may be one at an end of more than one spacing: then nothing
    is found.
    """
    usual, count = Counter(intervals).most_common(1)[0] if intervals else (0.0, 0)
    wide = [number for number, interval in enumerate(intervals) if interval >= usual]
    inside = range(wide[0], wide[-1] + 1) if wide else range(0)
    if not usual or count < FEWEST or 2 * count <= len(inside):
        return []
    others = [list(group) for is_usual, group in groupby(inside, lambda n: intervals[n] == usual) if not is_usual]
    is_regular = all(_are_missing(each, intervals, usual, inside) for each in others)
    return [number for group in others for number in group] if is_regular else []


def _are_missing(numbers: Sequence[int], intervals: Sequence[float], usual: float, inside: range) -> bool:
    """Whether neighboring intervals lack checkpoints, of a series whose usual spacing holds inside a range."""
    times = [intervals[number] / usual for number in numbers]
    if not all(isclose(each, round(each), abs_tol=1e-6) and each > GAP for each in times):
        return False
    last = len(intervals) - 1
    is_whole = inside[0] == 0 and usual != 1  # rounded logarithmic steps begin with intervals of 1
    end = inside[-1] if is_whole else min(inside[-1], last - 1)  # the last interval of a training has any length
    if inside[0] < numbers[0] and numbers[-1] < end:
        return len(numbers) <= LONGEST
    is_one = len(numbers) == 1 and round(times[0]) == 2 and inside[0] == 0
    return is_one and (numbers[0] == 0 or (is_whole and numbers[0] == last))
