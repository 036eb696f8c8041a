"""What `grok-interp report` writes, and what it says of it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from grok_interp.data.modular import SPLITS
from grok_interp.device import choose_device
from grok_interp.running import ablate_shown, analyzed
from grok_interp.studies.catalogue import AFTER_A_REPORT, kind_of, study_of
from grok_interp.studies.copying.finished import finished_experiments
from grok_interp.studies.copying.sweep_report import write_sweep_report
from grok_interp.studies.modular.sweep_report import runs_below, write_phase_report
from grok_interp.terminal import Terminal


def report_on_run(directory: Path, device: str, threshold: float | None, terminal: Terminal) -> Path:
    """report.html of a run, analyzed first; its path."""
    study = study_of(directory, ".report")
    results, probes = analyzed(directory, device, terminal)
    threshold = study.THRESHOLD if threshold is None else threshold
    page = study.write_report(directory, results, probes, threshold=threshold, device=choose_device(device))
    found = study.headlines(results, threshold=threshold)
    terminal.show_facts(found)
    terminal.say(f"report: {page}")
    figure = AFTER_A_REPORT[kind_of(directory)]
    facts = {"report": page, "headlines": found}
    terminal.finish(facts, made=[page], then=f"grok-interp reproduce {figure} --run {directory}")
    return page


def report_on_sweep(folder: Path, device: str, threshold: float | None, terminal: Terminal) -> Path:
    """report.html of a folder of copying experiments or of modular runs, analyzed first; its path."""
    options = {"device": choose_device(device), **({} if threshold is None else {"threshold": threshold})}
    if (modular := runs_below(folder)) or not (folder / "baseline").is_dir():
        for run in modular:
            analyzed(run, device, terminal)
        page, runs = write_phase_report(folder, **options)
        terminal.show(
            [{str(name): _shown(name, value) for name, value in row.items()} for row in runs.to_dict("records")]
        )
        terminal.say(f"report: {page}")
        terminal.finish({"report": page, "runs": runs.to_dict("records")}, made=[page])
        return page
    experiments = finished_experiments(folder)
    for run in experiments.all_runs:
        analyzed(run, device, terminal)
    for run, ways in experiments.ablated_runs:
        ablate_shown(run, device, terminal, ways=ways)
    page, claims = write_sweep_report(folder, **options)
    terminal.show(
        [
            {
                "verdict": each.verdict,
                "claim": each.text,
                "by": each.measure,
                "seeds": each.seeds,
                "needed": each.seeds_needed,
                "needed if half": each.seeds_needed_half,
            }
            for each in claims
        ]
    )
    terminal.say(f"report: {page}")
    terminal.finish({"report": page, "claims": [asdict(each) for each in claims]}, made=[page])
    return page


def _shown(name: object, value: object) -> object:
    return f"{value:.1%}" if name in SPLITS else f"{value:g}" if isinstance(value, float) else value
