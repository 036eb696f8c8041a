"""`sweep`: one run under every combination of values of its fields, with several seeds each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from grok_interp.cli.engines import HERE, EngineFlags
from grok_interp.cli.options import READABLE, OutputFlags
from grok_interp.cli.output import Output
from grok_interp.cli.train import TrainingPreset
from grok_interp.configs import TrainConfig
from grok_interp.counted import counted

if TYPE_CHECKING:
    from grok_interp.studies.grid import Grid


def sweep(
    config: TrainingPreset,  # pyright: ignore[reportInvalidTypeForm]
    *,
    folder: Path,
    vary: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    seeds: int = 3,
    engine: EngineFlags = HERE,
    device: str = "auto",
    dry_run: bool = False,
    output: OutputFlags = READABLE,
) -> None:
    """Train a preset under every combination of values of its fields; table and report of all runs.

    After an interruption the same command resumes. A run that fails leaves its message in the folder, and the
    others continue; the exit code is then 6, and the same command tries it again.

    Args:
        folder: of the runs, FOLDER/learning_rate=0.003/seed0 and so on, of report.html and tables/sweep.csv.
        vary: FIELD=VALUE,VALUE (repeat --vary) with a field of the configuration as its flag is named, such as
            learning_rate=0.003,0.006 or data.n-id=4,8. A list is in brackets, as in betas=[0.9,0.95],[0.9,0.999].
        seeds: how many of each combination; a seed draws the weights and the batches.
        engine: where runs are trained.
        device: auto, cpu, cuda or cuda:N.
        dry_run: list the cells and how far they are, train nothing, write nothing.
    """
    from grok_interp.cli.reports import report_on_folder
    from grok_interp.cli.with_progress import complete_sweep
    from grok_interp.engines.engine import FailedCellsError

    grid, where = _grid(config, vary, seeds), engine.chosen(device, folder)
    swept = grid.sweep(folder)
    if dry_run:
        _show_cells(grid, folder, output)
        return
    try:
        with grid.noted(folder):
            output.say(f"{counted(len(swept.runs), 'run')} in {folder}, {len(swept.remaining())} to train")
            complete_sweep(swept, where, device, output)
    except FailedCellsError:
        report_on_folder(folder, device, None, output)
        raise
    report_on_folder(folder, device, None, output)


def _grid(config: TrainConfig, vary: Sequence[str], n_seeds: int) -> Grid:
    from grok_interp.configs.fields import read_values
    from grok_interp.studies.grid import Grid

    varied: dict[str, Any] = {}
    for text in vary:
        name, values = read_values(config, text)
        if name in varied:
            raise ValueError(f"--vary {name} is given twice: give all its values at once")
        varied[name] = values
    return Grid(config, varied, n_seeds)


def _show_cells(grid: Grid, folder: Path, output: Output) -> None:
    from grok_interp.runs.run import Run
    from grok_interp.studies.sweep_table import shown_cells, swept_runs, table_of_cells

    opened = {run.directory: run for run in Run.below(folder)}
    runs = swept_runs(grid, folder, opened)
    cells = table_of_cells(runs)
    output.show(shown_cells(cells))
    size = f"{counted(len(cells), 'cell')}, {counted(len(runs), 'run')} of {counted(grid.config.n_steps, 'update')}"
    output.say(f"{size} in {folder}")
    then = "the same command without --dry-run; `grok-interp train PRESET --dry-run` estimates one run"
    output.finish(cells, made=list(grid.settings), then=then)
