"""The experiments that a folder holds: which figures have all their runs, and how many seeds of them are finished."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from grok_interp.analysis.ablation_arguments import WAYS
from grok_interp.analysis.comparison import TrainingCurves
from grok_interp.configs import TrainConfig
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import require_same_config
from grok_interp.studies.copying.ablation_results import CLAIMED_WAYS
from grok_interp.studies.copying.comparisons import curves_of
from grok_interp.studies.copying.experiments import BASELINE, BATCH_SIZE, LEARNING_RATE, REGULARIZATION
from grok_interp.studies.copying.figures import FIGURES
from grok_interp.studies.experiment import Experiment
from grok_interp.studies.sweep import run_of

COMPARED = (BASELINE, BATCH_SIZE, LEARNING_RATE, REGULARIZATION)
OF_THE_PAPER = tuple(name for name in FIGURES if name.startswith("copying/fig"))


@dataclass(frozen=True)
class Experiments:
    """The runs of a folder that `grok-interp reproduce copying/... --preset` filled, as many seeds as are finished.

    Args:
        folder: of the experiments.
        opened: directory -> run, of all that are in it.
    """

    folder: Path
    opened: Mapping[Path, Run]

    @cached_property
    def baseline(self) -> TrainConfig:
        """Raises ValueError for a folder without a baseline."""
        first = self.folder / "baseline" / "seed0"
        return replace((self.opened.get(first) or Run.open(first)).config, init_seed=0, data_seed=0)

    def runs(self, experiment: Experiment) -> list[Run]:
        """All conditions of the seeds that every condition has finished; empty when there is none."""
        return self._finished[experiment]

    @cached_property
    def _finished(self) -> dict[Experiment, list[Run]]:
        return {experiment: self._finished_runs(experiment) for experiment in COMPARED}

    def _finished_runs(self, experiment: Experiment) -> list[Run]:
        n_seeds = sum(directory.parent == self.folder / "baseline" for directory in self.opened)
        sweep = experiment.sweep(self.baseline, self.folder, n_seeds=max(1, n_seeds))
        found: list[Run] = []
        for directory, config in sweep.runs.items():
            run = run_of(directory, self.opened)
            if run is not None:
                require_same_config(directory, run.config, config)
            if run is None or not run.is_finished:
                break
            found.append(run)
        return found[: len(found) - len(found) % len(sweep.conditions)]  # all conditions of seed 0 come first

    def runs_of(self, figure: str) -> list[Run]:
        """Those that a figure of the paper is drawn from."""
        experiment = FIGURES[figure].experiment
        return self.runs(experiment) if experiment else []

    def curves(self, experiment: Experiment) -> TrainingCurves:
        return curves_of(self.runs(experiment), varied=experiment.varied)

    @property
    def all_runs(self) -> list[Run]:
        """Of every experiment, each once."""
        return list(dict.fromkeys(run for experiment in COMPARED for run in self.runs(experiment)))

    @property
    def ablated_runs(self) -> list[tuple[Run, Sequence[str]]]:
        """(run, ways to ablate its heads): every seed of the baseline in those of the claim, the first one in all."""
        first, *others = self.runs(BASELINE)
        return [(first, WAYS), *((run, CLAIMED_WAYS) for run in others)]

    def has(self, figure: str) -> bool:
        """Whether every condition of a figure has a finished seed."""
        return bool(self.runs_of(figure))

    @property
    def missing(self) -> list[str]:
        return [name for name in OF_THE_PAPER if not self.has(name)]


def finished_experiments(folder: Path, runs: Sequence[Run]) -> Experiments:
    """Of the runs that are in a folder.

    Raises ValueError when no experiment has a finished seed, naming the command that makes one.
    """
    experiments = Experiments(Path(folder), {run.directory: run for run in runs})
    missing = experiments.missing
    if not any(experiments.runs(each) for each in COMPARED if each is not BASELINE):
        raise ValueError(
            f"{folder} has no finished seed for {', '.join(missing)}: "
            f"grok-interp reproduce {missing[0]} --preset SIZE --folder {folder} trains it"
        )
    return experiments
