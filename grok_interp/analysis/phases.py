"""The four phases of "Learning to grok" (B.3): which of the four splits a model has learnt.

A split counts as learnt when its last-shot accuracy is above a threshold (the paper: 75%). The paper names four of the
sixteen combinations; the others are named as what they are and never forced into one of the four.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from grok_interp.analysis.shots import ShotCurves
from grok_interp.data.modular import SPLITS, Split

PAPER_THRESHOLD = 0.75
PHASES = {
    ("id_train",): "i.d. memorization",
    ("id_train", "id_test"): "i.d. generalization",
    ("id_train", "ood_train"): "o.o.d. memorization",
    SPLITS: "o.o.d. generalization",
    (): "nothing learnt",
}


def phase(accuracies: Mapping[Split, float], *, threshold: float) -> str:
    """The phase's name; a combination that the paper does not name is listed by its splits.

    Raises ValueError for accuracies that are missing or outside [0, 1].
    """
    if missing := [split for split in SPLITS if split not in accuracies]:
        raise ValueError(f"a phase needs the accuracy of all four splits, missing: {', '.join(missing)}")
    if outside := {split: value for split, value in accuracies.items() if not 0 <= value <= 1}:
        raise ValueError(f"accuracies must be in [0, 1], got {outside}")
    learnt = tuple(split for split in SPLITS if accuracies[split] > threshold)
    return PHASES.get(learnt, f"unnamed: {' + '.join(learnt)} learnt")


def phases(curves: ShotCurves, *, threshold: float) -> dict[int, str]:
    """The phase at every checkpoint, from the last shot."""
    last = curves.last_shot()
    return {
        int(step): phase(
            {split: float(last.sel(checkpoint=step, split=split)) for split in SPLITS}, threshold=threshold
        )
        for step in last["checkpoint"].values
    }


@dataclass(frozen=True)
class Transience:
    """The peak of a curve over training, and what is left of it at the end."""

    peak: float
    step: int
    last: float

    def __str__(self) -> str:
        return f"peak {self.peak:.0%} at step {self.step:,}, {self.last:.0%} at the end"


def transience(curve: xr.DataArray) -> Transience:
    """Of one curve over checkpoints: o.o.d. generalization may rise and fall again (B.3)."""
    values = curve.to_numpy()
    index = int(np.argmax(values))
    return Transience(float(values[index]), int(curve["checkpoint"][index]), float(values[-1]))
