"""A sweep: one run under several conditions, with several seeds each, in one folder.

    FOLDER/CONDITION/seed0              a run directory each
    FOLDER/CONDITION/seed0.failed.txt   why it failed; goes when it is finished

Experiments that share a condition share its runs. What is trained is not trained again; what was interrupted resumes,
and what failed is tried again.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from grok_interp.arguments import whole_number
from grok_interp.arguments.objects import mapped_to, path_of
from grok_interp.configs import TrainConfig
from grok_interp.engines.engine import Engine, FailedCellsError, Outcome
from grok_interp.engines.local import LocalEngine
from grok_interp.files import write_text
from grok_interp.runs.record import is_run
from grok_interp.runs.recorder import resume_points
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import is_finished
from grok_interp.training.ensemble import shared_fields

MOST_SEEDS = 10_000
IN_THIS_PROCESS = LocalEngine()


@dataclass(frozen=True)
class Sweep:
    """`conditions` names each configuration; a seed draws the weights and the batches."""

    folder: Path
    conditions: Mapping[str, TrainConfig]
    n_seeds: int

    def __post_init__(self) -> None:
        path_of(self.folder, "folder")
        mapped_to(self.conditions, "conditions", "TrainConfig")
        whole_number(self.n_seeds, "n_seeds")
        if self.n_seeds < 1:
            raise ValueError(f"a sweep needs 1 seed or more, got {self.n_seeds}")
        if self.n_seeds > MOST_SEEDS:
            raise ValueError(f"a sweep has {MOST_SEEDS:,} seeds at most, got {self.n_seeds:,}")
        if is_run(self.folder):
            raise ValueError(f"{self.folder} is a run: give the folder that a sweep's runs lie in, or a new one")

    @property
    def runs(self) -> dict[Path, TrainConfig]:
        """Run directory -> its configuration; all conditions of seed 0 first."""
        return {
            self.folder / name / f"seed{seed}": replace(config, init_seed=seed, data_seed=seed)
            for seed in range(self.n_seeds)
            for name, config in self.conditions.items()
        }

    def unfinished(self) -> dict[Path, TrainConfig]:
        """The runs that are still to be trained, or to be trained further.

        Raises ValueError when a directory holds a run of another configuration.
        """
        return {directory: config for directory, config in self.runs.items() if not is_finished(directory, config)}

    def remaining(self) -> dict[str, tuple[Path, TrainConfig]]:
        """What `complete` works on: "CONDITION/seed0" -> directory and configuration of each unfinished or failed run.

        Raises ValueError when a directory holds a run of another configuration.
        """
        unfinished = self.unfinished()
        return {
            directory.relative_to(self.folder).as_posix(): (directory, config)
            for directory, config in self.runs.items()
            if directory in unfinished or failure_of(directory)
        }

    def complete(
        self,
        train: Callable[[Path, TrainConfig], object],
        *,
        engine: Engine = IN_THIS_PROCESS,
        on_outcome: Callable[[Outcome], None] | None = None,
    ) -> None:
        """Call `train(directory, config)` for each run that is unfinished or failed.

        Args:
            train: can be pickled; what it returns is dropped.
            engine: where it is called, for how many runs at a time.
            on_outcome: is told what came of each run, by its name "CONDITION/seed0".

        Raises:
            FailedCellsError: when runs failed, after all others are finished. Each reason is kept beside its folder.
        """
        cells = self.remaining()
        failures: dict[str, str] = {}
        with closing(engine.map(partial(_train, train), cells)) as outcomes:
            for outcome in outcomes:
                if failure := _noted(outcome, cells[outcome.name][0]):
                    failures[outcome.name] = failure
                if on_outcome:
                    on_outcome(outcome)
        if failures:
            raise FailedCellsError(failures, len(cells))

    def in_ensembles(self, n_members: int) -> list[dict[Path, TrainConfig]]:
        """The unfinished runs that can be trained in lockstep with others, in groups of up to `n_members`.

        Args:
            n_members: at least 1.
        """
        alike: defaultdict[str, list[tuple[Path, TrainConfig]]] = defaultdict(list)
        for directory, config in self.unfinished().items():
            if not config.model.attn_dropout and not config.intervene:
                stands_at = [point.name for point in resume_points(directory)[:1]]
                alike[json.dumps([shared_fields(config), stands_at])].append((directory, config))
        cut = [
            dict(runs[first : first + n_members]) for runs in alike.values() for first in range(0, len(runs), n_members)
        ]
        return [group for group in cut if len(group) > 1]


def run_of(directory: Path, opened: Mapping[Path, Run]) -> Run | None:
    """The run of a sweep that is open already; None where none was begun.

    Args:
        directory: of a run of a sweep, which may not be there.
        opened: directory -> run, all that could be opened.

    Raises:
        ValueError: for a run that cannot be opened, with the reason.
    """
    if directory in opened:
        return opened[directory]
    return Run.open(directory) if is_run(directory) else None


def failure_of(directory: Path) -> str:
    """Why the run failed when it was last tried; empty if it did not.

    Args:
        directory: of a run of a sweep, which may not be there.
    """
    try:
        return _failure_file(directory).read_text(encoding="utf-8", errors="replace").partition("\n")[0]
    except FileNotFoundError:
        return ""


def _noted(outcome: Outcome, directory: Path) -> str:
    """Why the run failed, kept beside its folder, which the message need not name."""
    if not outcome.failure:
        _failure_file(directory).unlink(missing_ok=True)
        return ""
    failure = outcome.failure.removeprefix(f"{directory}: ")
    write_text(_failure_file(directory), f"{failure}\n\n{outcome.details}")
    return failure


def _failure_file(directory: Path) -> Path:
    return directory.with_name(f"{directory.name}.failed.txt")


def _train(train: Callable[[Path, TrainConfig], object], run: tuple[Path, TrainConfig]) -> None:
    train(*run)
