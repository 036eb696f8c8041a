"""Which steps a series lacks of a schedule that people write: even steps, powers, both in a row, several spacings.

    grid        2^(k/j), 10^(k/j) and geomspace, rounded or cut off, without repeats; 1, 2, 5, 10, 20, 50, ...
    pieces      such a grid or nothing, then even steps of one or more spacings
    rounded     linspace, and even numbers of tokens, rounded or cut off

A grid is followed up to the first step of the pieces. Between two pieces an interval may be as long as the wider
spacing; one more step is missing, while two or more are a pause that the schedule has.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, log
from operator import itemgetter
from typing import Any

FEWEST = 3  # equal intervals that make a spacing, or intervals that make a grid
MOST_SPACINGS = 12  # the most frequent ones
LONGEST = 3  # steps that one interval may lack
BEHIND = 4  # missing steps more than those of the best explanation so far: given up
PARTS = {2: range(1, 5), 10: range(1, 33)}  # of a grid: j in 2^(k/j), 10^(k/j)
REPEATS = 3  # times as many steps in a geomspace as are left without repeats
LONG = 300  # steps of a geomspace; longer ones are not tried
WIDE, MANY = 4, 8  # a rounded spacing, and its steps: others fit by chance

State = tuple[int, int]  # spacing, or -1 - number of a grid; how many intervals agreed, at most FEWEST
Path = tuple[int, bool, Any]  # missing steps; did the spacing change? (position, how many, the same before it), or None


@dataclass(frozen=True)
class Schedule:
    """What a series lacks of a schedule.

    Attributes:
        lacks: position of an interval -> how many steps are missing in it.
        changes: is it of several spacings?
    """

    lacks: Mapping[int, int]
    changes: bool = False

    @property
    def n_lacking(self) -> int:
        """How many steps are missing."""
        return sum(self.lacks.values())


def closest_schedule(steps: Sequence[int], *, free_last: int = 0) -> Schedule | None:
    """The schedule of which a series lacks the fewest steps; None if none fits.

    Args:
        steps: sorted, four or more.
        free_last: how many of the last intervals may have any length, and the first one too; if 0, the first and the
            last lack one step at most.

    Example:
        >>> closest_schedule([0, 100, 200, 400, 500, 600])
        Schedule(lacks={2: 1}, changes=False)
    """
    kept = steps[: len(steps) - free_last]
    if len(kept) <= FEWEST:
        return None
    found = [each for each in (_pieces(kept, free=free_last > 0), _rounded(kept)) if each is not None]
    return min(found, key=lambda each: each.n_lacking, default=None)


def _grids(steps: Sequence[int]) -> Iterator[list[int]]:
    first, last = next((step for step in steps if step), 1), steps[-1]
    ones = (each * 10**power for power in range(len(str(last))) for each in (1, 2, 5))
    yield [each for each in ones if first <= each <= last]
    for base, parts in PARTS.items():
        for part in parts:
            yield from _rounded_powers(base ** (1 / part), 1, first, last)
    for end in dict.fromkeys((_start_of_even(steps), len(steps) - 1)):
        part = [step for step in steps[: end + 1] if step]
        for number in range(len(part), REPEATS * len(part)) if FEWEST < len(part) <= LONG else ():
            ratio = (part[-1] / first) ** (1 / (number - 1))
            if ratio > 1 and all(_is_power(step / first, ratio, 1 / step) for step in part[-4:-1]):
                yield from _rounded_powers(ratio, first, first, part[-1])


def _start_of_even(steps: Sequence[int]) -> int:
    """The first position, after others, at which equal intervals begin; the last position if there is none."""
    intervals = [b - a for a, b in pairwise(steps)]
    starts = (n for n in range(1, len(intervals)) if intervals[n - 1] != intervals[n] > 2)
    return next((n for n in starts if intervals[n : n + FEWEST] == [intervals[n]] * FEWEST), len(intervals))


def _is_power(value: float, ratio: float, error: float) -> bool:
    power = round(log(value) / log(ratio))
    return any(abs(ratio**each / value - 1) <= error for each in (power - 1, power, power + 1))


def _rounded_powers(ratio: float, start: int, first: int, last: int) -> Iterator[list[int]]:
    """From the first to the last, rounded and cut off."""
    exact = [start * ratio**power for power in range(ceil(log(max(last / start, 1)) / log(ratio)) + 1)]
    for add in (0.5, 1e-9):
        yield sorted({int(each + add) for each in exact if first <= int(each + add) <= last})


def _pieces(steps: Sequence[int], *, free: bool) -> Schedule | None:
    """A grid or nothing, then pieces of even steps; each has FEWEST equal intervals or more."""
    intervals = [b - a for a, b in pairwise(steps)]
    spacings = [each for each, n in Counter(intervals).most_common(MOST_SPACINGS) if n >= FEWEST]
    grids = list(_grids(steps))
    paths: dict[State, Path] = {(-1 - number, 0): (0, False, None) for number in range(len(grids))}
    evenly: dict[State, Path] = {(each, 0): (0, False, None) for each in spacings}
    if not free:
        paths |= evenly
    for number in range(len(intervals)):
        is_last = number == len(intervals) - 1 and not free
        reached: dict[State, Path] = evenly if free and number == 0 else {}
        for state, (total, changes, lacks) in paths.items():
            most = 1 - free if is_last or (number == free and state[0] > 0) else LONGEST
            for then, n_lacking in _moves(state, steps[number : number + 2], grids, spacings, is_last):
                if n_lacking <= most and (then not in reached or total + n_lacking < reached[then][0]):
                    lacking = (number, n_lacking, lacks) if n_lacking else lacks
                    reached[then] = (total + n_lacking, changes or then[0] != state[0], lacking)
        best = min((path[0] for (_, n_equal), path in reached.items() if n_equal >= FEWEST), default=len(steps))
        paths = {state: path for state, path in reached.items() if path[0] <= best + BEHIND}
    whole = [path for (_, n_equal), path in paths.items() if n_equal >= FEWEST]
    if not whole:
        return None
    _, changes, lacks = min(whole, key=itemgetter(0))
    return Schedule(dict(reversed(list(_unrolled(lacks)))), changes)


def _unrolled(lacks: Any) -> Iterator[tuple[int, int]]:
    while lacks:
        number, n_lacking, lacks = lacks
        yield number, n_lacking


def _moves(
    state: State, pair: Sequence[int], grids: Sequence[Sequence[int]], spacings: Sequence[int], is_last: bool
) -> Iterator[tuple[State, int]]:
    """(the state after the interval between two steps, how many steps are missing in it)."""
    (kind, n_equal), interval = state, pair[1] - pair[0]
    between, fits = _between(pair, kind) if kind > 0 else _between_on(grids[-1 - kind], pair)
    if fits or (is_last and not between):
        yield (kind, _agreeing(n_equal, between, pair, kind)), between
    if n_equal >= FEWEST and interval != kind:
        for other in spacings:
            if other != kind:
                n_lacking = _between(pair, max(kind, other))[0]
                if kind < 0:  # steps of the grid come before those of the spacing
                    n_lacking = (n_lacking or between) if between and interval != other else 0
                yield (other, int(interval == other)), n_lacking if n_lacking == 1 else 0


def _between(pair: Sequence[int], spacing: int) -> tuple[int, bool]:
    """How many steps of a spacing are between two, counted from the first; is the second one too?"""
    interval = pair[1] - pair[0]
    return -(-interval // spacing) - 1, interval % spacing == 0


def _between_on(grid: Sequence[int], pair: Sequence[int]) -> tuple[int, bool]:
    """The same of a grid."""
    end = bisect_left(grid, pair[1])
    return end - bisect_right(grid, pair[0]), end < len(grid) and grid[end] == pair[1]


def _agreeing(n_equal: int, between: int, pair: Sequence[int], kind: int) -> int:
    """How many intervals agree with a spacing, or with a grid; 1, 2, 3 agree with any grid."""
    interval = pair[1] - pair[0]
    if kind > 0:
        return min(n_equal + int(interval == kind), FEWEST)
    return n_equal - between if between else min(n_equal + int(interval > 1 or pair[0] == 0), 2 * FEWEST)


def _rounded(steps: Sequence[int]) -> Schedule | None:
    """Even steps of a spacing that is no integer."""
    body = [step - steps[0] for step in steps]
    if len(body) <= MANY:
        return None
    for n_steps in range(len(body) - 1, len(body) * 3 // 2):
        for low, high in ((-0.5, 0.5), (0.0, 1.0)):
            numbers = _numbers(body, body[-1] / n_steps, low, high)
            if numbers and body[-1] >= WIDE * n_steps:
                return Schedule({n: b - a - 1 for n, (a, b) in enumerate(pairwise(numbers)) if b - a > 1})
    return None


def _numbers(steps: Sequence[int], spacing: float, low: float, high: float) -> list[int]:
    """n of each step, if some spacing times n, less low, rounded or cut off, is the step; else nothing."""
    numbers, least, most = [0], 0.0, float("inf")
    for step in steps[1:]:
        number = round((step + (low + high) / 2) / spacing)
        if number <= numbers[-1]:
            return []
        least, most = max(least, (step + low) / number), min(most, (step + high) / number)
        if least > most:
            return []
        numbers.append(number)
    return numbers
