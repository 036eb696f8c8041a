"""What several verbs do, with progress shown: train a run, evaluate it, train the runs of a figure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from grok_interp.cli.output import Output
from grok_interp.configs import TrainConfig
from grok_interp.counted import counted
from grok_interp.device import choose_device, is_first_process, keep_freed_memory
from grok_interp.engines.engine import Engine
from grok_interp.progress import TrainingProgress
from grok_interp.runs.ensemble import run_ensemble
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.runs.trackers import TrackerName
from grok_interp.studies.catalog import study_of
from grok_interp.studies.picture import Picture
from grok_interp.studies.run_results import RunResults
from grok_interp.studies.sweep import Sweep
from grok_interp.studies.sweep_progress import runs_progress

QUIET = Output(quiet=True)


def train_run(
    config: TrainConfig,
    directory: Path,
    device: str,
    output: Output,
    *,
    compiled: bool = False,
    track: tuple[TrackerName, ...] = (),
    sharded: bool = False,
) -> Run:
    """Train a run, or what is missing of it."""
    keep_freed_memory()
    output = output if is_first_process() else Output(quiet=True)
    with output.progress("training") as advance:
        shown = TrainingProgress(config, advance)
        return run_training(
            directory,
            config,
            device=choose_device(device),
            compiled=compiled,
            track=track,
            sharded=sharded,
            on_start=shown.start,
            on_update=shown.update,
        )


def runs_for(
    picture: Picture,
    size: str,
    folder: Path,
    *,
    seeds: int,
    engine: Engine,
    n_members: int,
    device: str,
    output: Output,
) -> list[Run]:
    """The runs that a figure is drawn from, trained and analyzed."""
    sweep = picture.sweep(size, folder, n_seeds=seeds)
    output.say(f"{picture.name}: {counted(len(sweep.runs), 'run')} in {folder}, {len(sweep.unfinished())} to train")
    if n_members > 1:
        for runs in sweep.in_ensembles(n_members):
            _train_ensemble(runs, device, output)
    complete_sweep(sweep, engine, device, output)
    return [Run.open(directory) for directory in sweep.runs]


def complete_sweep(sweep: Sweep, engine: Engine, device: str, output: Output) -> None:
    """Train and analyze what is missing of a sweep. Raises FailedCellsError when runs failed."""
    work = partial(_train_and_analyze, device)
    with output.progress("training") as advance, runs_progress(sweep.remaining(), advance) as note:
        sweep.complete(work, engine=engine, on_outcome=note)


def _train_ensemble(runs: Mapping[Path, TrainConfig], device: str, output: Output) -> None:
    keep_freed_memory()
    first = next(iter(runs.values()))
    with output.progress(f"training {counted(len(runs), 'run')} in lockstep") as advance:
        shown = TrainingProgress(first, advance, n_members=len(runs))
        run_ensemble(runs, device=choose_device(device), on_start=shown.start, on_update=shown.update)


def _train_and_analyze(device: str, directory: Path, config: TrainConfig) -> None:
    """Wherever an engine calls it: the progress of all runs is shown by the command."""
    analyze_run(train_run(config, directory, device, QUIET), device, QUIET)


def analyze_run(run: Run, device: str, output: Output) -> RunResults:
    """A run's results; checkpoints whose results are not stored are evaluated."""
    return study_of(run).analyze_shown(run, device=choose_device(device), show=output.progress)
