"""Training curves made by hand: each run a ramp from an onset that is known, with noise that its seed draws."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from grok_interp.analysis.comparison import TrainingCurves

STEPS = np.arange(0, 4100, 100)
TOKENS_PER_STEP = 100


def ramp(onset: float, end: float, before: float, after: float, *, seed: int, noise: float = 0.01) -> np.ndarray:
    clean = before + (after - before) * np.clip((STEPS - onset) / (end - onset), 0, 1)
    return clean + noise * np.random.default_rng(seed).standard_normal(len(STEPS))


def curves_of_runs(
    runs: Mapping[tuple[str, int], tuple[float, float]], *, loss_settles: Mapping[str, float] | None = None
) -> TrainingCurves:
    """(condition, seed) -> (onset, final value) of copying; an onset of infinity never comes. The loss falls until 300,
    or until the step given for its condition."""
    settles = loss_settles or {}
    conditions, seeds = (list(dict.fromkeys(key[at] for key in runs)) for at in (0, 1))
    array = xr.DataArray(
        np.full((4, len(conditions), len(seeds), len(STEPS)), np.nan),
        dims=TrainingCurves.dims,
        coords={
            "measure": ["whole", "per_token", "loss", "induction"],
            "condition": conditions,
            "seed": seeds,
            "checkpoint": STEPS,
            "tokens_per_step": ("condition", [TOKENS_PER_STEP * (1 + at) for at in range(len(conditions))]),
        },
    )
    for number, ((condition, seed), (onset, final)) in enumerate(runs.items()):
        rise = np.zeros(len(STEPS)) if np.isinf(onset) else ramp(onset, onset + 400, 0, final, seed=number)
        loss = ramp(0, settles.get(condition, 300), 5, 2, seed=100 + number)
        array.loc[{"condition": condition, "seed": seed}] = np.stack([rise, rise, loss, rise])
    return TrainingCurves(array.assign_attrs(varied=[]))
