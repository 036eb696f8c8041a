"""What several verbs do, with progress shown: train a run, evaluate it, train the runs of a figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from grok_interp.cli.output import Output
from grok_interp.configs import TrainConfig
from grok_interp.counted import counted
from grok_interp.device import choose_device, is_first_process, keep_freed_memory
from grok_interp.progress import TrainingProgress
from grok_interp.runs.ensemble import run_ensemble
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.runs.trackers import TrackerName
from grok_interp.studies.catalog import study_of
from grok_interp.studies.picture import Picture
from grok_interp.studies.run_results import RunResults


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
        run = run_training(
            directory,
            config,
            device=choose_device(device),
            compiled=compiled,
            track=track,
            sharded=sharded,
            on_start=shown.start,
            on_update=shown.update,
        )
    output.say(f"{counted(len(run), 'checkpoint')} up to step {run.steps[-1]:,} in {run}")
    return run


@dataclass(frozen=True)
class AtOnce:
    """How many of a sweep's runs are trained at once: processes, and members of an ensemble in one process."""

    n_jobs: int = 1
    n_members: int = 1

    def __post_init__(self) -> None:
        if self.n_jobs != 1 and self.n_members != 1:
            raise ValueError(f"--jobs {self.n_jobs} or --ensemble {self.n_members}: one of the two")
        if self.n_jobs < 1:
            raise ValueError(f"--jobs needs 1 process or more, got {self.n_jobs}")
        if self.n_members < 1:
            raise ValueError(f"--ensemble needs 1 run or more, got {self.n_members}")


def runs_for(
    picture: Picture, size: str, folder: Path, *, seeds: int, at_once: AtOnce, device: str, output: Output
) -> list[Run]:
    """The runs that a figure is drawn from, trained and analyzed."""
    sweep = picture.sweep(size, folder, n_seeds=seeds)
    output.say(f"{picture.name}: {counted(len(sweep.runs), 'run')} in {folder}, {len(sweep.unfinished())} to train")
    if at_once.n_members > 1:
        for runs in sweep.in_ensembles(at_once.n_members):
            _train_ensemble(runs, device, output)
    sweep.complete(partial(_train_and_analyze, device, output), n_jobs=at_once.n_jobs)
    return [Run.open(directory) for directory in sweep.runs]


def _train_ensemble(runs: Mapping[Path, TrainConfig], device: str, output: Output) -> None:
    keep_freed_memory()
    first = next(iter(runs.values()))
    with output.progress(f"training {counted(len(runs), 'run')} in lockstep") as advance:
        shown = TrainingProgress(first, advance, n_members=len(runs))
        run_ensemble(runs, device=choose_device(device), on_start=shown.start, on_update=shown.update)


def _train_and_analyze(device: str, output: Output, directory: Path, config: TrainConfig) -> None:
    analyze_run(train_run(config, directory, device, output), device, output)


def analyze_run(run: Run, device: str, output: Output) -> RunResults:
    """A run's results; checkpoints whose results are not stored are evaluated."""
    return study_of(run).analyze_shown(run, device=choose_device(device), show=output.progress)
