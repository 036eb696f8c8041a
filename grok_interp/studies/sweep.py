"""A sweep: one run under several conditions, with several seeds each, in one folder.

    FOLDER/CONDITION/seed0      a run directory each

Experiments that share a condition share its runs. What is trained is not trained again; what was interrupted resumes.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from grok_interp.configs import TrainConfig
from grok_interp.runs.interrupts import ending_with
from grok_interp.runs.record import is_run
from grok_interp.runs.recorder import resume_points
from grok_interp.runs.run_training import is_finished
from grok_interp.training.ensemble import shared_fields

MOST_SEEDS = 10_000


@dataclass(frozen=True)
class Sweep:
    """`conditions` names each configuration; a seed draws the weights and the batches."""

    folder: Path
    conditions: Mapping[str, TrainConfig]
    n_seeds: int

    def __post_init__(self) -> None:
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

    def complete(self, train: Callable[[Path, TrainConfig], None], *, n_jobs: int = 1) -> None:
        """Call `train(directory, config)` for each unfinished run, `n_jobs` at a time in processes of their own.

        These end with this process; a training writes a resume point then.

        Args:
            train: trains one run into its folder; is sent to other processes if `n_jobs` is above 1.
            n_jobs: processes, at least 1.
        """
        missing = self.unfinished()
        if n_jobs == 1:
            for directory, config in missing.items():
                train(directory, config)
            return
        import joblib

        work = joblib.delayed(partial(_in_worker, os.getpid(), train))
        joblib.Parallel(n_jobs=n_jobs)(work(*run) for run in missing.items())

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


def _in_worker(parent: int, train: Callable[[Path, TrainConfig], None], directory: Path, config: TrainConfig) -> None:
    with ending_with(parent):
        train(directory, config)
