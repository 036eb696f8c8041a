"""What is done to a head while a model trains: `L1H0 zero from 500 to 1500`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Self

WAYS = ("zero", "clamp", "freeze")
PATTERN = re.compile(rf"L(\d{{1,6}})H(\d{{1,6}}) ({'|'.join(WAYS)})(?: from (\d{{1,12}}))?(?: to (\d{{1,12}}))?")
FORM = "L1H0 zero from 500 to 1500, where zero may be clamp or freeze and either step may be left out"


@dataclass(frozen=True)
class Intervention:
    """One head, from one training step to another.

    Args:
        layer: of the head.
        head: in its layer.
        way: zero: the head adds nothing to the residual stream. clamp: its z (the weighted values, before W_O) is the
            same vector at every position, its mean over the batch at the first step. freeze: its W_Q, W_K, W_V and W_O
            stay as they are.
        first: the number of updates before the first one that is affected.
        last: the number of updates before the first one that is not; None for never.
    """

    layer: int
    head: int
    way: str
    first: int
    last: int | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """From its text.

        Args:
            text: head and way, then `from STEP` and `to STEP`, each of which may be left out.

        Raises:
            ValueError: for a text of another form, and for a last step that is not after the first.

        Example:
            >>> Intervention.parse("L1H0 zero from 500")
            Intervention(layer=1, head=0, way='zero', first=500, last=None)
        """
        found = PATTERN.fullmatch(text.strip())
        if not found:
            raise ValueError(f"an intervention is written like {FORM}; got {text[:80]!r}")
        layer, head, way, first, last = found.groups()
        first, last = int(first or 0), int(last) if last else None
        if last is not None and last <= first:
            raise ValueError(f"{text!r} ends at or before the step that it begins at")
        return cls(int(layer), int(head), way, first, last)

    def is_active(self, step: int) -> bool:
        """Does it affect the update that follows `step` updates?"""
        return self.first <= step and (self.last is None or step < self.last)

    def overlaps(self, other: Intervention) -> bool:
        """Are both in effect on the same head at the same time?"""
        same = (self.layer, self.head) == (other.layer, other.head)
        return same and (self.is_active(other.first) or other.is_active(self.first))


def unreached(texts: Sequence[str], n_steps: int) -> Iterator[str]:
    """Why interventions have no effect in a run of `n_steps` updates: each begins after the last one."""
    for text in texts:
        if Intervention.parse(text).first >= n_steps:
            yield (
                f"intervene: {text!r} has no effect, the run ends after {n_steps:,} updates: begin before that, or "
                "extend the run"
            )


def intervention_reasons(texts: Sequence[str], *, n_layers: int, n_heads: int) -> Iterator[str]:
    """Why a configuration with these interventions is refused."""
    parsed = []
    for text in texts:
        try:
            parsed.append(Intervention.parse(text))
        except ValueError as error:
            yield str(error)
    for each in parsed:
        if each.layer >= n_layers or each.head >= n_heads:
            yield f"intervene: there is no L{each.layer}H{each.head} in {n_layers} layers of {n_heads} heads"
    for one, other in combinations(parsed, 2):
        if one.overlaps(other):
            yield f"intervene: two interventions on L{one.layer}H{one.head} at the same time"
