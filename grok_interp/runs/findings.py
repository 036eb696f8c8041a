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
SHORTER_AT_ENDS, FEW = 0.7, 7  # of one at an end, with its one neighbor, in a series of fewer checkpoints than these
WORSE = 2.0  # times the path around one of them
JUMP = 5.0  # times the median of the distances around it
AROUND = 2  # distances on either side
FEWEST = 3  # distances to compare one with
FAR = 3.0  # times the distance between its neighbors: an exchange gives up to 2 where each interval is twice the last
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


def far_from_all(steps: Sequence[int], distances: Pairs) -> Iterator[Finding]:
    """A checkpoint much farther from every other than those before and after it are from each other."""
    for before, step, after in zip(steps, steps[1:], steps[2:], strict=False):
        nearest = min(distances[step, other] for other in steps if other != step)
        if len(steps) > FEWEST and nearest > FAR * distances[before, after]:
            times = f"{nearest / distances[before, after]:.0f} times " if distances[before, after] else ""
            yield Finding(
                "jump",
                (step,),
                f"step {step} is {times}farther from every other checkpoint than steps {before} and {after} are from "
                "each other: is it of another run?",
            )


def out_of_order(steps: Sequence[int], distances: Pairs) -> list[Finding]:
    """Checkpoints that were exchanged, or the one without which no other is out of order."""
    found = list(exchanged(steps, distances))
    first = found[0].steps if len(found) > 1 else ()
    alone = [step for step in first if not any(exchanged([each for each in steps if each != step], distances))]
    if len(alone) != 1:
        return found
    message = f"step {alone[0]} does not fit between its neighbors, and without it the others are in order"
    return [Finding("order", (alone[0],), f"{message}: is it of another run, or was its file misnamed?")]


def exchanged(steps: Sequence[int], distances: Pairs) -> Iterator[Finding]:
    """Two checkpoints, however far apart, that would make the path through weight space shorter in the other order.

    The two that shorten it most come first; the next are looked for in the order that results.
    """
    order = list(steps)
    while found := max(_shortenings(order, distances), default=None):
        _, first, second = found
        order[first], order[second] = order[second], order[first]
        inner = [step for step in (steps[first], steps[second]) if step not in (steps[0], steps[-1])]
        other = f", or step {inner[0]} is of another run" if len(inner) == 1 and second - first == 1 else ""
        yield Finding(
            "order",
            (steps[first], steps[second]),
            f"steps {steps[first]} and {steps[second]} seem to be exchanged{other}: the path through weight space is "
            "shorter then; check how the files were named",
        )


def _shortenings(order: Sequence[int], distances: Pairs) -> Iterator[tuple[float, int, int]]:
    """(by how much, first position, second position) of the exchanges that shorten the path.

    Neither checkpoint may fit worse at its new place: a checkpoint of another run at an end of the path, where it has
    one neighbor, would shorten the path too.
    """
    for first, second in combinations(range(len(order)), 2):
        at_end = first == 0 or second == len(order) - 1
        shorter = SHORTER_AT_ENDS if at_end and len(order) < FEW else SHORTER
        other = {first: order[second], second: order[first]}
        both = _around((first, second), order, distances), _around((first, second), order, distances, other)
        if both[1] < shorter * both[0] and all(
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
