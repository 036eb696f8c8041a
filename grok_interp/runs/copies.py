"""Steps with equal weights: which these are, and at which step their weights are compared with others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from torch import Tensor

from grok_interp.runs.findings import Finding

CLEARLY = 2.0  # times the length of path that another step would add


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


def placed(checksums: Mapping[int, str], sketches: Mapping[int, Tensor]) -> tuple[dict[int, Tensor], set[int]]:
    """Step -> sketch, where equal weights are at one step: that where they add least to the path through all.

    Args:
        checksums: step -> name of the weights, in the order of steps.
        sketches: one of each name.

    Returns:
        The sketches, and the steps where another step would do nearly as well.
    """
    steps_of, found = _steps_of(checksums), {checksums[step]: each for step, each in sketches.items()}
    at = {steps_of[name][0]: each for name, each in found.items() if len(steps_of[name]) == 1}
    copied = [name for name in found if len(steps_of[name]) > 1]
    unsure = set()
    for name in (*copied, *copied):  # the second time all others are there
        at = {step: each for step, each in at.items() if each is not found[name]}
        added = {step: _added(step, found[name], at) for step in steps_of[name]}
        least, second = sorted(added.values())[:2]
        place = min(added, key=added.__getitem__)
        at[place] = found[name]
        unsure = unsure - added.keys() | ({place} if second <= CLEARLY * least else set())
    return {step: at[step] for step in checksums if step in at}, unsure


def _added(step: int, found: Tensor, others: Mapping[int, Tensor]) -> float:
    """How much longer the path through others is by way of weights at a step."""
    before = max((each for each in others if each < step), default=None)
    after = min((each for each in others if each > step), default=None)
    around = [others[each] for each in (before, after) if each is not None]
    detour = sum(float((found - each).norm()) for each in around)
    return detour - float((around[0] - around[1]).norm()) if len(around) == 2 else detour


def _steps_of(checksums: Mapping[int, str]) -> dict[str, list[int]]:
    steps_of = defaultdict(list)
    for step, checksum in checksums.items():
        steps_of[checksum].append(step)
    return steps_of
