"""What `grok-interp report` writes, and what it says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from grok_interp.cli.output import Output, command
from grok_interp.cli.with_progress import ablate_induction_heads, analyze_run
from grok_interp.data.modular import SPLITS
from grok_interp.device import choose_device
from grok_interp.runs.run import Run
from grok_interp.studies.catalogue import AFTER_A_REPORT, kind_of, study_of
from grok_interp.studies.copying.finished import finished_experiments
from grok_interp.studies.copying.sweep_report import write_sweep_report
from grok_interp.studies.modular.sweep_report import runs_below, write_phase_report


def report_on_run(run: Run, device: str, threshold: float | None, output: Output) -> Path:
    """report.html of a run, analyzed first; its path."""
    study = study_of(run, ".report")
    results, inputs = analyze_run(run, device, output)
    threshold = study.THRESHOLD if threshold is None else threshold
    page = study.write_report(run, results, inputs, threshold=threshold, device=choose_device(device))
    found = study.headlines(results, threshold=threshold)
    output.show_facts(found)
    output.say(f"report: {page}")
    figure = AFTER_A_REPORT[kind_of(run)]
    facts = {"report": page, "headlines": found}
    output.finish(facts, made=[page], then=command("grok-interp", "reproduce", figure, "--run", run))
    return page


def report_on_folder(folder: Path, device: str, threshold: float | None, output: Output) -> Path:
    """report.html of a folder of copying experiments or of modular runs, analyzed first; its path."""
    options = {"device": choose_device(device), **({} if threshold is None else {"threshold": threshold})}
    if (modular := runs_below(folder)) or not (folder / "baseline").is_dir():
        return _report_on_phases(folder, modular, options, output)
    return _report_on_experiments(folder, options, output)


def _report_on_phases(folder: Path, runs: Sequence[Run], options: dict[str, Any], output: Output) -> Path:
    for run in runs:
        analyze_run(run, options["device"], output)
    page, table = write_phase_report(folder, **options)
    rows = table.to_dict("records")
    output.show([{str(name): _shown(name, value) for name, value in row.items()} for row in rows])
    output.say(f"report: {page}")
    output.finish({"report": page, "runs": rows}, made=[page])
    return page


def _report_on_experiments(folder: Path, options: dict[str, Any], output: Output) -> Path:
    experiments = finished_experiments(folder)
    for run in experiments.all_runs:
        analyze_run(run, options["device"], output)
    for run, ways in experiments.ablated_runs:
        ablate_induction_heads(run, options["device"], output, ways=ways)
    page, claims = write_sweep_report(folder, **options)
    columns = {"verdict": "verdict", "claim": "text", "by": "measure", "seeds": "seeds"}
    columns |= {"needed": "seeds_needed", "needed if half": "seeds_needed_half"}
    output.show([{name: getattr(claim, field) for name, field in columns.items()} for claim in claims])
    output.say(f"report: {page}")
    output.finish({"report": page, "claims": [asdict(each) for each in claims]}, made=[page])
    return page


def _shown(name: object, value: object) -> object:
    return f"{value:.1%}" if name in SPLITS else f"{value:g}" if isinstance(value, float) else value
