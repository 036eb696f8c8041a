"""Trainings for a GPU that is lent for minutes: they stop at a deadline, keep what they have, and resume.

What leaves the machine is small: results, metrics, weights in bfloat16 and, to go on, the optimizer's momentum.
"""

from __future__ import annotations

import gzip
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import torch
from safetensors.torch import save_file

from grok_interp.configs import TrainConfig
from grok_interp.presets import training_preset
from grok_interp.runs.ensemble import run_ensemble
from grok_interp.runs.recorder import resume_points
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.schedules import linear_steps
from grok_interp.studies.modular.experiments import BASELINES, PHASES
from grok_interp.studies.modular.results import analyze

ANALYSES_AT_ONCE = 8


def recipe_at_29(n_steps: int) -> TrainConfig:
    """modular-paper-d2 with the curriculum and the optimizer that generalize at p = 11 (dev/LOG.md)."""
    paper = training_preset("modular-paper-d2")
    data = dict(repeat_probability=0.25, line_probability=0.6, curriculum_steps=(n_steps // 5, n_steps // 3))
    return replace(
        paper.with_data(**data),
        n_steps=n_steps,
        optimizer="muon",
        muon_learning_rate=0.02,
        learning_rate=2e-3,
        warmup_steps=200,
        warmup_start_factor=0.0,
        weight_decay=0.04,
        checkpoint_steps=linear_steps(n_steps, every=max(1, n_steps // 20)),
    )


def generalize_at_29(folder: Path, *, device: str, minutes: float, miniature: bool, n_steps: int = 12_000) -> None:
    """One run at p = 29, as far as the minutes reach; then every checkpoint on the four splits."""
    config = training_preset("modular-tiny") if miniature else recipe_at_29(n_steps)
    until_deadline(minutes, partial(run_training, folder, config, device=device, compiled=compiles(device)))
    evaluated(folder, device)
    export(folder, folder.with_name(f"{folder.name}_export"))


def modular_diagram(folder: Path, *, device: str, minutes: float, miniature: bool) -> None:
    """All cells of `modular/fig1b` in one ensemble, then every checkpoint of every cell."""
    sweep = PHASES.sweep(BASELINES["tiny" if miniature else "mini"], folder, n_seeds=1)
    by_shape: dict[tuple[int, int], dict[Path, TrainConfig]] = {}
    for directory, config in sweep.unfinished().items():
        by_shape.setdefault((config.batch_size, config.n_steps), {})[directory] = config
    for runs in by_shape.values():
        options = dict(device=device, compiled=compiles(device))
        until_deadline(minutes, partial(run_ensemble, runs, **options))
    with_checkpoints = [directory for directory in sweep.runs if Run.open(directory).steps]
    joblib.Parallel(n_jobs=ANALYSES_AT_ONCE)(
        joblib.delayed(evaluated)(directory, device) for directory in with_checkpoints
    )
    for directory in with_checkpoints:
        export(directory, folder.with_name(f"{folder.name}_export") / directory.parent.name)


def compiles(device: str) -> bool:
    return device.startswith("cuda")


def until_deadline(minutes: float, train: Callable[[Callable], Any]) -> None:
    """Train until it is done or the time is over; then a resume point is written, as after Ctrl-C."""
    deadline = time.monotonic() + 60 * minutes
    began = time.monotonic()

    def stop(update: Any) -> None:
        if update.step in (10, 100) or update.step % 500 == 0:
            print(
                f"update {update.step:,} after {time.monotonic() - began:.1f} s, loss {float(update.loss):.3f}",
                flush=True,
            )
        if time.monotonic() > deadline:
            raise KeyboardInterrupt

    try:
        train(on_update=stop)
    except KeyboardInterrupt:
        print("the time is over", flush=True)


def evaluated(directory: Path, device: str) -> None:
    results = analyze(Run.open(directory), device=device)
    last = results.shots.last_shot("all").isel(checkpoint=-1)
    print(
        directory.parent.name,
        {str(split): round(float(last.sel(split=split)), 3) for split in last["split"].values},
        flush=True,
    )


def export(directory: Path, out: Path) -> None:
    """The newest weights in bfloat16, results, metrics, and what training needs to go on from there."""
    run = Run.open(directory)
    out.mkdir(parents=True, exist_ok=True)
    if (directory / "results").exists():
        shutil.copytree(directory / "results", out / "results", dirs_exist_ok=True)
    shutil.copy(directory / "config.json", out)
    (out / "metrics.jsonl.gz").write_bytes(gzip.compress((directory / "metrics.jsonl").read_bytes()))
    points = resume_points(directory)
    if points:
        from grok_interp.runs.checkpoint_files import load_state

        state = load_state(points[0], torch.device("cpu"))
        halves = {name: tensor.bfloat16() for name, tensor in state["model"].items()}
        save_file(halves, out / "weights.safetensors", {"step": str(state["step"])})
        moments = {
            f"{number}.{index}.{name}": tensor.bfloat16().contiguous()
            for number, optimizer in enumerate(state["optimizers"])
            for index, each in optimizer["state"].items()
            for name, tensor in each.items()
        }
        save_file(moments, out / "moments.safetensors", {"step": str(state["step"])})
    (out / "steps.json").write_text(json.dumps(run.steps))
