"""`demo` and `train`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import tyro

from grok_interp.cli.options import READABLE, OutputFlags, RunFolder
from grok_interp.cli.output import command
from grok_interp.cli.run import report
from grok_interp.configs import TrainConfig
from grok_interp.configs.schedules import token_steps
from grok_interp.counted import counted
from grok_interp.device import choose_device, is_first_process
from grok_interp.presets import DESCRIPTIONS, TRAINING_PRESETS, training_preset
from grok_interp.runs.trackers import TrackerName


def _training_preset() -> type[TrainConfig]:
    """One subcommand per preset, those of other packages' studies among them: read when a command is parsed."""
    return tyro.extras.subcommand_type_from_defaults(dict(TRAINING_PRESETS), dict(DESCRIPTIONS))


TrainingPreset = Annotated[_training_preset(), tyro.conf.arg(name="")]


def demo(
    directory: RunFolder = Path("runs/demo"),
    /,
    *,
    seed: int = 0,
    device: str = "auto",
    output: OutputFlags = READABLE,
) -> None:
    """Train the mini copier on Python's standard library, analyze every checkpoint and write the report.

    After an interruption the same command resumes.

    Args:
        directory: the run's folder.
        seed: draws the weights and the batches.
        device: auto, cpu, cuda or cuda:N.
    """
    from grok_interp.cli.with_progress import analyze_run, train_run
    from grok_interp.progress import silent
    from grok_interp.studies.copying.head_figures import store_circuit, store_claimed_ablation, store_single_ablations

    config = replace(training_preset("copier-mini"), init_seed=seed, data_seed=seed)
    run = train_run(config, directory, device, output)
    analyze_run(run, device, output)
    stores = (store_single_ablations, store_claimed_ablation, store_circuit)
    with output.progress("ablating heads and edges") as advance:
        for done, store in enumerate(stores, start=1):
            store(run, choose_device(device), silent)
            advance(done, len(stores))
    report(directory, device=device, output=output)


def train(
    config: Annotated[_training_preset(), tyro.conf.arg(name="")],  # pyright: ignore[reportInvalidTypeForm]
    *,
    run: Path,
    device: str = "auto",
    compiled: bool = False,
    sharded: bool = False,
    checkpoint_tokens: int | None = None,
    track: Annotated[tuple[TrackerName, ...], tyro.conf.UseAppendAction] = (),
    dry_run: bool = False,
    output: OutputFlags = READABLE,
) -> None:
    """Train a preset into a run folder; after an interruption the same command resumes.

    Args:
        run: the run's folder: config.json, metrics.jsonl, checkpoints.
        device: auto, cpu, cuda or cuda:N.
        compiled: compile the step with torch.compile, which takes a minute: for GPUs, and on a CPU for copiers as
            small as copier-mini that train for more than two minutes. Modular models train slower.
        sharded: with torchrun, divide weights, gradients and moments among the processes (FSDP2).
        checkpoint_tokens: keep a checkpoint every so many training tokens, instead of at --checkpoint-steps. Like every
            flag that changes the run, it must be given again to resume it.
        track: show metrics in tensorboard or trackio while it trains (once for each).
        dry_run: print what the run will take (memory, time at the speed measured, disk), train nothing, write nothing.
    """
    from grok_interp.cli.listing import run_row
    from grok_interp.cli.with_progress import train_run

    if checkpoint_tokens is not None:
        config = _with_checkpoints_every(checkpoint_tokens, config)
    if dry_run:
        _print_plan(config, run, device, compiled, output)
        return
    trained = train_run(config, run, device, output, compiled=compiled, track=track, sharded=sharded)
    if not is_first_process():
        return
    output.say(f"{counted(len(trained), 'checkpoint')} up to step {trained.steps[-1]:,} in {trained}")
    output.finish(run_row(trained), made=[run], then=command("grok-interp", "report", run))


def _print_plan(config: TrainConfig, run: Path, device: str, compiled: bool, output: OutputFlags) -> None:
    from grok_interp.runs.plan import training_plan

    plan = training_plan(config, directory=run, device=choose_device(device), compiled=compiled)
    output.say(plan)
    facts = {**plan.facts(), "warnings": list(plan.warnings())}
    then = ", changed as the warnings say" if facts["warnings"] else " without --dry-run"
    output.finish(facts, made=[str(plan)], then=f"the same command{then}")


def _with_checkpoints_every(n_tokens: int, config: TrainConfig) -> TrainConfig:
    steps = token_steps(config.n_steps, tokens_per_step=config.tokens_per_step, every=n_tokens)
    return replace(config, checkpoint_steps=steps)
