"""The report of a sweep over any fields: every cell with its final measures, and every failure.

FOLDER/report.html          the study's own where it has one of these fields
FOLDER/figures/sweep.*      as SVG and PDF
FOLDER/tables/sweep.csv     one row per run
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from grok_interp.counted import counted
from grok_interp.engines.engine import listed
from grok_interp.files import write_text
from grok_interp.plots.drawing import Drawing, Panel
from grok_interp.plots.marks import Axis, Limits, Points
from grok_interp.plots.page import Page, Section, table_html
from grok_interp.plots.theme import BLUE
from grok_interp.runs.run import Run
from grok_interp.studies.catalog import study_of
from grok_interp.studies.grid import Grid, read_grid
from grok_interp.studies.picture import ShowProgress
from grok_interp.studies.study import FolderReport
from grok_interp.studies.sweep_table import CellRow, SweptRun, measured_runs, shown_cells, table_of_cells, table_of_runs

LEGEND = "At the last checkpoint: the mean over finished seeds, with their 95% t-interval in brackets if they differ."
FIXED = ("cell", "seeds", "status")
MOST_IN_ANSWER = 3  # measures; the table has all


def report_on_grid(
    folder: Path, runs: Sequence[Run], *, threshold: float | None = None, device: str, show: ShowProgress
) -> FolderReport:
    """Write the page and the table; finished runs are analyzed first.

    The page is the study's own where it compares these fields and every run is finished: a phase diagram, seeds.

    Args:
        folder: of a sweep, see `read_grid`.
        runs: all that are in it.
        threshold: of the study's own page.
        device: where models run, a torch device.
        show: shows the progress of evaluating them.
    """
    grid = read_grid(folder)
    swept = measured_runs(grid, folder, {run.directory: run for run in runs}, device=device, show=show)
    cells, table = table_of_cells(swept), table_of_runs(swept)
    write_text(folder / "tables" / "sweep.csv", table.to_csv(index=False, float_format="%.6g"))
    facts = {"cells": [_plain(row) for row in cells], "failures": _failures(swept)}
    study = study_of(runs[0]) if runs else None
    if study and set(grid.varied) <= study.compared and _are_all(runs, folder, swept):
        own = study.folder_report(folder, runs, threshold=threshold, device=device, show=show)
        if own:
            return FolderReport(own.page, shown_cells(cells), {**own.facts, **facts}, own.answer, LEGEND)
    page = _page(grid, swept, cells, table)
    page.save_figures(folder / "figures")
    return FolderReport(page.write(folder / "report.html"), shown_cells(cells), facts, legend=LEGEND)


def _failures(runs: Sequence[SweptRun]) -> dict[str, str]:
    return {f"{run.cell}/seed{run.seed}": run.failure for run in runs if run.failure}


def _are_all(runs: Sequence[Run], folder: Path, swept: Sequence[SweptRun]) -> bool:
    """Are these runs those of the sweep, all finished, and no others?"""
    finished = {folder / run.cell / f"seed{run.seed}" for run in swept if run.status == "finished"}
    return len(finished) == len(swept) and {run.directory for run in runs} == finished


def _page(grid: Grid, runs: list[SweptRun], cells: list[CellRow], table: pd.DataFrame) -> Page:
    fields = f"{'do' if len(grid.varied) > 1 else 'does'} {' and '.join(grid.varied) or 'the seed'}"
    n_finished = sum(run.status == "finished" for run in runs)
    rows = [{name.replace("_", " "): value for name, value in row.items()} for row in shown_cells(cells)]
    numbered = [{"": number, **row} for number, row in enumerate(rows, start=1)]
    html = f'<div class="wide compact">{table_html(pd.DataFrame(numbered))}</div>'
    sections = [Section("Every cell", LEGEND, html=html, table=table)]
    if drawing := _drawing(cells):
        caption = "Mean over seeds; bars: 95% t-interval over seeds. The numbers of the cells are those of the table."
        sections.append(Section("Final measures", "", drawing, caption, file="sweep"))
    varied = {*grid.varied, "init_seed", "data_seed"}
    return Page(
        title=f"What {fields} change?",
        summary=f"{counted(len(cells), 'cell')} of {counted(grid.n_seeds, 'seed')} each: {n_finished} of "
        f"{counted(len(runs), 'run')} finished.",
        headlines=[],
        sections=sections,
        settings={name: value for name, value in grid.config.flattened().items() if name not in varied},
        warnings=listed(_failures(runs)),
        answer=_answer(cells),
    )


def _answer(cells: list[CellRow]) -> str:
    """From which value to which the first measures vary; empty where no run is finished."""
    names = [name for name in cells[0] if name not in FIXED][:MOST_IN_ANSWER]
    ranges = "; ".join(filter(None, (_range(name, cells) for name in names)))
    brackets = " Brackets: 95% t-interval over seeds." if "[" in ranges else ""
    return f"At the last checkpoint: {ranges}.{brackets}" if ranges else ""


def _range(name: str, cells: list[CellRow]) -> str:
    known = [(value, row["cell"]) for row in cells if isinstance(value := row[name], tuple) and np.isfinite(value[0])]
    if not known:
        return ""
    (least, of_least), (most, of_most) = (choose(known, key=lambda each: each[0][0]) for choose in (min, max))
    words = name.replace("_", " ")
    if least[0] < most[0]:
        return f"{words} {least} ({of_least}) to {most} ({of_most})"
    return f"{words} {least[0]:.3g} in {'every cell' if len(known) == len(cells) else 'every cell with a finished run'}"


def _drawing(cells: list[CellRow]) -> Drawing | None:
    """One panel per measure, one dot per cell that has a finished seed; None where none has."""
    places = np.arange(1, len(cells) + 1)
    axis = Axis("cell", ticks={int(place): str(place) for place in places}, whole=True)
    names = [str(row["cell"]) for row in cells]
    panels = []
    for name in [name for name in cells[0] if name not in FIXED]:
        mean, low, high = np.array([row[name] for row in cells]).T
        points = Points(places, mean, name, BLUE, names, low=low, high=high)
        panels.append(Panel(axis, Axis(name.replace("_", " "), limits=_limits(mean)), [points]))
    return Drawing(panels, columns=min(2, len(panels)), key=()) if panels else None


def _limits(means: Float[np.ndarray, " cell"]) -> Limits:
    """Those of a fraction where all cells have the same one: around a constant 0, a screen would begin at -1."""
    known = means[np.isfinite(means)]
    return (0.0, 1.0) if known.size and known.min() == known.max() and 0 <= known.min() <= 1 else (None, None)


def _plain(row: CellRow) -> dict[str, object]:
    """With null for what is not defined: NaN is no JSON."""
    return {
        name: dict(zip(("mean", "low", "high"), (None if np.isnan(each) else each for each in value), strict=True))
        if isinstance(value, tuple)
        else value
        for name, value in row.items()
    }
