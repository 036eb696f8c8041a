"""Onsets and final values of every run of an experiment, and what its conditions do to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from grok_interp.analysis.comparison import TrainingCurves, final
from grok_interp.analysis.effects_over_seeds import Effect, mean_effect, slope
from grok_interp.analysis.emergence import Emergence, Estimate, emergence
from grok_interp.studies.change_points import MARGIN


@dataclass(frozen=True)
class Onsets:
    """The change point of one measure in every run; all series are indexed by (condition, seed)."""

    curves: TrainingCurves
    measure: str

    @cached_property
    def emergences(self) -> dict[tuple[str, int], Emergence]:
        chance, trials = (self.curves.dataset.attrs.get(name, {}).get(self.measure) for name in ("chance", "trials"))
        margin = None if chance is None else MARGIN
        curves = self.curves.each(self.measure)
        return {run: emergence(curve, chance=chance, margin=margin, trials=trials) for run, curve in curves.items()}

    @property
    def onsets(self) -> pd.Series:
        """Steps, between checkpoints too; NaN where the curve has no rise that ends above chance plus `MARGIN`."""
        return by_run({run: found.onset.value if found.rises else np.nan for run, found in self.emergences.items()})

    @property
    def finals(self) -> pd.Series:
        """The mean over the last tenth of training."""
        return by_run({run: final(curve) for run, curve in self.curves.each(self.measure).items()})

    def to_frame(self) -> pd.DataFrame:
        """One row per run: outcome, change point with 95% CIs (steps), p-value of a flat curve, final value."""
        finals = self.finals
        rows = [
            {
                "condition": condition,
                "seed": seed,
                "measure": self.measure,
                "outcome": found.outcome,
                "p_flat": found.p_value,
                **_columns("onset", found.onset),
                **_columns("midpoint", found.midpoint),
                **_columns("width", found.width),
                "final": finals[condition, seed],
            }
            for (condition, seed), found in self.emergences.items()
        ]
        return pd.DataFrame(rows)


ByMeasure = Mapping[str, Onsets]


def onsets_of(curves: TrainingCurves) -> dict[str, Onsets]:
    """measure -> its onsets, each worked out once, when it is asked for.

    Args:
        curves: of all runs.
    """
    return {measure: Onsets(curves, measure) for measure in curves.measures}


def by_run(values: Mapping[tuple[str, int], float]) -> pd.Series:
    """Values with the index (condition, seed).

    Args:
        values: (condition, seed) -> number.
    """
    index = pd.MultiIndex.from_tuples(list(values), names=["condition", "seed"])
    return pd.Series(list(values.values()), index=index, dtype=float)


def varied_value(runs: pd.Series) -> np.ndarray:
    """The number that distinguishes each run's condition: batch_size=8 -> 8.

    Where conditions name several fields ("learning_rate=0.003 muon_learning_rate=0.01") these must differ by one factor
    between any two conditions; the first is taken.

    Args:
        runs: one entry per run, by condition and seed.

    Raises:
        ValueError: for conditions that do not name the same fields, or that differ in several ways.
    """
    if runs.empty:
        return np.empty(0)
    named = [
        dict(field.split("=") for field in condition.split() if "=" in field)
        for condition in runs.index.get_level_values("condition")
    ]
    fields = list(named[0])
    if any(list(each) != fields or not fields for each in named):
        conditions = ", ".join(dict.fromkeys(runs.index.get_level_values("condition")))
        raise ValueError(f"a slope needs conditions that give the same fields values, got {conditions}")
    values = np.array([[float(each[field]) for field in fields] for each in named])
    if not np.allclose(values * values[0, 0], values[:, :1] * values[0], rtol=1e-4):
        raise ValueError(f"a slope needs {' and '.join(fields)} to change by the same factor, got {values.tolist()}")
    return values[:, 0]


def seeds_of(runs: pd.Series) -> np.ndarray:
    """The seed of each run.

    Args:
        runs: one entry per run, by condition and seed.
    """
    return runs.index.get_level_values("seed").to_numpy(int)


def log_slope(values: pd.Series) -> Effect:
    """Slope of log value on the log of what is varied, within seeds; runs at 0, or without a value, left out.

    Args:
        values: one per run, by condition and seed.
    """
    known = values[values > 0]
    return slope(np.log(varied_value(known)), np.log(known.to_numpy()), seeds_of(known))


def paired_effect(values: pd.Series, condition: str, without: str) -> Effect:
    """The mean difference between two conditions of the same seed.

    Args:
        values: by condition and seed.
        condition: the one.
        without: the other, which is subtracted.
    """
    table = values.unstack("condition")
    found = mean_effect((table[condition] - table[without]).dropna().to_numpy())
    return replace(found, n_runs=2 * found.n_seeds)


def _columns(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
