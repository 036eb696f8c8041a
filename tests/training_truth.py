"""Training curves made by hand: each run a ramp from an onset that is known, with noise that its seed draws."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

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
    arrays = {name: np.full((len(conditions), len(seeds), len(STEPS)), np.nan) for name in TrainingCurves.measures}
    coords = {
        "condition": conditions,
        "seed": seeds,
        "checkpoint": STEPS,
        "tokens_per_step": ("condition", [TOKENS_PER_STEP * (1 + at) for at in range(len(conditions))]),
    }
    for number, ((condition, seed), (onset, final)) in enumerate(runs.items()):
        rise = np.zeros(len(STEPS)) if np.isinf(onset) else ramp(onset, onset + 400, 0, final, seed=number)
        loss = ramp(0, settles.get(condition, 300), 5, 2, seed=100 + number)
        for name, values in arrays.items():
            values[conditions.index(condition), seeds.index(seed)] = loss if name == "loss" else rise
    return TrainingCurves.of_arrays(arrays, coords, {"varied": []})
