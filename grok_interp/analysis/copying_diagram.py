"""Final copying accuracy against the synthetic data: fraction of windows with copies x fraction of random windows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import pandas as pd
import xarray as xr

from grok_interp.analysis.copying import CopyingAccuracy
from grok_interp.arguments import checked
from grok_interp.configs import TextConfig, TrainConfig
from grok_interp.counted import counted
from grok_interp.results.result import Measure, Result


class CopyingDiagram(Result):
    """Exact-match accuracy (0 to 1) at the last checkpoint of every run of a sweep; NaN where there is no run."""

    name = "copying_diagram"
    dims = ("copy_fraction", "random_fraction", "seed")
    measures: ClassVar = {"exact_match": Measure("exact-match accuracy", "fraction")}

    def mean(self) -> xr.DataArray:
        """Over the seeds of each cell."""
        return self["exact_match"].mean("seed")

    def spread(self) -> xr.DataArray:
        """Half of the difference between the best and the worst seed of each cell."""
        return (self["exact_match"].max("seed") - self["exact_match"].min("seed")) / 2

    def n_seeds(self) -> xr.DataArray:
        """Of each cell."""
        return self["exact_match"].notnull().sum("seed")

    def __str__(self) -> str:
        best = self.mean().stack(cell=("copy_fraction", "random_fraction")).dropna("cell")
        copies, random = best["cell"].values[int(best.argmax("cell"))]
        return (
            f"exact-match accuracy of {counted(int(self['exact_match'].notnull().sum()), 'run')}; the highest mean is "
            f"{float(best.max()):.0%}, with copies in {copies:.0%} and random characters in {random:.0%} of the windows"
        )


@checked
def copying_diagram(runs: Iterable[tuple[TrainConfig, CopyingAccuracy]]) -> CopyingDiagram:
    """Copying accuracy over fractions of synthetic windows: one cell per (copy_fraction, random_fraction, init_seed).

    Args:
        runs: (config, accuracy) of each run; the accuracy at its last checkpoint counts.

    Returns:
        Exact-match accuracy by copy_fraction, random_fraction and seed, between 0 and 1.

    Raises:
        ValueError: for no runs, two runs of one cell, and runs that are not on text.

    Example:
        >>> from grok_interp import CopyTask, Transformer, copying_accuracy, training_preset
        >>> config = training_preset("copier-tiny")
        >>> model = Transformer(config.model, seed=0)
        >>> accuracy = copying_accuracy(model, CopyTask.fitting(64, n_samples=3).sample())
        >>> copying_diagram([(config, accuracy)]).dataset.sizes["copy_fraction"]
        1
    """
    cells: dict[tuple[float, float, int], float] = {}
    for config, accuracy in runs:
        if not isinstance(config.data, TextConfig):
            raise ValueError("a copying diagram needs runs on text, got one on modular arithmetic")
        cell = (config.data.copy_fraction, config.data.random_fraction, config.init_seed)
        if cell in cells:
            raise ValueError(f"two runs with (copy_fraction, random_fraction, init_seed) = {cell}: give one of them")
        cells[cell] = float(accuracy.exact_match()[-1])
    if not cells:
        raise ValueError("a copying diagram needs at least one run")
    index = pd.MultiIndex.from_tuples(list(cells), names=CopyingDiagram.dims)
    table = pd.DataFrame({"exact_match": list(cells.values())}, index=index)
    return CopyingDiagram(xr.Dataset.from_dataframe(table).sortby(list(CopyingDiagram.dims)))
