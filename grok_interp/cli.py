"""The command line: `grok-interp VERB ...`.

Every verb parses, calls the library and prints a line or a path. Heavy imports stay inside the verbs.
"""

from __future__ import annotations

import json as json_format
import os
import sys
import webbrowser
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from grok_interp.configs import TrainConfig
from grok_interp.presets import TRAINING_PRESETS, training_preset
from grok_interp.schedules import token_steps
from grok_interp.studies.catalogue import FIGURES, OF_MANY_RUNS, Size, require_runs_of, study_of

INPUT_WAS_WRONG, INTERRUPTED = 2, 130
DESCRIPTION = "From plain text to a report on how an in-context ability emerges during training."
PRESET_DESCRIPTIONS = {
    "copier-paper": "12 layers, 162M parameters: the copying paper's model. Needs a GPU and --data.source.",
    "copier-mini": "3 layers, 184k parameters: copying on a laptop in minutes. The demo.",
    "copier-tiny": "2 layers, 13k parameters, 20 updates: to see the machinery run.",
    "modular-paper-d2": "2 layers, 6.3M parameters: modular arithmetic at p = 29, as in the paper. Needs a GPU.",
    "modular-paper-d4": "4 layers, 12.6M parameters: the same. Needs a GPU.",
    "modular-paper-d6": "6 layers, 18.9M parameters: the same. Needs a GPU.",
    "modular-mini": "3 layers, 149k parameters: modular arithmetic at p = 7 on a laptop.",
    "modular-tiny": "2 layers, 6k parameters, 20 updates: to see the machinery run.",
}
TrainingPreset = tyro.extras.subcommand_type_from_defaults(TRAINING_PRESETS, PRESET_DESCRIPTIONS)
Run = Annotated[Path, tyro.conf.Positional]


def demo(directory: Run = Path("runs/demo"), /, *, seed: int = 0, device: str = "auto") -> None:
    """Train the mini copier on Python's standard library, analyze every checkpoint and write the report.

    Interrupted, the same command goes on where it was.

    Args:
        directory: the run's folder.
        seed: draws the weights and the batches.
        device: auto, cpu, cuda or cuda:N.
    """
    config = replace(training_preset("copier-mini"), init_seed=seed, data_seed=seed)
    train(config, run=directory, device=device)
    reproduce("copying/heads", run=(directory,), device=device)
    report(directory, device=device)


def train(
    config: Annotated[TrainingPreset, tyro.conf.arg(name="")],  # pyright: ignore[reportInvalidTypeForm]
    *,
    run: Path,
    device: str = "auto",
    compiled: bool = False,
    checkpoint_tokens: int | None = None,
    dry_run: bool = False,
) -> None:
    """Train a preset into a run folder; interrupted, the same command goes on where it was.

    Args:
        run: the run's folder: config.json, metrics.jsonl, checkpoints.
        device: auto, cpu, cuda or cuda:N.
        compiled: compile the step with torch.compile. Pays on a GPU.
        checkpoint_tokens: keep a checkpoint every so many training tokens, instead of at --checkpoint-steps. Like every
            flag that changes the run, it must be given again to go on with it.
        dry_run: print what the run will take (memory, time at the speed measured, disk), train nothing, write nothing.
    """
    from grok_interp.checkpoints.plan import training_plan
    from grok_interp.checkpoints.run import run_training
    from grok_interp.device import choose_device, choose_threads
    from grok_interp.progress import TrainingProgress, progress

    if checkpoint_tokens is not None:
        config = _with_checkpoints_every(checkpoint_tokens, config)
    choose_threads(config.model.n_params)
    if dry_run:
        print(training_plan(config, directory=run, device=choose_device(device), compiled=compiled))
        return
    with progress("training") as advance:
        shown = TrainingProgress(config, advance)
        series = run_training(
            run,
            config,
            device=choose_device(device),
            compiled=compiled,
            on_start=shown.start,
            on_update=shown.update,
        )
    print(f"{len(series)} checkpoints up to step {series.steps[-1]:,} in {run}")


def _with_checkpoints_every(n_tokens: int, config: TrainConfig) -> TrainConfig:
    steps = token_steps(config.n_steps, tokens_per_step=config.tokens_per_step, every=n_tokens)
    return replace(config, checkpoint_steps=steps)


def analyze(directory: Run, /, *, device: str = "auto") -> None:
    """Ask every checkpoint of a run what its study asks: copying, or modular arithmetic. Asks none twice.

    Args:
        directory: the run's folder; it may still be training.
        device: auto, cpu, cuda or cuda:N.
    """
    results, _ = _analyzed(directory, device)
    for result in results.each.values():
        print(result)


def report(
    directory: Run,
    /,
    *,
    device: str = "auto",
    threshold: float | None = None,
    open_: Annotated[bool, tyro.conf.arg(name="open")] = False,
) -> None:
    """Write a run's report.html and figures, after analyzing what was not analyzed yet. Partial runs too.

    Args:
        directory: the run's folder; it may still be training. Or a folder of runs: of copying experiments that
            `reproduce --preset` filled, on which the report tests every claim of the paper; or of modular runs, whose
            phase diagram it draws.
        device: auto, cpu, cuda or cuda:N.
        threshold: what counts as formed or learnt: I(L,H) of a head (0.1 if not given), accuracy on a split (0.75).
        open_: show the page in the browser.
    """
    page = _report_on_run(directory, device, threshold) if _is_run(directory) else _report_on_sweep(directory)
    print(f"report: {page}")
    if open_:
        webbrowser.open(page.resolve().as_uri())


def _is_run(directory: Path) -> bool:
    return (directory / "config.json").exists()


def _report_on_run(directory: Path, device: str, threshold: float | None) -> Path:
    study = study_of(directory, ".report")
    results, probes = _analyzed(directory, device)
    threshold = study.THRESHOLD if threshold is None else threshold
    page = study.write_report(directory, results, probes, threshold=threshold)
    found = study.headlines(results, threshold=threshold)
    width = max(map(len, found.values()))
    for label, value in found.items():
        print(f"{value:>{width}}  {label}")
    return page


def _report_on_sweep(folder: Path) -> Path:
    from grok_interp.listing import table
    from grok_interp.studies.copying.sweep_report import write_sweep_report
    from grok_interp.studies.modular.sweep_report import runs_below, write_phase_report

    if runs_below(folder) or not (folder / "baseline").is_dir():
        page, runs = write_phase_report(folder)
        print(runs.to_string(index=False, float_format="{:.1%}".format, formatters={"alpha": "{:g}".format}))
        return page
    page, claims = write_sweep_report(folder)
    print(table({"verdict": each.verdict, "claim": each.text, "by": each.measure} for each in claims))
    return page


def watch(directory: Run, /, *, port: int = 8137, device: str = "cpu") -> None:
    """Show the report of a run while it trains, to this machine only, at http://127.0.0.1:PORT. Ctrl-C ends it.

    New checkpoints are analyzed as they come, and the page refreshes itself.

    Args:
        directory: the run's folder; it may have no checkpoint yet.
        port: where to serve; 0 takes one that is free.
        device: of the analysis: auto, cpu, cuda or cuda:N. The training keeps its own.
    """
    from grok_interp.device import choose_device
    from grok_interp.studies.watch import watch_run

    with suppress(KeyboardInterrupt):  # the way to end it
        watch_run(
            directory,
            port=port,
            device=choose_device(device),
            on_start=lambda address: print(f"watching {directory} at {address} (Ctrl-C ends it)", flush=True),
            on_page=lambda step: print(f"shown up to step {step:,}", flush=True),
        )


def reproduce(
    figure: Annotated[Literal[tuple(FIGURES)], tyro.conf.Positional],  # pyright: ignore[reportInvalidTypeForm]
    /,
    *,
    run: Annotated[tuple[Path, ...], tyro.conf.UseAppendAction] = (),
    preset: Size | None = None,
    seeds: int = 3,
    folder: Path | None = None,
    jobs: int = 1,
    out: Path | None = None,
    device: str = "auto",
) -> None:
    """Draw one figure of a paper, as SVG and PDF: from runs of yours, or from a preset, training what is missing.

    Args:
        figure: which one. Beyond the papers: copying/ablation, what is lost without the heads found;
            modular/shift, the likelihood of each algorithm by number of shots; modular/circles and
            modular/kaleidoscopes, how structured representations are over training.
        run: a run's folder; those that compare runs take several (--run once for each).
        preset: instead of --run, train the figure's runs at this size, each with several seeds, or take those that are
            there. Interrupted, the same command goes on where it was.
        seeds: how many seeds of each run, with --preset.
        folder: where the preset's runs lie; runs/copier-mini if not given, and so on.
        jobs: runs trained at a time, each in a process of its own; Ctrl-C then costs each its last 20 seconds.
        out: where to, without suffix; by default figures/NAME in the folder of the runs, or of the run.
        device: auto, cpu, cuda or cuda:N.
    """
    from grok_interp.views.theme import save_figure

    kind, _, name = figure.partition("/")
    if bool(run) == bool(preset):
        raise ValueError("reproduce needs --run DIR, or --preset paper, mini or tiny to train the runs: one of the two")
    runs = list(run)
    if preset:
        folder = folder or Path("runs") / f"{'copier' if kind == 'copying' else kind}-{preset}"
        runs = _trained(figure, preset, folder, seeds=seeds, jobs=jobs, device=device)
    require_runs_of(figure, runs)
    for directory in runs:
        _analyzed(directory, device)
    drawn = getattr(study_of(runs[0]), FIGURES[figure])(*runs)
    for path in save_figure(drawn, out or (folder or runs[0]) / "figures" / f"{kind}_{name}"):
        print(path)


def list_(
    kind: Annotated[Literal["presets", "runs"], tyro.conf.Positional] = "runs",
    /,
    *,
    folder: Path = Path("runs"),
    json: bool = False,
) -> None:
    """List the runs in a folder, or the presets.

    Args:
        kind: what to list.
        folder: where runs lie.
        json: as JSON, for programs.
    """
    from grok_interp.listing import preset_rows, run_rows, table

    rows = preset_rows() if kind == "presets" else run_rows(folder)
    print(json_format.dumps(rows, indent=1) if json else table(rows) or f"no runs in {folder}")


def doctor(*, json: bool = False) -> None:
    """Say what is installed, which devices torch sees, and what is missing.

    Args:
        json: as JSON, for programs.
    """
    from grok_interp.listing import installation, table

    rows = installation()
    print(json_format.dumps(rows, indent=1) if json else table(rows))


def _trained(figure: str, size: Size, folder: Path, *, seeds: int, jobs: int, device: str) -> list[Path]:
    """The runs that a figure is drawn from, trained and analyzed."""
    kind = figure.partition("/")[0]
    experiments = import_module(f"grok_interp.studies.{kind}.experiments")
    n_seeds = seeds if figure in OF_MANY_RUNS else 1
    sweep = experiments.experiment_of(figure).sweep(experiments.BASELINES[size], folder, n_seeds=n_seeds)
    print(f"{figure}: {len(sweep.runs)} runs in {folder}, {len(sweep.unfinished())} to train")
    sweep.complete(partial(_train_and_analyze, device), n_jobs=jobs)
    return list(sweep.runs)


def _train_and_analyze(device: str, directory: Path, config: Any) -> None:
    train(config, run=directory, device=device)
    _analyzed(directory, device)


def _analyzed(directory: Path, device: str) -> tuple[Any, Any]:
    from grok_interp.checkpoints.series import CheckpointSeries
    from grok_interp.device import choose_device, choose_threads
    from grok_interp.progress import progress

    study = study_of(directory)
    choose_threads(CheckpointSeries(directory).config.model.n_params)
    device, probes = choose_device(device), study.probes_of_run(directory)
    with progress("analyzing checkpoints") as advance:
        return study.analyze(directory, probes, device=device, on_checkpoint=advance), probes


VERBS = {
    "demo": demo,
    "train": train,
    "analyze": analyze,
    "report": report,
    "watch": watch,
    "reproduce": reproduce,
    "list": list_,
    "doctor": doctor,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; the exit code: 0, 2 when the input was wrong, 130 after Ctrl-C."""
    try:
        tyro.extras.subcommand_cli_from_dict(
            VERBS,
            prog="grok-interp",
            description=DESCRIPTION,
            args=arguments,
            config=(tyro.conf.CascadeSubcommandArgs, tyro.conf.AvoidSubcommands),
        )
    except KeyboardInterrupt:
        print("\ninterrupted: nothing is lost, the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has left: `grok-interp list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, FileNotFoundError) as error:
        print(f"grok-interp: {error}", file=sys.stderr)
        return INPUT_WAS_WRONG
    return 0


if __name__ == "__main__":
    sys.exit(main())
