"""What several verbs do: train a run, analyze it, train the runs of a figure, with progress shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from grok_interp.checkpoints.ensemble import run_ensemble
from grok_interp.checkpoints.run import run_training
from grok_interp.checkpoints.series import CheckpointSeries
from grok_interp.configs import TrainConfig
from grok_interp.device import choose_device, keep_freed_memory, use_threads
from grok_interp.progress import TrainingProgress
from grok_interp.studies.catalogue import FIGURES, OF_MANY_RUNS, Size, study_of
from grok_interp.terminal import Terminal


def train_shown(config: TrainConfig, run: Path, device: str, terminal: Terminal, *, compiled: bool = False) -> None:
    """Train a run, or what is missing of it."""
    keep_freed_memory()
    with terminal.progress("training") as advance:
        shown = TrainingProgress(config, advance)
        series = run_training(
            run,
            config,
            device=choose_device(device),
            compiled=compiled,
            on_start=shown.start,
            on_update=shown.update,
        )
    terminal.say(f"{len(series)} checkpoints up to step {series.steps[-1]:,} in {run}")


@dataclass(frozen=True)
class AtOnce:
    """How many of a sweep's runs are trained at once: processes, and members of an ensemble in one process."""

    n_jobs: int = 1
    n_members: int = 1

    def __post_init__(self) -> None:
        if self.n_jobs != 1 and self.n_members != 1:
            raise ValueError(f"--jobs {self.n_jobs} or --ensemble {self.n_members}: one of the two")
        if self.n_members < 1:
            raise ValueError(f"--ensemble needs 1 run or more, got {self.n_members}")


def trained_for(
    figure: str, size: Size, folder: Path, *, seeds: int, at_once: AtOnce, device: str, terminal: Terminal
) -> list[Path]:
    """The runs that a figure is drawn from, trained and analyzed."""
    kind = figure.partition("/")[0]
    experiments = import_module(f"grok_interp.studies.{kind}.experiments")
    n_seeds = seeds if figure in OF_MANY_RUNS else 1
    sweep = experiments.experiment_of(figure).sweep(experiments.baseline_of(figure, size), folder, n_seeds=n_seeds)
    terminal.say(f"{figure}: {len(sweep.runs)} runs in {folder}, {len(sweep.unfinished())} to train")
    if at_once.n_members > 1:
        for runs in sweep.in_ensembles(at_once.n_members):
            _train_ensemble_shown(runs, device, terminal)
    sweep.complete(partial(_train_and_analyze, device, terminal), n_jobs=at_once.n_jobs)
    return list(sweep.runs)


def _train_ensemble_shown(runs: Mapping[Path, TrainConfig], device: str, terminal: Terminal) -> None:
    keep_freed_memory()
    first = next(iter(runs.values()))
    with terminal.progress(f"training {len(runs)} runs in lockstep") as advance:
        shown = TrainingProgress(first, advance, n_members=len(runs))
        run_ensemble(runs, device=choose_device(device), on_start=shown.start, on_update=shown.update)


def _train_and_analyze(device: str, terminal: Terminal, directory: Path, config: Any) -> None:
    train_shown(config, directory, device, terminal)
    analyzed(directory, device, terminal)


def ask_about_heads(directory: Path, device: str, terminal: Terminal) -> None:
    """What is lost without each head of a copying run, kept with its results for the report."""
    from grok_interp.studies.copying.ablation import single_ablations

    analyzed(directory, device, terminal)
    with terminal.progress("ablating each head") as advance:
        single_ablations(directory, device=choose_device(device), on_model=advance)


def ablate_shown(directory: Path, device: str, terminal: Terminal, *, ways: Sequence[str] | None = None) -> None:
    """What is lost without the induction heads of a copying run, over training, kept with its results."""
    from grok_interp.studies.copying.ablation import WAYS, ablations

    with terminal.progress("ablating induction heads") as advance:
        ablations(directory, ways=ways or WAYS, device=choose_device(device), on_checkpoint=advance)


def follow_heads_shown(directory: Path, device: str, terminal: Terminal) -> None:
    """The scores of the heads of a copying run that may lead its onset, over training, kept with its results."""
    from grok_interp.studies.copying.leads import indicators_of_run

    with terminal.progress("scoring heads") as advance:
        indicators_of_run(directory, device=choose_device(device), on_checkpoint=advance)


def drawn(figure: str, runs: Sequence[Path], device: str, terminal: Terminal) -> Any:
    """A figure of analyzed runs; what takes long shows its progress."""
    for directory in runs:
        if figure == "copying/ablation":
            ablate_shown(directory, device, terminal)
        elif figure == "copying/heads":
            ask_about_heads(directory, device, terminal)
        elif figure == "copying/leads":
            follow_heads_shown(directory, device, terminal)
    return getattr(study_of(runs[0]), FIGURES[figure])(*runs, device=choose_device(device))


def analyzed(directory: Path, device: str, terminal: Terminal) -> tuple[Any, Any]:
    """A run's results and its probes, after asking the checkpoints that were not asked yet."""
    study = study_of(directory)
    use_threads(CheckpointSeries(directory).config.model.n_params)
    device, probes = choose_device(device), study.probes_of_run(directory)
    with terminal.progress("analyzing checkpoints") as advance:
        return study.analyze(directory, probes, device=device, on_checkpoint=advance), probes
