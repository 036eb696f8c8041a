"""The report of a folder of seeds: runs of one configuration that differ in nothing else.

FOLDER/report.html
FOLDER/figures/*.*      as SVG and PDF
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from grok_interp.analysis.comparison import FREE
from grok_interp.counted import counted
from grok_interp.plots.page import Page
from grok_interp.runs.run import Run
from grok_interp.studies.copying.accuracy_sections import alphabets_section
from grok_interp.studies.copying.copying_results import analyze
from grok_interp.studies.copying.head_figures import store_claimed_ablation
from grok_interp.studies.copying.seeds import Seeds
from grok_interp.studies.copying.seeds_heads import heads_of_seeds_section
from grok_interp.studies.picture import ShowProgress
from grok_interp.studies.study import FolderReport, analyze_shown


def are_seeds(runs: Sequence[Run]) -> bool:
    """Two runs or more of one configuration, each with a seed of its own, and with checkpoints."""
    if len(runs) < 2 or not all(run.trained and run.steps for run in runs):
        return False
    configs = [run.config for run in runs]
    differing = {field for config in configs[1:] for field in configs[0].differences(config)}
    return differing <= set(FREE) and len({config.init_seed for config in configs}) == len(configs)


def report_on_seeds(folder: Path, runs: Sequence[Run], *, device: str, show: ShowProgress) -> FolderReport:
    """Analyze the runs, ablate their induction heads, and write the page.

    Args:
        folder: where the page is written.
        runs: two or more that differ in their seeds.
        device: where models run, a torch device.
        show: shows the progress of evaluating them.
    """
    for run in runs:
        analyze_shown(analyze, run, device=device, show=show)
        store_claimed_ablation(run, device, show)
    page = seeds_page(runs, device=device)
    page.save_figures(folder / "figures")
    facts = {"answer": page.answer, "headlines": {each.label: each.value for each in page.headlines}}
    return FolderReport(page.write(folder / "report.html"), [], facts, page.answer)


def seeds_page(runs: Sequence[Run], *, device: str = "cpu") -> Page:
    """The page of runs that differ in their seeds; what was not evaluated yet is."""
    seeds, config = Seeds.of_runs(runs, device=device), runs[0].config
    return Page(
        title="When does copying emerge?",
        answer=seeds.answer(),
        overview=seeds.overview(),
        headlines=seeds.cards(),
        summary=(
            f"{counted(len(runs), 'run')} of a {config.model.n_layers}-layer transformer of {config.model.n_params:,} "
            f"parameters, {config.n_steps:,} updates each, which differ in their seeds alone. Intervals are 95% over "
            "seeds."
        ),
        sections=[
            heads_of_seeds_section(runs, seeds.screens, device=device),
            alphabets_section({"seeds": runs}, "seeds"),
        ],
        settings=config.flattened(),
        warnings=[f"{run}: {text}" for run in runs for text in analyze(run).not_finite_warnings()],
    )
