"""What `grok-interp report` writes, and what it says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grok_interp.cli.kept_report import keep, said_before
from grok_interp.cli.output import Output, command
from grok_interp.cli.reproduce import is_drawn
from grok_interp.device import choose_device
from grok_interp.runs.run import Run
from grok_interp.studies.catalog import studies, study_of
from grok_interp.studies.study import FolderReport, write_report


def report_on_run(run: Run, device: str, threshold: float | None, output: Output) -> Path:
    """report.html of a run, analyzed first; its path. One that is up to date is left as it is."""
    study_of(run).require_threshold(threshold)
    said = said_before(run, threshold) if device in ("auto", "cpu") else None
    if said is None:
        said = _write(run, device, threshold, output)
        keep(run, threshold, said)
    if said["answer"]:
        output.say(said["answer"])
    else:
        output.show_facts(said["headlines"])
    file = run.directory / "report.html"
    output.say(f"report: {file}")
    figure = said.pop("next_figure")
    then = "" if is_drawn(run, figure) else command("grok-interp", "reproduce", figure, "--run", run)
    output.finish({"report": file, **said}, made=[file], then=then)
    return file


def _write(run: Run, device: str, threshold: float | None, output: Output) -> dict[str, Any]:
    """What there is to say of the report that is written."""
    study, device = study_of(run), choose_device(device)
    study.analyze_shown(run, device=device, show=output.progress)
    with output.progress("writing the report", transient=True) as advance:
        page = study.report_page(run, threshold=threshold, device=device)
        write_report(run, page, on_figure=advance)
    return {
        "answer": page.answer,
        "headlines": {headline.label: headline.value for headline in page.headlines},
        "numbers": dict(page.numbers),
        "next_figure": study.figure_after_report(run),
    }


def report_on_folder(
    folder: Path, device: str, threshold: float | None, output: Output, *, trust_source: bool = False
) -> Path:
    """report.html of a folder of runs that a study compares, or of a sweep, analyzed first; its path.

    Raises ValueError for others.
    """
    from grok_interp.studies.grid import is_grid

    device, runs = choose_device(device), Run.below(folder, on_damage=output.warn, trust_source=trust_source)
    for study in studies().values():
        if any(map(study.has, runs)):
            study.require_threshold(threshold)
    if is_grid(folder):
        from grok_interp.studies.grid_report import report_on_grid

        return _finished(report_on_grid(folder, runs, threshold=threshold, device=device, show=output.progress), output)
    for study in studies().values():
        if not (own := [run for run in runs if study.has(run)]):
            continue
        if written := study.folder_report(folder, own, threshold=threshold, device=device, show=output.progress):
            return _finished(written, output)
    raise ValueError(
        f"no run at {folder}: it has no config.json of a run, nor has it runs that a study compares; `grok-interp "
        "list` shows the runs, `grok-interp reproduce modular/fig1b --preset mini` trains a sweep"
    )


def _finished(written: FolderReport, output: Output) -> Path:
    if written.answer:
        output.say(written.answer)
    if written.rows:
        output.show(written.rows)
    if written.legend:
        output.say(written.legend)
    output.say(f"report: {written.page}")
    output.finish({"report": written.page, **written.facts}, made=[written.page])
    return written.page
