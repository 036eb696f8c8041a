"""The phase diagram of "Learning to grok" (Figure 1b): the phase of every run of a sweep, with its probability.

The probabilities are over contexts, for one run: the best of the seeds of its cell. They say nothing about other seeds.
The best checkpoint and the best seed are chosen by the same accuracies, which makes these too high by a part of their
standard error when several are close.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

import numpy as np
import pandas as pd
import xarray as xr

from grok_interp.analysis.phases import PhaseProbabilities, phase_probabilities, require_threshold
from grok_interp.analysis.shots import ShotCurves
from grok_interp.arguments import checked
from grok_interp.configs import ModularConfig, TrainConfig
from grok_interp.counted import counted
from grok_interp.data.modular import SPLITS
from grok_interp.results.result import Measure, Result


class PhaseDiagram(Result):
    """Last-shot accuracy (0 to 1) of every run of a sweep at its best checkpoint; NaN where no run is.

    `effective_queries` is the number of independent queries with the same standard error.
    """

    name = "phase_diagram"
    dims = ("n_id", "alpha", "seed", "split")
    measures: ClassVar = {
        "accuracy": Measure("last-shot accuracy", "fraction"),
        "effective_queries": Measure("effective number of queries", "1"),
    }

    def n_seeds(self) -> xr.DataArray:
        """n_id x alpha: the runs of a cell."""
        return self["accuracy"].notnull().all("split").sum("seed")

    def best(self) -> xr.DataArray:
        """n_id x alpha x split: the best seed, as in the paper: the largest mean over the splits."""
        return self._of_best_seed()["accuracy"]

    @checked
    def probabilities(self, *, threshold: float) -> xr.DataArray:
        """n_id x alpha: `PhaseProbabilities` of the best seed; None where no run is.

        Args:
            threshold: the accuracy above which a split counts as learned, between 0 and 1.
        """

        require_threshold(threshold)

        def given(accuracies: np.ndarray, n: np.ndarray) -> PhaseProbabilities | None:
            if np.isnan(accuracies).any():
                return None
            values, numbers = (dict(zip(SPLITS, each.tolist(), strict=True)) for each in (accuracies, n))
            return phase_probabilities(values, numbers, threshold=threshold)

        best = self._of_best_seed().sel(split=list(SPLITS))
        measures = [best[name] for name in self.measures]
        core = [["split"], ["split"]]
        return xr.apply_ufunc(given, *measures, input_core_dims=core, vectorize=True, output_dtypes=[object])

    @checked
    def phases(self, *, threshold: float) -> xr.DataArray:
        """n_id x alpha: the most probable phase of the best seed; empty where no run is.

        Args:
            threshold: the accuracy above which a split counts as learned, between 0 and 1.
        """
        return _of_cells(lambda cell: cell.most_probable if cell else "", self.probabilities(threshold=threshold))

    @checked
    def described(self, *, threshold: float) -> xr.DataArray:
        """n_id x alpha: each phase of the best seed with its probability, and the number of seeds; empty without.

        Args:
            threshold: the accuracy above which a split counts as learned, between 0 and 1.
        """

        def text(cell: PhaseProbabilities | None, n: int) -> str:
            seeds = f"best of {counted(n, 'seed')}" if n > 1 else "1 seed"
            return f"{cell} ({seeds})" if cell else ""

        return _of_cells(text, self.probabilities(threshold=threshold), self.n_seeds())

    def _of_best_seed(self) -> xr.Dataset:
        means = self["accuracy"].mean("split").fillna(-1)
        return self.dataset.isel(seed=means.argmax("seed")).drop_vars("seed")

    def __str__(self) -> str:
        done = int(self.n_seeds().sum())
        undefined = self.dataset.attrs.get("n_not_finite", 0)
        return (
            f"{counted(done, 'run')} of {self.dataset.sizes['n_id']} n_id x {self.dataset.sizes['alpha']} alphas"
            + f"; NOT FINITE at every checkpoint of {counted(undefined, 'run')}" * bool(undefined)
        )


def _of_cells(named: Callable[..., str], *cells: xr.DataArray) -> xr.DataArray:
    return xr.apply_ufunc(named, *cells, vectorize=True, output_dtypes=[object])


@checked
def phase_diagram(runs: Iterable[tuple[TrainConfig, ShotCurves]], *, queries: str = "all") -> PhaseDiagram:
    """Phase diagram of a sweep over n_id, alpha and init_seed, from the (config, shot curves) of every run (Figure 1b).

    A run counts with the checkpoint of the largest mean over the splits: early stopping, as in the paper, because
    o.o.d. generalization can be transient.

    Args:
        runs: (config, shot curves) of each run.
        queries: "all" or "new", those that no example answers.

    Returns:
        Last-shot accuracy by split, n_id, alpha and seed; NaN for a run that is not finite at any checkpoint.

    Raises:
        ValueError: for no runs, two runs of the same cell, runs of several p, and runs on text.

    Example:
        >>> from grok_interp import ModularTasks, Transformer, shot_curve, training_preset
        >>> config = training_preset("modular-tiny")
        >>> model, tasks = Transformer(config.model, seed=0), ModularTasks.draw(config.data)
        >>> curves = shot_curve(model, tasks, n_contexts=16, seed=0)
        >>> phase_diagram([(config, curves)]).dataset.sizes["alpha"]
        1
    """
    cells: dict[tuple[int, float, int], pd.DataFrame] = {}
    undefined, p = 0, set[int]()
    for config, curves in runs:
        if not isinstance(config.data, ModularConfig):
            raise ValueError("a phase diagram needs runs on modular arithmetic, got one on text")
        p.add(config.data.p)
        cell = (config.data.n_id, config.data.alpha, config.init_seed)
        if cell in cells:
            raise ValueError(f"two runs with (n_id, alpha, init_seed) = {cell}: give one of them")
        last = curves.last_shot(queries)
        n = curves.effective_queries(queries).isel(shot=-1, drop=True)
        best = {"checkpoint": int(last.mean("split").fillna(-1).argmax("checkpoint"))}
        undefined += int(last.isel(best).isnull().any())
        at_best = {name: each.isel(best).to_series() for name, each in (("accuracy", last), ("effective_queries", n))}
        cells[cell] = pd.DataFrame(at_best)
    if not cells:
        raise ValueError("a phase diagram needs at least one run")
    if len(p) > 1:
        raise ValueError(f"a phase diagram is of one p, got runs of p = {', '.join(map(str, sorted(p)))}")
    table = pd.concat(cells, names=["n_id", "alpha", "seed"])
    dataset = xr.Dataset.from_dataframe(table).sel(split=list(SPLITS)).astype(float)
    return PhaseDiagram(dataset.assign_attrs(queries=queries, n_not_finite=undefined, p=p.pop()))
