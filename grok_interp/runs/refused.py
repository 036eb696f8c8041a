"""A checkpoint of a series that cannot be used: which one, why, and what to do."""

from __future__ import annotations

from grok_interp.files import DamagedFileError


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


class MisfittingConfigError(RefusedCheckpointError):
    """Of a checkpoint whose weights are not those of a model of its config.json."""
