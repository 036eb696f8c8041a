"""The four phases of "Learning to grok" (B.3): which of the four splits a model has learnt.

A split counts as learnt when its last-shot accuracy is above a threshold (the paper: 75%). The paper names four of the
sixteen combinations; the others are named as what they are and never forced into one of the four.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from grok_interp.analysis.shots import ShotCurves
from grok_interp.configs import ModularConfig, TrainConfig
from grok_interp.data.modular import SPLITS, Split
from grok_interp.results import LabelledResult

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

    Raises ValueError for accuracies that are missing or outside [0, 1], and for a threshold outside it.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold is an accuracy in [0, 1], got {threshold}")
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
            {split: float(last.sel(checkpoint=step, split=split)) for split in last["split"].values},
            threshold=threshold,
        )
        for step in last["checkpoint"].values
    }


class PhaseDiagram(LabelledResult):
    """Last-shot accuracy (0 to 1) of every run of a sweep at its best checkpoint; NaN where no run is."""

    name = "phase_diagram"
    dims = ("n_id", "alpha", "seed", "split")

    def best(self) -> xr.DataArray:
        """n_id x alpha x split: the best seed, as in the paper: the largest mean over the splits."""
        means = self.array.mean("split").fillna(-1)
        return self.array.isel(seed=means.argmax("seed")).drop_vars("seed")

    def phases(self, *, threshold: float) -> xr.DataArray:
        """n_id x alpha: the phase of the best seed; empty where no run is."""

        def named(accuracies: np.ndarray) -> str:
            found = dict(zip(SPLITS, accuracies.tolist(), strict=True))
            return "" if np.isnan(accuracies).any() else phase(found, threshold=threshold)

        best = self.best().sel(split=list(SPLITS))
        return xr.apply_ufunc(named, best, input_core_dims=[["split"]], vectorize=True, output_dtypes=[object])

    def __str__(self) -> str:
        done = int(self.array.notnull().all("split").sum())
        return f"{done} runs of {self.array.sizes['n_id']} n_id x {self.array.sizes['alpha']} alphas"


def phase_diagram(runs: Iterable[tuple[TrainConfig, ShotCurves]], *, queries: str = "all") -> PhaseDiagram:
    """From the (config, shot curves) of every run of a sweep over n_id, alpha and init_seed (Figure 1b).

    A run counts with the checkpoint of the largest mean over the splits: early stopping, as in the paper, because
    o.o.d. generalization can be transient. Raises ValueError for no runs, two runs of the same cell, and runs on text.
    """
    cells: dict[tuple[int, float, int], xr.DataArray] = {}
    for config, curves in runs:
        if not isinstance(config.data, ModularConfig):
            raise ValueError("a phase diagram needs runs on modular arithmetic, got one on text")
        cell = (config.data.n_id, config.data.alpha, config.init_seed)
        if cell in cells:
            raise ValueError(f"two runs with (n_id, alpha, init_seed) = {cell}: give one of them")
        last = curves.last_shot(queries)
        cells[cell] = last.isel(checkpoint=int(last.mean("split").argmax("checkpoint")), drop=True)
    if not cells:
        raise ValueError("a phase diagram needs at least one run")
    table = pd.concat({cell: curve.to_series() for cell, curve in cells.items()}, names=list(PhaseDiagram.dims[:3]))
    array = xr.DataArray.from_series(table).sel(split=list(SPLITS)).astype(float)
    return PhaseDiagram(array.assign_attrs(queries=queries))


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
    index = int(np.argmax(np.where(np.isnan(values), -np.inf, values)))  # a checkpoint that is not finite is no peak
    return Transience(float(values[index]), int(curve["checkpoint"][index]), float(values[-1]))
