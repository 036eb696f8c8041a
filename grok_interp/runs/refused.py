"""A checkpoint of a series that cannot be used: which one, why, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grok_interp.files import DamagedFileError

FIND_THE_ODD_ONE = (
    "`audit` finds the one that differs from most; leave it out (--skip STEP, or skip=[STEP] of from_hub), or narrow "
    "the pattern to one training"
)


class RefusedCheckpointError(DamagedFileError):
    """Names the place, the reason and the remedy apart, so that a series can name them as it was named itself.

    Args:
        place: of the checkpoint.
        reason: what is wrong with it; follows the place in a sentence.
        remedy: what to do.
    """

    def __init__(self, place: object, reason: str, remedy: str) -> None:
        super().__init__(str(place), reason, remedy)
        self.place, self.reason, self.remedy = self.args

    def __str__(self) -> str:
        return f"{self.place} {self.reason}: {self.remedy}"


class OtherArchitectureError(RefusedCheckpointError):
    """Of two checkpoints of different architectures; which of them is the odd one cannot be told from two."""


class MisfittingConfigError(RefusedCheckpointError):
    """Of a checkpoint whose weights are not those of a model of its config.json."""


def require_same_sizes(place: str, sizes: Mapping[str, Any], expected: Mapping[str, Any], first: int) -> None:
    """Raises OtherArchitectureError where sizes differ.

    Args:
        place: of the checkpoint.
        sizes: of its model.
        expected: those of the model that was read before it.
        first: the step of that.
    """
    if differing := [name for name in sizes if sizes[name] != expected[name]]:
        own = ", ".join(f"{name} {sizes[name]}" for name in differing)
        others = ", ".join(f"{expected[name]}" for name in differing)
        said = f"has {own} where step {first}, read before it, has {others}"
        raise OtherArchitectureError(place, said, FIND_THE_ODD_ONE)
