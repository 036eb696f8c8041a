"""Exact-match accuracy of the copying test string by string, of one run or over several seeds, with 95% intervals.

Of one run the interval is Wilson's over samples. Of several runs it is the t-interval of the mean over seeds, within
[0, 1]: it contains the spread over samples too. Where all seeds agree that interval has no width, and Wilson's over the
samples of one seed takes its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from grok_interp.analysis.copying import CopyingAccuracy
from grok_interp.analysis.intervals import wilson_interval
from grok_interp.analysis.sample_intervals import mean_interval
from grok_interp.counted import counted

ESTIMATES = ("mean", "low", "high")


def exact_by_string(runs: Sequence[CopyingAccuracy]) -> xr.DataArray:
    """The fraction of suffixes copied without an error, by queried string.

    Args:
        runs: the same test of one run, or of several that differ in their seeds.

    Returns:
        estimate (mean, low, high) x checkpoint x sequence, 0 to 1, at the checkpoints that all runs have; NaN where an
        answer is undefined. `attrs["over"]` says what the interval is over, `attrs["alphabet"]` what the test is on.

    Raises:
        ValueError: for no run, and for tests on different alphabets.
    """
    alphabets = {each.dataset.attrs["alphabet"] for each in runs}
    if len(alphabets) != 1:
        raise ValueError(f"exact_by_string needs one run or more on one alphabet, got {sorted(alphabets) or 'no run'}")
    if len(runs) == 1:
        over, parts = f"{runs[0].n_samples:,} samples", [runs[0].per_sequence(), *runs[0].per_sequence_interval()]
        parts = [part.drop_vars("bound", errors="ignore") for part in parts]
    else:
        over, seeds = (
            counted(len(runs), "seed"),
            xr.concat([each.per_sequence() for each in runs], "seed", join="inner"),
        )
        seeds = seeds.transpose("checkpoint", "sequence", "seed").astype(float)
        parts = [seeds.mean("seed", skipna=False), *_ends(seeds, min(each.n_samples for each in runs))]
    array = xr.concat(parts, pd.Index(ESTIMATES, name="estimate"))
    array = array.transpose("estimate", "checkpoint", "sequence")
    return array.drop_attrs().assign_attrs(alphabet=alphabets.pop(), over=over)


def _ends(seeds: xr.DataArray, n_samples: int) -> Iterator[xr.DataArray]:
    """Low and high, checkpoint x sequence."""
    fractions = seeds.to_numpy()
    differ = np.ptp(fractions, axis=-1) > 0
    of_samples = wilson_interval(fractions[..., 0], n_samples)
    for over_seeds, of_one in zip(mean_interval(fractions), of_samples, strict=True):
        yield seeds.isel(seed=0).copy(data=np.where(differ, over_seeds, of_one)).clip(0, 1)


def final_exact_matches(runs: Sequence[CopyingAccuracy]) -> np.ndarray:
    """Of each run: the exact-match accuracy at its last checkpoint, over all strings."""
    return np.array([float(each.exact_match()[-1]) for each in runs])
