"""What several verbs do, with progress shown: train a run, evaluate it, train the runs of a figure, draw it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grok_interp.cli.output import Output
from grok_interp.configs import TrainConfig
from grok_interp.device import choose_device, keep_freed_memory, use_threads
from grok_interp.progress import TrainingProgress
from grok_interp.runs.ensemble import run_ensemble
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.studies.catalogue import FIGURES, Size, study_of

if TYPE_CHECKING:
    from grok_interp.plots.drawing import Drawing


def train_run(config: TrainConfig, directory: Path, device: str, output: Output, *, compiled: bool = False) -> Run:
    """Train a run, or what is missing of it."""
    keep_freed_memory()
    with output.progress("training") as advance:
        shown = TrainingProgress(config, advance)
        run = run_training(
            directory,
            config,
            device=choose_device(device),
            compiled=compiled,
            on_start=shown.start,
            on_update=shown.update,
        )
    output.say(f"{len(run)} checkpoints up to step {run.steps[-1]:,} in {run}")
    return run


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


def runs_for(
    figure: str, size: Size, folder: Path, *, seeds: int, at_once: AtOnce, device: str, output: Output
) -> list[Run]:
    """The runs that a figure is drawn from, trained and analyzed."""
    kind = figure.partition("/")[0]
    experiments = import_module(f"grok_interp.studies.{kind}.experiments")
    n_seeds = seeds if FIGURES[figure].of_many else 1
    sweep = experiments.experiment_of(figure).sweep(experiments.baseline_of(figure, size), folder, n_seeds=n_seeds)
    output.say(f"{figure}: {len(sweep.runs)} runs in {folder}, {len(sweep.unfinished())} to train")
    if at_once.n_members > 1:
        for runs in sweep.in_ensembles(at_once.n_members):
            _train_ensemble(runs, device, output)
    sweep.complete(partial(_train_and_analyze, device, output), n_jobs=at_once.n_jobs)
    return [Run.open(directory) for directory in sweep.runs]


def _train_ensemble(runs: Mapping[Path, TrainConfig], device: str, output: Output) -> None:
    keep_freed_memory()
    first = next(iter(runs.values()))
    with output.progress(f"training {len(runs)} runs in lockstep") as advance:
        shown = TrainingProgress(first, advance, n_members=len(runs))
        run_ensemble(runs, device=choose_device(device), on_start=shown.start, on_update=shown.update)


def _train_and_analyze(device: str, output: Output, directory: Path, config: Any) -> None:
    analyze_run(train_run(config, directory, device, output), device, output)


def ablate_each_head(run: Run, device: str, output: Output) -> None:
    """What is lost without each head of a copying run, stored with the run for the report."""
    from grok_interp.studies.copying.ablation import single_ablations

    analyze_run(run, device, output)
    with output.progress("ablating each head") as advance:
        single_ablations(run, device=choose_device(device), on_model=advance)


def ablate_induction_heads(run: Run, device: str, output: Output, *, ways: Sequence[str] | None = None) -> None:
    """What is lost without the induction heads of a copying run, over training, stored with the run."""
    from grok_interp.studies.copying.ablation import WAYS, ablations

    with output.progress("ablating induction heads") as advance:
        ablations(run, ways=ways or WAYS, device=choose_device(device), on_checkpoint=advance)


def score_heads(run: Run, device: str, output: Output) -> None:
    """The scores of the heads of a copying run that may lead its onset, over training, stored with the run."""
    from grok_interp.studies.copying.leads import indicators_of_run

    with output.progress("scoring heads") as advance:
        indicators_of_run(run, device=choose_device(device), on_checkpoint=advance)


def draw(figure: str, runs: Sequence[Run], device: str, output: Output) -> Drawing:
    """A figure of analyzed runs; what takes long shows its progress."""
    for run in runs:
        if figure == "copying/ablation":
            ablate_induction_heads(run, device, output)
        elif figure == "copying/heads":
            ablate_each_head(run, device, output)
        elif figure == "copying/leads":
            score_heads(run, device, output)
    return FIGURES[figure].draw(runs, device=choose_device(device))


def analyze_run(run: Run, device: str, output: Output) -> tuple[Any, Any]:
    """A run's results and its evaluation inputs; checkpoints whose results are not stored are evaluated."""
    study = study_of(run)
    use_threads(run.config.model.n_params)
    device, inputs = choose_device(device), study.evaluation_inputs(run)
    with output.progress("analyzing checkpoints") as advance:
        return study.analyze(run, inputs, device=device, on_checkpoint=advance), inputs
