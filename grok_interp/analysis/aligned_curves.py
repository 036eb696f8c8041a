"""Training curves of several seeds, aligned at the onset of copying in each.

Seeds differ in when copying emerges, so a mean over seeds at one step mixes models before and after the onset. Here
every curve is read at its own onset plus an offset (updates), by linear interpolation between checkpoints. Offsets go
from the start of the earliest seed to twice as many updates after the onset, as far as all seeds were trained. Seeds
without an onset cannot be aligned and are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import xarray as xr

from grok_interp.analysis.comparison import TrainingCurves
from grok_interp.analysis.fraction_of_change import fraction_of_change
from grok_interp.analysis.sample_intervals import mean_interval
from grok_interp.results.result import Measure, Result

N_OFFSETS = 121


class AlignedCurves(Result):
    """Four measures by seed and offset (updates after the onset); `loss_fall` is a fraction of the total drop in loss.

    The coordinate `onset` of a seed is the step of its onset.
    """

    name = "aligned_curves"
    dims = ("seed", "offset")
    measures: ClassVar = {
        "exact_match": Measure("exact-match accuracy", "fraction"),
        "per_token": Measure("per-token accuracy", "fraction"),
        "loss_fall": Measure("drop in validation loss", "fraction", may_be_undefined=True),
        "induction": Measure("largest induction score I(L, H)", "1"),
    }

    def mean(self, measure: str) -> xr.DataArray:
        """Over seeds, by offset.

        Args:
            measure: a variable of the result.
        """
        return self[measure].mean("seed")

    def interval(self, measure: str) -> tuple[np.ndarray, np.ndarray]:
        """95% of the mean over seeds, by offset; NaN for one seed.

        Args:
            measure: a variable of the result.
        """
        return mean_interval(self[measure].transpose("offset", "seed").to_numpy())

    def __str__(self) -> str:
        sizes, onsets = self.dataset.sizes, self.dataset["onset"].to_numpy()
        seeds = f"{sizes['seed']} seed{'s' * (sizes['seed'] > 1)}"
        return f"curves of {seeds}, aligned at onsets from {onsets.min():,.0f} to {onsets.max():,.0f}"


def aligned_curves(curves: TrainingCurves, onsets: Mapping[int, float]) -> AlignedCurves:
    """The curves of one condition, aligned.

    Args:
        curves: of one condition.
        onsets: seed -> step of the onset, for each seed that has one.

    Raises:
        ValueError: for several conditions, no onset, or an onset of a seed that is not there.
    """
    (condition, *others), seeds = curves.dataset["condition"].values.tolist(), curves.dataset["seed"].values.tolist()
    if others or not onsets or not set(onsets) <= set(seeds):
        raise ValueError(
            f"aligned curves need one condition and the onset of one seed or more of {seeds}, got "
            f"{1 + len(others)} and onsets of {list(onsets)}"
        )
    steps = {seed: curves.each("per_token")[condition, seed]["checkpoint"].to_numpy() for seed in onsets}
    before = min(onset - steps[seed][0] for seed, onset in onsets.items())
    after = min(2 * before, *(steps[seed][-1] - onset for seed, onset in onsets.items()))
    offsets = np.linspace(-before, after, N_OFFSETS)
    arrays = {
        name: np.stack([_at(curves, name, condition, seed, onset + offsets) for seed, onset in onsets.items()])
        for name in AlignedCurves.measures
    }
    coords = {"seed": list(onsets), "offset": offsets, "onset": ("seed", list(onsets.values()))}
    return AlignedCurves.of_arrays(arrays, coords)


def _at(curves: TrainingCurves, measure: str, condition: str, seed: int, steps: np.ndarray) -> np.ndarray:
    """One curve at these steps; NaN where it was not measured."""
    found = curves.each("loss" if measure == "loss_fall" else measure).get((condition, seed))
    if found is None:
        return np.full(len(steps), np.nan)
    curve = fraction_of_change(found) if measure == "loss_fall" else found
    return np.interp(steps, curve["checkpoint"].to_numpy(), curve.to_numpy())
