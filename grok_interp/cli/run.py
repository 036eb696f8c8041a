"""`analyze`, `report` and `watch`: what is done with a run."""

from __future__ import annotations

import webbrowser
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from grok_interp.cli.engines import HERE, EngineFlags
from grok_interp.cli.options import READABLE, OutputFlags, RunFolder, TrustSource
from grok_interp.cli.output import command
from grok_interp.cli.series import DEFAULTS, SeriesFlags, open_analyzed
from grok_interp.device import choose_device
from grok_interp.runs.record import parsed_record
from grok_interp.runs.run import Run
from grok_interp.studies.catalog import study_of


def analyze(
    source: Annotated[str, tyro.conf.Positional],
    /,
    *,
    run: Path | None = None,
    series: SeriesFlags = DEFAULTS,
    figure: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    engine: EngineFlags = HERE,
    device: str = "auto",
    trust_source: TrustSource = False,
    output: OutputFlags = READABLE,
) -> None:
    """Evaluate every checkpoint of a run, or of a series of your own. Results are stored.

    Args:
        source: a run's folder; it may still be training. Or with --run a series of checkpoints: hub:OWNER/NAME,
            Trainer's output_dir, or files with {step} in their name, 'ckpts/model_{step}.pt'.
        run: the folder for the results of a series; the same command resumes.
        series: of checkpoints from elsewhere.
        figure: of a series, also compute what this figure needs (repeat --figure); `reproduce` then reads it.
        engine: where checkpoints are evaluated.
        device: auto, cpu, cuda or cuda:N.
    """
    from grok_interp.cli.with_progress import analyze_run

    open_run = partial(open_analyzed, source, run, series, figure, trust_source=trust_source)
    opened = open_run()
    if engine != HERE:
        from grok_interp.cli.checkpoint_groups import evaluate_in_groups

        where = engine.chosen(device, opened.directory)
        evaluate_in_groups(open_run, where, n_jobs=engine.jobs, device=device, output=output)
    study, results = study_of(opened), analyze_run(opened, device, output)
    study.store_for_report(opened, device=choose_device(device))
    for name in figure:
        study.pictures[name].draw([opened], device=choose_device(device), show=output.progress)
    for finding in opened.findings:
        output.say(f"audit: {finding}")
    files = [opened.results.path(analyzer) for analyzer in study.analyzers(opened)]
    facts = [
        {"result": name, "summary": str(result), "file": file}
        for (name, result), file in zip(results.each.items(), files, strict=True)
    ]
    for fact in facts:
        output.say(fact["summary"])
    output.finish(facts, made=files, then=command("grok-interp", "report", opened))


def report(
    directory: RunFolder,
    /,
    *,
    device: str = "auto",
    threshold: float | None = None,
    trust_source: TrustSource = False,
    open_: Annotated[bool, tyro.conf.arg(name="open")] = False,
    output: OutputFlags = READABLE,
) -> None:
    """Write a run's report.html and figures. Missing results are computed first; the run may be unfinished.

    Args:
        directory: the run's folder; it may still be training. Or a folder of runs: of copying experiments that
            `reproduce --preset` filled, on which the report tests every claim of the paper; or of modular runs, whose
            phase diagram it draws.
        device: auto, cpu, cuda or cuda:N.
        threshold: for a head to be formed, I(L, H) in (0, 1] (default 0.1), or a split to be learned, accuracy in
            (0, 1) (default 0.75). The choice of ablated heads does not depend on it.
        open_: show the page in the browser.
    """
    from grok_interp.cli.reports import report_on_folder, report_on_run

    if parsed_record(directory) is not None:  # a damaged one is named
        page = report_on_run(Run.open(directory, trust_source=trust_source), device, threshold, output)
    else:
        page = report_on_folder(directory, device, threshold, output, trust_source=trust_source)
    if open_:
        webbrowser.open(page.resolve().as_uri())


def watch(
    directory: RunFolder,
    /,
    *,
    port: int = 8137,
    device: str = "cpu",
    trust_source: TrustSource = False,
    output: OutputFlags = READABLE,
) -> None:
    """Serve the report of a run while it trains, on this machine only, at http://127.0.0.1:PORT. Ctrl-C stops it.

    New checkpoints are analyzed as they come, and the page refreshes itself.

    Args:
        directory: the run's folder; it may have no checkpoint yet.
        port: to serve on; 0 takes a free one.
        device: of the analysis: auto, cpu, cuda or cuda:N. Training is not affected.
    """
    from grok_interp.studies.watch import watch_run

    with suppress(KeyboardInterrupt):  # the way to end it
        watch_run(
            Run.open(directory, trust_source=trust_source),
            port=port,
            device=choose_device(device),
            on_start=lambda address: output.say(f"watching {directory} at {address} (Ctrl-C ends it)"),
            on_page=lambda step: output.say(f"shown up to step {step:,}"),
        )
