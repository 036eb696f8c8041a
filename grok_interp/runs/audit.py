"""Is a series of checkpoints what it says it is? Faults that would make a figure over training wrong.

    unreadable   a checkpoint that cannot be read
    config       names or shapes of weights that are not those of the first checkpoint
    not finite   weights with NaN or infinity
    duplicate    two steps with equal weights
    gap          an interval 1.5 times as long as both beside it, in steps or on a logarithmic axis
    order        two neighbors that would make the path through weight space shorter if they were exchanged
    jump         two neighbors much farther apart than those around them: another run, or an abrupt change

Distances are Euclidean, between all weights of two checkpoints, to 2% (see `sketch`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log
from statistics import median
from typing import Any, Protocol

import torch
from torch import Tensor

from grok_interp.runs.sketch import sketch

GAP = 1.5  # times both intervals beside it
SHORTER = 0.9  # of the path, if two neighbors are exchanged: beyond the error of a sketch
JUMP = 5.0  # times the median of the distances around it
AROUND = 2  # distances on either side
FEWEST = 3  # distances to compare one with

Pairs = Mapping[tuple[int, int], float]


class Series(Protocol):
    """A `CheckpointSeries`, or a `Run`."""

    @property
    def steps(self) -> tuple[int, ...]: ...

    def checksum(self, step: int) -> str: ...

    def weights(self, step: int) -> Mapping[str, Tensor]: ...


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


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        steps: of the series.
        findings: in the order of kinds; empty for a sound series.
        distances: between neighbors, (step, next step) -> distance; of checkpoints that can be compared.
    """

    steps: tuple[int, ...]
    findings: tuple[Finding, ...]
    distances: Mapping[tuple[int, int], float]

    @property
    def is_sound(self) -> bool:
        """Was nothing found?"""
        return not self.findings

    def __str__(self) -> str:
        found = f"{len(self.findings)} findings" if len(self.findings) != 1 else "1 finding"
        return "\n".join([f"{len(self.steps)} checkpoints, {found}", *map(str, self.findings)])


def audit(series: Series, *, on_checkpoint: Callable[[int, int], None] | None = None) -> Audit:
    """Look for faults in a series of checkpoints; each is read once, and one is in memory at a time.

    Args:
        series: a `CheckpointSeries`, or the `checkpoints` of a `Run`. Files of state dicts need no `model=`.
        on_checkpoint: is told (checkpoints done, checkpoints to do).

    Returns:
        An `Audit`: one line per fault when it is printed.

    Raises:
        ValueError: for a series without checkpoints.

    Example:
        >>> from grok_interp import CheckpointSeries, Transformer, preset
        >>> pairs = [(step, Transformer(preset("copier-tiny"), seed=0)) for step in (0, 10)]
        >>> print(audit(CheckpointSeries.from_models(pairs)))
        2 checkpoints, 1 finding
        duplicate: steps 0, 10 have the same weights: was a checkpoint copied, or training stopped?
    """
    if not series.steps:
        raise ValueError("an audit needs one checkpoint or more, got an empty series")
    read = _Read({}, {}, {}, [])
    for done, step in enumerate(series.steps, start=1):
        read.add(series, step)
        if on_checkpoint:
            on_checkpoint(done, len(series.steps))
    distances = _distances(read.sketches)
    order = list(read.sketches)
    findings = [*read.findings, *_duplicates(read.checksums), *_gaps(series.steps)]
    findings += [*_order(order, distances), *_jumps(order, distances)]
    neighbors = {pair: distances[pair] for pair in zip(order, order[1:], strict=False)}
    return Audit(tuple(series.steps), tuple(findings), neighbors)


@dataclass(frozen=True)
class _Read:
    """What is kept of the checkpoints: never their weights."""

    checksums: dict[int, str]
    shapes: dict[str, tuple[int, ...]]
    sketches: dict[int, Tensor]
    findings: list[Finding]

    def add(self, series: Series, step: int) -> None:
        try:
            checksum = series.checksum(step)
            is_new = checksum not in self.checksums.values()
            self.checksums[step] = checksum
            weights = series.weights(step) if is_new else None  # equal weights have equal distances
        except (ValueError, OSError) as error:
            self.checksums.pop(step, None)
            self.findings.append(Finding("unreadable", (step,), f"step {step}: {error}"))
            return
        if weights is not None and self._fits(step, weights):
            self._compare(step, sketch(weights))

    def _compare(self, step: int, found: Tensor) -> None:
        """Files of equal weights may differ (`torch.save` writes its file name into them), their sketches do not."""
        if not found.isfinite().all():
            self.findings.append(
                Finding("not finite", (step,), f"step {step} has weights with NaN or infinity: training diverged")
            )
        elif twin := [earlier for earlier, other in self.sketches.items() if torch.equal(found, other)]:
            self.checksums[step] = self.checksums[twin[0]]
        else:
            self.sketches[step] = found

    def _fits(self, step: int, weights: Mapping[str, Any]) -> bool:
        shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
        if not self.shapes:
            self.shapes.update(shapes)
        others = sorted(
            name for name in shapes.keys() | self.shapes.keys() if shapes.get(name) != self.shapes.get(name)
        )
        if others:
            name = others[0]
            self.findings.append(
                Finding(
                    "config",
                    (step,),
                    f"step {step} has {len(others)} weights of another name or shape than the first checkpoint "
                    f"({name}: {shapes.get(name, 'none')}, expected {self.shapes.get(name, 'none')}): another model?",
                )
            )
        return not others


def _distances(sketches: Mapping[int, Tensor]) -> Pairs:
    return {(a, b): float((sketches[a] - sketches[b]).norm()) for a in sketches for b in sketches if a != b}


def _duplicates(checksums: Mapping[int, str]) -> Iterator[Finding]:
    steps_of = defaultdict(list)
    for step, checksum in checksums.items():
        steps_of[checksum].append(step)
    for steps in steps_of.values():
        if len(steps) > 1:
            named = ", ".join(map(str, steps))
            yield Finding(
                "duplicate",
                tuple(steps),
                f"steps {named} have the same weights: was a checkpoint copied, or training stopped?",
            )


def _gaps(steps: Sequence[int]) -> Iterator[Finding]:
    """In regular spacing, and in logarithmic spacing: 1, 2, 4, 16, 32 lacks 8."""
    positions = ([float(step) for step in steps], [log(step) for step in steps if step > 0])
    found: set[tuple[int, int]] = set()
    for each in positions:
        of = steps[len(steps) - len(each) :]
        intervals = [b - a for a, b in zip(each, each[1:], strict=False)]
        for number in range(1, len(intervals) - 1):
            if intervals[number] > GAP * max(intervals[number - 1], intervals[number + 1]):
                found.add((of[number], of[number + 1]))
    for pair in sorted(found):
        yield Finding("gap", pair, f"no checkpoint between steps {pair[0]} and {pair[1]}: are files missing?")


def _order(steps: Sequence[int], distances: Pairs) -> Iterator[Finding]:
    for number in range(len(steps) - 1):
        around = list(steps[max(0, number - 1) : number + 3])
        at = around.index(steps[number])
        exchanged = list(around)
        exchanged[at], exchanged[at + 1] = around[at + 1], around[at]
        if len(around) > 2 and _length(exchanged, distances) < SHORTER * _length(around, distances):
            first, second = steps[number], steps[number + 1]
            yield Finding(
                "order",
                (first, second),
                f"steps {first} and {second} seem to be exchanged: the path through weight space is shorter then; "
                "check how the files were named",
            )


def _length(steps: Sequence[int], distances: Pairs) -> float:
    return sum(distances[pair] for pair in zip(steps, steps[1:], strict=False))


def _jumps(steps: Sequence[int], distances: Pairs) -> Iterator[Finding]:
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
