"""Trainings for a GPU that is lent for minutes: they stop at a deadline, keep what they have, and resume.

What leaves the machine is in folders that end in `_export` (see gpu_exports.py).
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import torch
from gpu_exports import begin_from_export, export

from grok_interp.configs import TrainConfig
from grok_interp.configs.schedules import linear_steps
from grok_interp.engines.local import LocalEngine
from grok_interp.presets import training_preset
from grok_interp.runs.ensemble import run_ensemble
from grok_interp.runs.record import is_run
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.studies.catalog import study_of
from grok_interp.studies.copying.figures import FIGURES
from grok_interp.studies.modular.experiments import BASELINES, PHASES
from grok_interp.training.batches import ModularBatches
from grok_interp.training.loop import step_function
from grok_interp.training.state import TrainingState

ANALYSES_AT_ONCE = min(8, joblib.cpu_count())


def recipe_at_29(name: str, n_steps: int) -> TrainConfig:
    """A preset of the modular paper with the curriculum and the optimizer that generalize at p = 11 (dev/LOG.md)."""
    data = dict(repeat_probability=0.25, line_probability=0.6, curriculum_steps=(n_steps // 5, n_steps // 3))
    return replace(
        training_preset(name).with_data(**data),
        n_steps=n_steps,
        batch_size=512,
        optimizer="muon",
        muon_learning_rate=0.02,
        learning_rate=2e-3,
        warmup_steps=200,
        warmup_start_factor=0.0,
        weight_decay=0.04,
        checkpoint_steps=linear_steps(n_steps, every=n_steps // 10),
    )


def steps_that_fit(name: str, minutes: float, device: str) -> int:
    """How many updates at p = 29 the minutes hold, from the time of a few; another process may slow them."""
    config = recipe_at_29(name, 10_000)
    state, batches = TrainingState(config, device=device), ModularBatches(config)
    step = step_function(state, torch.compile(batches.loss))
    for number in range(20):  # compiles and records
        step(batches.batch(number, state.device))
    torch.cuda.synchronize()
    began = time.monotonic()
    for number in range(20, 50):
        step(batches.batch(number, state.device))
    torch.cuda.synchronize()
    seconds = (time.monotonic() - began) / 30
    print(f"an update of {name} takes {1e3 * seconds:.1f} ms", flush=True)
    return max(2_000, round(60 * minutes / seconds / 500) * 500)


def generalize_at_29(folder: Path, *, device: str, minutes: float, miniature: bool) -> None:
    """2 layers, in half of the minutes at most, then 4; then every checkpoint on the four splits."""
    deadline = time.monotonic() + 60 * minutes
    for name, n_left in {"d2": 2, "d4": 1}.items():
        left = (deadline - time.monotonic()) / 60
        train_at_29(folder / name, device=device, minutes=left / n_left, miniature=miniature)
        export(folder / name, exported(folder / name))  # before and after what may take too long
    for directory in (folder / "d2", folder / "d4"):
        evaluate_at_once([(directory, step) for step in reversed(Run.open(directory).steps)], device)
        export(directory, exported(directory))


def train_at_29(directory: Path, *, device: str, minutes: float, miniature: bool) -> None:
    """Resumes the run, or its export where the run is not there."""
    began = time.monotonic()
    if is_run(exported(directory)) and not is_run(directory):
        begin_from_export(exported(directory), directory)
    if miniature:
        config = training_preset("modular-tiny")
    elif is_run(directory):
        config = Run.open(directory).config
    else:
        name = f"modular-paper-{directory.name}"
        config = recipe_at_29(name, steps_that_fit(name, 0.6 * minutes, device))
    left = minutes - (time.monotonic() - began) / 60
    until_deadline(left, partial(run_training, directory, config, device=device, compiled=compiles(device)))


def exported(directory: Path) -> Path:
    """p29/d2 -> p29_export/d2"""
    part = directory.parent
    return part.with_name(f"{part.name}_export") / directory.name


def modular_diagram(folder: Path, *, device: str, minutes: float, miniature: bool) -> None:
    """All cells of `modular/fig1b` in one ensemble, then every checkpoint of every cell."""
    sweep = PHASES.sweep(BASELINES["tiny" if miniature else "mini"], folder, n_seeds=1)
    by_shape: dict[tuple[int, int], dict[Path, TrainConfig]] = {}
    for directory, config in sweep.unfinished().items():
        by_shape.setdefault((config.batch_size, config.n_steps), {})[directory] = config
    for runs in by_shape.values():
        options = dict(device=device, compiled=compiles(device))
        until_deadline(minutes, partial(run_ensemble, runs, **options))
    runs = [Run.open(directory) for directory in sweep.runs]
    evaluate_at_once([(run.directory, step) for run in runs for step in run.steps], device)
    for run in runs:
        export(run.directory, folder.with_name(f"{folder.name}_export") / run.directory.parent.name)


def copying_sweeps(folder: Path, *, device: str, minutes: float, miniature: bool) -> None:
    """Eight seeds of every condition of the claims on copying, and of the copying diagram; then tables and figures."""
    size, n_seeds = ("tiny", 2) if miniature else ("mini", 8)
    deadline = time.monotonic() + 60 * minutes
    for name, figures in {"claims": ("fig3", "fig5", "fig7"), "synthetic": ("diagram",)}.items():
        for figure in (f"copying/{figure}" for figure in figures):
            sweep = FIGURES[figure].sweep(size, folder / name, n_seeds=n_seeds)
            for runs in sweep.in_ensembles(64):
                left = (deadline - time.monotonic()) / 60
                until_deadline(left, partial(run_ensemble, runs, device=device, compiled=compiles(device)))
            if time.monotonic() < deadline:
                sweep.complete(partial(train_alone, device), engine=LocalEngine(ANALYSES_AT_ONCE))
        evaluate_at_once([(run.directory, step) for run in Run.below(folder / name) for step in run.steps], device)
        out = folder.with_name(f"{folder.name}_export") / name
        for figure in figures:
            command = ["reproduce", f"copying/{figure}", "--preset", size, "--seeds", str(n_seeds)]
            grok_interp(*command, "--folder", folder / name, "--out", out / figure, "--device", device)
    grok_interp("report", folder / "claims", "--device", device)
    shutil.copytree(folder / "claims/tables", folder.with_name(f"{folder.name}_export") / "claims", dirs_exist_ok=True)


def train_alone(device: str, directory: Path, config: TrainConfig) -> None:
    """Runs with attention dropout are never in an ensemble."""
    run_training(directory, config, device=device)


def grok_interp(*arguments: Any) -> None:
    subprocess.run([sys.executable, "-m", "grok_interp.cli", *map(str, arguments)], check=True)


def compiles(device: str) -> bool:
    return device.startswith("cuda")


def until_deadline(minutes: float, train: Callable[..., Any]) -> None:
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
            signal.raise_signal(signal.SIGINT)  # obeyed once a resume point is written

    try:
        train(on_update=stop)
    except KeyboardInterrupt:
        print("the time is over", flush=True)


def evaluate_at_once(checkpoints: Sequence[tuple[Path, int]], device: str) -> None:
    """Each process takes a share of the checkpoints; the store lets writers take turns."""
    shares = [checkpoints[first::ANALYSES_AT_ONCE] for first in range(ANALYSES_AT_ONCE)]
    joblib.Parallel(n_jobs=ANALYSES_AT_ONCE)(joblib.delayed(evaluate)(share, device) for share in shares if share)


def evaluate(checkpoints: Sequence[tuple[Path, int]], device: str) -> None:
    torch.set_num_threads(1)
    for directory, step in checkpoints:
        run = Run.open(directory)
        first, *_ = run.evaluate(study_of(run).analyzers(run), steps=[step], device=device)
        print(f"{directory.parent.name}/{directory.name}, step {step:,}: {first}", flush=True)
