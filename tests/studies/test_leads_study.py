"""Leads of runs: head scores are kept with each run, and the picture is drawn from several."""

from dataclasses import replace
from pathlib import Path

import pytest
from ground_truth import measured

from grok_interp.configs import TrainConfig
from grok_interp.configs.schedules import linear_steps
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.studies.copying.leading_scores import indicators_of_run


@pytest.fixture
def runs(tiny: TrainConfig, tmp_path: Path) -> list[Run]:
    runs = []
    for seed in range(2):
        config = replace(tiny, init_seed=seed, data_seed=seed, checkpoint_steps=linear_steps(20, every=2))
        runs.append(run_training(tmp_path / f"seed{seed}", config))
    return runs


def test_scores_of_a_run_are_kept_until_a_checkpoint_differs(runs: list[Run]) -> None:
    told: list[tuple[int, int]] = []

    def ask() -> object:
        return indicators_of_run(runs[0], on_checkpoint=lambda *each: told.append(each))

    first = ask()
    assert told == [(done, 11) for done in range(1, 12)] and runs[0].results.has("indicator_scores")
    again = ask()
    assert len(told) == 11 and again.dataset.equals(first.dataset)
    runs[0].checkpoints.save(20, runs[0].load(0))
    changed = ask()
    assert len(told) == 12 and (measured(changed)[:, 0] == measured(changed)[:, -1]).all()
