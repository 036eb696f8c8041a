"""What came of a sweep over fields: one row per run, and one row per combination with intervals over its seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from grok_interp.analysis.effects_over_seeds import Effect, mean_effect
from grok_interp.runs.run import Run
from grok_interp.studies.catalog import study_of
from grok_interp.studies.grid import Grid
from grok_interp.studies.picture import ShowProgress
from grok_interp.studies.sweep import failure_of, run_of

STATUSES = ("finished", "failed", "unfinished", "not begun")


class OverSeeds(tuple[float, float, float]):
    """(mean, low, high) of one measure over seeds; the ends are NaN where there is no interval, or one of width 0."""

    effect: Effect

    @classmethod
    def of(cls, values: Float[np.ndarray, " seed"]) -> OverSeeds:
        """The mean with its 95% t-interval.

        Args:
            values: one per finished seed; there may be none.
        """
        effect = mean_effect(values)
        known = np.isfinite([effect.low, effect.high]).all() and not effect.agreement
        found = cls((effect.value, *((effect.low, effect.high) if known else (np.nan, np.nan))))
        found.effect = effect
        return found

    def __str__(self) -> str:
        mean, low, high = self
        if np.isnan(mean):
            return "-"
        agreement = f" ({self.effect.agreement})" if self.effect.agreement else ""
        return f"{mean:.3g}{agreement}" if np.isnan(low) else f"{mean:.3g} [{low:.3g}, {high:.3g}]"


@dataclass(frozen=True)
class SweptRun:
    """One run of a sweep.

    Args:
        cell: the name of its combination.
        seed: of the weights and the batches.
        status: one of `STATUSES`.
        failure: why it failed, empty if it did not.
        values: of the varied fields.
        measures: name -> value at the last checkpoint, of a finished run.
    """

    cell: str
    seed: int
    status: str
    failure: str
    values: Mapping[str, object]
    measures: Mapping[str, float] = field(default_factory=dict)


CellRow = dict[str, str | int | OverSeeds]  # cell, seeds, status and the measures


def swept_runs(grid: Grid, folder: Path, opened: Mapping[Path, Run]) -> list[SweptRun]:
    """The state of every run, cell by cell; nothing is evaluated.

    Args:
        grid: which runs there are.
        folder: of the sweep.
        opened: directory -> run, of those in the folder.
    """
    return [
        SweptRun(cell, seed, *_state(folder / cell / f"seed{seed}", opened), values)
        for cell, values in grid.settings.items()
        for seed in range(grid.n_seeds)
    ]


def measured_runs(
    grid: Grid, folder: Path, opened: Mapping[Path, Run], *, device: str, show: ShowProgress
) -> list[SweptRun]:
    """The same with the final measures of finished runs; what is not stored of them is evaluated.

    Args:
        grid: which runs there are.
        folder: of the sweep.
        opened: directory -> run, of those in the folder.
        device: where models run, a torch device.
        show: shows the progress of evaluating them.
    """

    def measured(swept: SweptRun) -> SweptRun:
        if swept.status != "finished":
            return swept
        run = run_of(folder / swept.cell / f"seed{swept.seed}", opened)
        assert run, "it is finished"
        study = study_of(run)
        study.analyze_shown(run, device=device, show=show)
        return SweptRun(swept.cell, swept.seed, "finished", "", swept.values, study.final_measures(run))

    return [measured(swept) for swept in swept_runs(grid, folder, opened)]


def table_of_runs(runs: list[SweptRun]) -> pd.DataFrame:
    """One row per run: cell, the varied fields, seed, status, measures, failure.

    Args:
        runs: of one sweep.
    """
    rows = [{"cell": run.cell, **run.values, "seed": run.seed, "status": run.status, **run.measures} for run in runs]
    return pd.DataFrame(rows).assign(failure=[run.failure for run in runs])


def table_of_cells(runs: list[SweptRun]) -> list[CellRow]:
    """One row per cell: cell, seeds, status, and for each measure (mean, low, high) over the finished seeds.

    The ends are a 95% t-interval, NaN for one seed and where all seeds agree.

    Args:
        runs: of one sweep.
    """
    names = list(dict.fromkeys(name for run in runs for name in run.measures))
    cells = {cell: [run for run in runs if run.cell == cell] for cell in dict.fromkeys(run.cell for run in runs)}
    return [
        {"cell": cell, "seeds": len(of), "status": _together(of), **{name: _estimate(of, name) for name in names}}
        for cell, of in cells.items()
    ]


def shown_cells(cells: list[CellRow]) -> list[dict[str, str | int]]:
    """The same for a reader: 0.82 [0.75, 0.89], or 1 (all 3 seeds agree).

    Args:
        cells: of `table_of_cells`.
    """
    return [{name: str(value) if isinstance(value, tuple) else value for name, value in row.items()} for row in cells]


def _state(directory: Path, opened: Mapping[Path, Run]) -> tuple[str, str]:
    if failure := failure_of(directory):
        return "failed", failure
    run = run_of(directory, opened)
    if run is None:
        return "not begun", ""
    return ("finished" if run.is_finished else "unfinished"), ""


def _together(runs: list[SweptRun]) -> str:
    """finished, or 1 finished, 2 failed."""
    counts = Counter(run.status for run in runs)
    if len(counts) == 1:
        return runs[0].status
    return ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])


def _estimate(runs: list[SweptRun], name: str) -> OverSeeds:
    return OverSeeds.of(np.array([run.measures[name] for run in runs if name in run.measures]))
