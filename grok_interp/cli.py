"""The command line: `grok-interp VERB ...`.

Every verb parses, calls the library and says what came of it (terminal.py). Heavy imports stay inside the verbs.
"""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from grok_interp.configs import TrainConfig
from grok_interp.presets import DESCRIPTIONS, TRAINING_PRESETS, training_preset
from grok_interp.schedules import token_steps
from grok_interp.studies.catalogue import FIGURES, Size, require_runs_of
from grok_interp.terminal import Terminal

INPUT_WAS_WRONG, INTERRUPTED = 2, 130
DESCRIPTION = "From plain text to a report on how an in-context ability emerges during training."
TrainingPreset = tyro.extras.subcommand_type_from_defaults(TRAINING_PRESETS, DESCRIPTIONS)
Run = Annotated[Path, tyro.conf.Positional]
Speech = Annotated[Terminal, tyro.conf.arg(name="")]
ALOUD = Terminal()


def demo(
    directory: Run = Path("runs/demo"), /, *, seed: int = 0, device: str = "auto", terminal: Speech = ALOUD
) -> None:
    """Train the mini copier on Python's standard library, analyze every checkpoint and write the report.

    Interrupted, the same command goes on where it was.

    Args:
        directory: the run's folder.
        seed: draws the weights and the batches.
        device: auto, cpu, cuda or cuda:N.
    """
    from grok_interp.running import ask_about_heads, train_shown

    config = replace(training_preset("copier-mini"), init_seed=seed, data_seed=seed)
    train_shown(config, directory, device, terminal)
    ask_about_heads(directory, device, terminal)
    report(directory, device=device, terminal=terminal)


def train(
    config: Annotated[TrainingPreset, tyro.conf.arg(name="")],  # pyright: ignore[reportInvalidTypeForm]
    *,
    run: Path,
    device: str = "auto",
    compiled: bool = False,
    checkpoint_tokens: int | None = None,
    dry_run: bool = False,
    terminal: Speech = ALOUD,
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
    from grok_interp.device import choose_device
    from grok_interp.listing import run_row
    from grok_interp.running import train_shown

    if checkpoint_tokens is not None:
        config = _with_checkpoints_every(checkpoint_tokens, config)
    if dry_run:
        plan = training_plan(config, directory=run, device=choose_device(device), compiled=compiled)
        terminal.say(plan)
        facts = {**plan.facts(), "warnings": list(plan.warnings())}
        terminal.finish(facts, made=[str(plan)], then="the same command without --dry-run")
        return
    train_shown(config, run, device, terminal, compiled=compiled)
    terminal.finish(run_row(run), made=[run], then=f"grok-interp report {run}")


def _with_checkpoints_every(n_tokens: int, config: TrainConfig) -> TrainConfig:
    steps = token_steps(config.n_steps, tokens_per_step=config.tokens_per_step, every=n_tokens)
    return replace(config, checkpoint_steps=steps)


def analyze(directory: Run, /, *, device: str = "auto", terminal: Speech = ALOUD) -> None:
    """Ask every checkpoint of a run what its study asks: copying, or modular arithmetic. Asks none twice.

    Args:
        directory: the run's folder; it may still be training.
        device: auto, cpu, cuda or cuda:N.
    """
    from grok_interp.running import analyzed

    results, _ = analyzed(directory, device, terminal)
    files = [directory / "results" / f"{result.name}.nc" for result in results.each.values()]
    for result in results.each.values():
        terminal.say(result)
    facts = [
        {"result": result.name, "summary": str(result), "file": file}
        for result, file in zip(results.each.values(), files, strict=True)
    ]
    terminal.finish(facts, made=files, then=f"grok-interp report {directory}")


def report(
    directory: Run,
    /,
    *,
    device: str = "auto",
    threshold: float | None = None,
    open_: Annotated[bool, tyro.conf.arg(name="open")] = False,
    terminal: Speech = ALOUD,
) -> None:
    """Write a run's report.html and figures, after analyzing what was not analyzed yet. Partial runs too.

    Args:
        directory: the run's folder; it may still be training. Or a folder of runs: of copying experiments that
            `reproduce --preset` filled, on which the report tests every claim of the paper; or of modular runs, whose
            phase diagram it draws.
        device: auto, cpu, cuda or cuda:N.
        threshold: what counts as formed or learned: I(L,H) of a head (0.1 if not given), accuracy on a split (0.75).
            Which heads are ablated does not depend on it.
        open_: show the page in the browser.
    """
    from grok_interp.reporting import report_on_run, report_on_sweep

    if (directory / "config.json").exists():
        page = report_on_run(directory, device, threshold, terminal)
    else:
        page = report_on_sweep(directory, device, threshold, terminal)
    if open_:
        webbrowser.open(page.resolve().as_uri())


def watch(directory: Run, /, *, port: int = 8137, device: str = "cpu", terminal: Speech = ALOUD) -> None:
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
            on_start=lambda address: terminal.say(f"watching {directory} at {address} (Ctrl-C ends it)"),
            on_page=lambda step: terminal.say(f"shown up to step {step:,}"),
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
    ensemble: int = 1,
    out: Path | None = None,
    device: str = "auto",
    terminal: Speech = ALOUD,
) -> None:
    """Draw one figure of a paper, as SVG and PDF: from runs of yours, or from a preset, training what is missing.

    Args:
        figure: which one. Beyond the papers: copying/strings, exact-match accuracy string by string;
            copying/ablation, what is lost without the heads found;
            copying/leads, which score of the heads moves before the onset of copying, over seeds;
            copying/diagram, final copying accuracy against the fractions of synthetic windows;
            copying/natural, the loss on repeated n-grams of unmodified validation text;
            modular/shift, the likelihood of each algorithm by number of shots; modular/circles and
            modular/kaleidoscopes, how structured representations are over training; modular/fourier, spectra of the
            number embeddings with restricted and excluded loss over training.
        run: a run's folder; those that compare runs take several (--run once for each).
        preset: instead of --run, train the figure's runs at this size, each with several seeds, or take those that are
            there. mini-adamw is mini without Muon. Interrupted, the same command goes on where it was.
        seeds: how many seeds of each run, with --preset.
        folder: where the preset's runs lie; runs/copier-mini if not given, and so on.
        jobs: runs trained at a time, each in a process of its own; Ctrl-C then costs each its last 20 seconds.
        ensemble: runs trained in lockstep in one process, where they differ in seeds and data only. Pays on a GPU, and
            for tiny models.
        out: where to, without suffix; by default figures/NAME in the folder of the runs, or of the run.
        device: auto, cpu, cuda or cuda:N.
    """
    from grok_interp.plots.paper import save_figure
    from grok_interp.running import AtOnce, analyzed, drawn, trained_for

    kind, _, name = figure.partition("/")
    if bool(run) == bool(preset):
        raise ValueError("reproduce needs --run DIR, or --preset SIZE to train the runs: one of the two")
    runs = list(run)
    if preset:
        folder = folder or Path("runs") / f"{'copier' if kind == 'copying' else kind}-{preset}"
        at_once = AtOnce(n_jobs=jobs, n_members=ensemble)
        runs = trained_for(figure, preset, folder, seeds=seeds, at_once=at_once, device=device, terminal=terminal)
    require_runs_of(figure, runs)
    for directory in runs:
        analyzed(directory, device, terminal)
    files = save_figure(
        drawn(figure, runs, device, terminal), out or (folder or runs[0]) / "figures" / f"{kind}_{name}"
    )
    for file in files:
        terminal.say(file)
    facts = {"figure": figure, "runs": runs, "files": files}
    terminal.finish(facts, made=files, then=f"grok-interp report {folder if preset and kind == 'copying' else runs[0]}")


def list_(
    kind: Annotated[Literal["presets", "runs"], tyro.conf.Positional] = "runs",
    /,
    *,
    folder: Path = Path("runs"),
    terminal: Speech = ALOUD,
) -> None:
    """List the runs in a folder, or the presets.

    Args:
        kind: what to list.
        folder: where runs lie.
    """
    from grok_interp.listing import preset_rows, run_rows

    rows = preset_rows() if kind == "presets" else run_rows(folder)
    names = [row[kind.removesuffix("s")] for row in rows]
    if rows:
        terminal.show(rows)
    else:
        terminal.say(f"no runs in {folder}")
    then = "grok-interp demo" if not rows else f"grok-interp report {names[-1]}"
    if kind == "presets":
        then = "grok-interp train PRESET --run runs/NAME"
    terminal.finish(rows, made=names, then=then)


def doctor(*, terminal: Speech = ALOUD) -> None:
    """Say what is installed, which devices torch sees, and what is missing."""
    from grok_interp.listing import installation

    rows = installation()
    terminal.show(rows)
    missing = [row["what"] for row in rows if row["found"] == "missing"]
    terminal.finish(rows, made=missing, then="grok-interp demo")


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
