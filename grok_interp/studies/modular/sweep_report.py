"""The report of a folder of modular runs over n_id and alpha: the phase diagram (Figure 1b), and every accuracy.

FOLDER/report.html
FOLDER/figures/modular_fig1b.*      as SVG and PDF
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from grok_interp.analysis.phase_diagram import PhaseDiagram
from grok_interp.analysis.phases import PAPER_THRESHOLD
from grok_interp.analysis.sampled_over import each_sampled_over
from grok_interp.configs import ModularConfig
from grok_interp.counted import counted
from grok_interp.data.modular import SPLITS
from grok_interp.plots.page import Headline, Page, Section, table_html
from grok_interp.plots.pictures.phase_diagram import phase_diagram
from grok_interp.plots.pictures.shots import SPLIT_NAMES
from grok_interp.runs.run import Run
from grok_interp.studies.modular.modular_results import analyze, sweep_diagram
from grok_interp.studies.picture import ShowProgress
from grok_interp.studies.study import FolderReport, analyze_shown

VARIED = ("data.n_id", "data.alpha", "init_seed", "data_seed")


def write_phase_report(
    folder: Path, runs: Sequence[Run], *, threshold: float | None = None, device: str = "cpu"
) -> tuple[Path, pd.DataFrame]:
    """The page's path, and one row per run: its setting, and the last-shot accuracies that the diagram counts.

    Raises ValueError where there are no runs, and for runs that differ in more than n_id, alpha, seed and
    length.
    """
    folder, threshold = Path(folder), PAPER_THRESHOLD if threshold is None else threshold
    if not runs:
        raise ValueError(
            f"no run at {folder}: it has no config.json, nor has it modular runs; `grok-interp list` shows the runs, "
            f"`grok-interp reproduce modular/fig1b --preset mini --folder {folder}` trains a sweep"
        )
    lengths = _lengths(runs)
    diagram = sweep_diagram(*runs, device=device)
    table, config = _table(diagram), runs[0].config
    contexts = each_sampled_over(analyze(runs[0], device=device).shots.dataset)
    assert isinstance(config.data, ModularConfig)
    page = Page(
        title="In which phase is in-context modular arithmetic?",
        summary=f"{counted(len(runs), 'run')} at p = {config.data.p}: {diagram}, each at its best checkpoint.",
        headlines=_headlines(diagram, threshold),
        sections=[_diagram_section(diagram, threshold), _table_section(table, contexts)],
        warnings=list(_warnings(runs, lengths)),
        settings={name: value for name, value in config.flattened().items() if name not in VARIED},
    )
    page.save_figures(folder / "figures")
    return page.write(folder / "report.html"), table


def report_on_phases(
    folder: Path, runs: Sequence[Run], *, threshold: float | None, device: str, show: ShowProgress
) -> FolderReport:
    """The same, after the analysis of these runs, with what the command line says of them."""
    for run in runs:
        analyze_shown(analyze, run, device=device, show=show)
    page, table = write_phase_report(folder, runs, threshold=threshold, device=device)
    rows = [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
    shown = [{name: _shown(name, value) for name, value in row.items()} for row in rows]
    return FolderReport(page, shown, {"runs": rows})


def _shown(name: str, value: object) -> object:
    return f"{value:.1%}" if name in SPLITS else f"{value:g}" if isinstance(value, float) else value


def _warnings(runs: Sequence[Run], lengths: list[int]) -> Iterator[str]:
    if len(lengths) > 1:
        yield f"These runs have different lengths: {', '.join(f'{length:,}' for length in lengths)} updates."
    for run in runs:
        yield from (f"{run}: {text}" for text in analyze(run).not_finite_warnings())


def _lengths(runs: Sequence[Run]) -> list[int]:
    """The updates of each, as far as they differ. Raises ValueError for runs of more than one sweep."""
    configs = {run: run.config for run in runs}
    first = configs[runs[0]]
    for run, config in configs.items():
        differing = set(first.differences(config)) - {*VARIED, "n_steps", "checkpoint_steps"}
        if differing:
            raise ValueError(
                f"{runs[0]} and {run} differ in {', '.join(sorted(differing))}: a phase diagram is of runs that differ "
                "in n_id, alpha and seed; put the others into a folder of their own"
            )
    return sorted({config.n_steps for config in configs.values()})


def _headlines(diagram: PhaseDiagram, threshold: float) -> list[Headline]:
    """How many cells have each phase as their most probable one."""
    named = pd.Series(diagram.phases(threshold=threshold).to_numpy().ravel())
    return [
        Headline(str(n), f"cells, most probable phase: {name}") for name, n in named[named != ""].value_counts().items()
    ]


def _diagram_section(diagram: PhaseDiagram, threshold: float) -> Section:
    text = (
        f"A split counts as learned when its last-shot accuracy over all contexts is above {threshold:.0%}. Each cell "
        "is the best of its n seeds, as in the paper, and shows the probability of its most probable phase. "
        "Probabilities are over the evaluation contexts, which each run draws independently; they do not cover other "
        "seeds."
    )
    drawing, table = phase_diagram(diagram, threshold=threshold), diagram.to_frame().dropna()
    return Section("Phase diagram", text, drawing, "Compare Figure 1b of the paper.", table=table, file="modular_fig1b")


def _table(diagram: PhaseDiagram) -> pd.DataFrame:
    index = ["n_id", "alpha", "seed"]
    table = diagram.to_frame().dropna().pivot(index=index, columns="split", values="accuracy")
    return table[list(SPLIT_NAMES)].reset_index().rename_axis(columns=None)


def _table_section(table: pd.DataFrame, contexts: str) -> Section:
    shown = table.rename(columns=SPLIT_NAMES).map(lambda cell: f"{cell:.3g}")
    html = f'<div class="wide">{table_html(shown)}</div>'
    return Section("Every run", f"Last-shot accuracies of each run, over {contexts}.", html=html)
