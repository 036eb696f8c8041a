"""Runs that several files here look at."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from trainer_folder import save_trainer

from grok_interp.configs import TrainConfig
from grok_interp.configs.schedules import linear_steps
from grok_interp.presets import training_preset
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.studies.catalog import study_of


@pytest.fixture(scope="module")
def runs(text_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Run]]:
    """One run of each study, its checkpoints evaluated."""
    folder, found = tmp_path_factory.mktemp("options"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GROK_INTERP_CACHE", str(folder / "cache"))
        for kind, preset in (("copying", "copier-tiny"), ("modular", "modular-tiny")):
            config = replace(training_preset(preset), n_steps=4, checkpoint_steps=(0,), warmup_steps=1)
            config = replace(config, data=replace(config.data, source=str(text_file))) if kind == "copying" else config
            found[kind] = run_training(folder / kind, config)
            study_of(found[kind]).analyze(found[kind])
        yield found


@pytest.fixture
def seeds(tiny: TrainConfig, tmp_path: Path) -> list[Run]:
    """Two runs of copying with 11 checkpoints."""
    runs = []
    for seed in range(2):
        config = replace(tiny, init_seed=seed, data_seed=seed, checkpoint_steps=linear_steps(20, every=2))
        runs.append(run_training(tmp_path / f"seed{seed}", config))
    return runs


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trainer's output_dir; `trainer` is a test's own copy."""
    return save_trainer(tmp_path_factory.mktemp("saved"))


@pytest.fixture
def trainer(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "out"))
