"""Faults that distances between checkpoints and their steps show; the kinds are those of `audit`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import gcd
from statistics import median

from torch import Tensor

from grok_interp.results.order import shown_steps

SHORTER = 0.9  # of the path around two checkpoints, if they are exchanged: beyond the error of a sketch
WORSE = 2.0  # times the path around one of them
JUMP = 5.0  # times the median of the distances around it
AROUND = 2  # distances on either side
FEWEST = 3  # distances to compare one with
COARSE = 2  # a counter that adds 1 every few steps equals none above 2, and stays while others would add 2

Pairs = Mapping[tuple[int, int], float]


@dataclass(frozen=True)
class Finding:
    """One fault.

    Attributes:
        kind: of fault, see the module.
        steps: of the checkpoints that are concerned.
        message: what was found and what to check, in one sentence.
    """

    kind: str
    steps: tuple[int, ...]
    message: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


def distances_between(sketches: Mapping[int, Tensor]) -> Pairs:
    """Of every two checkpoints."""
    return {(a, b): float((sketches[a] - sketches[b]).norm()) for a in sketches for b in sketches if a != b}


def placed(checksums: Mapping[int, str], sketches: Mapping[int, Tensor]) -> dict[int, Tensor]:
    """Step -> sketch, where equal weights are at one step: that whose neighbors are nearest to them.

    Args:
        checksums: step -> name of the weights, in the order of steps.
        sketches: one of each name.
    """
    steps_of, place = _steps_of(checksums), {}
    alone = {steps[0] for steps in steps_of.values() if len(steps) == 1 and steps[0] in sketches}
    for step, found in sketches.items():
        places = steps_of[checksums[step]]
        place[min(places, key=lambda at, found=found: _to_neighbors(at, found, alone, sketches))] = found
    return {step: place[step] for step in checksums if step in place}


def _to_neighbors(at: int, found: Tensor, alone: AbstractSet[int], sketches: Mapping[int, Tensor]) -> float:
    """The mean distance of weights, at a step, to the nearest steps before and after it whose weights no other has."""
    before = max((step for step in alone if step < at), default=None)
    after = min((step for step in alone if step > at), default=None)
    to = [float((found - sketches[step]).norm()) for step in (before, after) if step is not None]
    return sum(to) / max(1, len(to))


def _steps_of(checksums: Mapping[int, str]) -> dict[str, list[int]]:
    steps_of = defaultdict(list)
    for step, checksum in checksums.items():
        steps_of[checksum].append(step)
    return steps_of


def duplicates(checksums: Mapping[int, str]) -> Iterator[Finding]:
    """Steps with equal weights."""
    for steps in _steps_of(checksums).values():
        if len(steps) > 1:
            named = ", ".join(map(str, steps))
            yield Finding(
                "duplicate",
                tuple(steps),
                f"steps {named} have the same weights: was a checkpoint copied, or training stopped?",
            )


def misnamed(stored: Mapping[int, int]) -> Iterator[Finding]:
    """Checkpoints that say of themselves another step than their names, or, where they count otherwise, another order.

    Args:
        stored: step -> what the checkpoint says, in the order of steps.
    """
    if _restarts(stored):
        return
    equal = [step == said for step, said in stored.items() if step > COARSE]
    due = list(stored) if 2 * sum(equal) > len(equal) else sorted(stored.values())
    if wrong := {step: said for (step, said), each in zip(stored.items(), due, strict=True) if said != each}:
        named, said = shown_steps(list(wrong)), shown_steps(list(wrong.values()))
        which = (
            f"the checkpoint named {named} says of itself that it is of step {said}"
            if len(wrong) == 1
            else f"the checkpoints named {named} say of themselves that they are of steps {said}"
        )
        yield Finding("order", tuple(wrong), f"{which}: check how the files were named")
    for said, steps in _same_step(stored).items():
        if not wrong.keys() & set(steps):
            named = shown_steps(steps)
            which = f"the checkpoints named {named} say of themselves that they are of one step, {said:,}"
            yield Finding("order", tuple(steps), f"{which}: was a checkpoint copied?")


def _restarts(stored: Mapping[int, int]) -> bool:
    """Whether a counter of steps begins again, at equal distances, and two checkpoints or more are of a later count."""
    behind = [step - said for step, said in stored.items()]
    later = [each - behind[0] for each in behind if each != behind[0]]
    period = gcd(*later)
    rises = all(a <= b for a, b in pairwise(behind))
    return len(later) > 1 and rises and max(stored.values()) - min(stored.values()) < period


def _same_step(stored: Mapping[int, int]) -> dict[int, list[int]]:
    """What several say -> their steps; without those that a counter of many steps each cannot tell apart."""
    steps, counts = list(stored), list(stored.values())
    rate = (counts[-1] - counts[0]) / (steps[-1] - steps[0]) if len(steps) > 1 else 0.0
    steps_of = defaultdict(list)
    for step, said in stored.items():
        steps_of[said].append(step)
    return {
        said: those
        for said, those in steps_of.items()
        if len(those) > 1 and ((those[-1] - those[0]) * rate >= COARSE or (said in those and said > COARSE))
    }


def reversed_order(untrained: Mapping[int, AbstractSet[str]]) -> Iterator[Finding]:
    """A series that ends with an initialization.

    Initializations give a gain or a bias one value, and updates give its entries different ones, for good.

    Args:
        untrained: step -> names of the weights with one axis whose entries are all equal, in the order of steps.
    """
    steps, names = list(untrained), list(untrained.values())
    if len(steps) > 1 and names[0] < names[-1] and all(a <= b for a, b in zip(names, names[1:], strict=False)):
        yield Finding(
            "order",
            (steps[0], steps[-1]),
            f"gains or biases of step {steps[-1]} are those of an initialization, and those of step {steps[0]} are "
            "not: is the whole series in reverse order? Check how the files were named",
        )


def exchanged(steps: Sequence[int], distances: Pairs) -> Iterator[Finding]:
    """Two checkpoints, however far apart, that would make the path through weight space shorter in the other order.

    The two that shorten it most come first; the next are looked for in the order that results.
    """
    order = list(steps)
    while found := max(_shortenings(order, distances), default=None):
        _, first, second = found
        order[first], order[second] = order[second], order[first]
        yield Finding(
            "order",
            (steps[first], steps[second]),
            f"steps {steps[first]} and {steps[second]} seem to be exchanged: the path through weight space is shorter "
            "then; check how the files were named",
        )


def _shortenings(order: Sequence[int], distances: Pairs) -> Iterator[tuple[float, int, int]]:
    """(by how much, first position, second position) of the exchanges that shorten the path.

    Neither checkpoint may fit worse at its new place: a checkpoint of another run at an end of the path, where it has
    one neighbor, would shorten the path too.
    """
    for first, second in combinations(range(len(order)), 2):
        other = {first: order[second], second: order[first]}
        both = _around((first, second), order, distances), _around((first, second), order, distances, other)
        if both[1] < SHORTER * both[0] and all(
            _around((each,), order, distances, other) <= WORSE * _around((each,), order, distances) for each in other
        ):
            yield both[0] - both[1], first, second


def _around(
    places: Sequence[int], order: Sequence[int], distances: Pairs, exchanged: Mapping[int, int] | None = None
) -> float:
    """The length of the path on both sides of some places, where others may stand in them."""
    starts = {start for place in places for start in (place - 1, place) if 0 <= start < len(order) - 1}
    at = exchanged or {}
    return sum(distances[at.get(start, order[start]), at.get(start + 1, order[start + 1])] for start in starts)


def jumps(steps: Sequence[int], distances: Pairs) -> Iterator[Finding]:
    """Two neighbors much farther apart than those around them."""
    pairs = list(zip(steps, steps[1:], strict=False))
    for number, pair in enumerate(pairs):
        around = pairs[max(0, number - AROUND) : number] + pairs[number + 1 : number + 1 + AROUND]
        if len(pairs) <= FEWEST or not around:
            continue
        usual = median(distances[each] for each in around)
        if distances[pair] > JUMP * usual:
            yield Finding(
                "jump",
                pair,
                f"steps {pair[0]} and {pair[1]} are {distances[pair] / usual:.0f} times farther apart than their "
                "neighbors: is one of another run, or did training change abruptly?",
            )
