"""Trainings on a lent GPU: what they leave when the time is over, and what is exported."""

import importlib
import shutil
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from grok_interp import Transformer, preset, training_preset
from grok_interp.configs import TrainConfig
from grok_interp.runs.evaluations import StopTraining
from grok_interp.runs.recorder import resume_points
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.training.divergence import Update

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))
gpu_exports, gpu_trainings = map(importlib.import_module, ("gpu_exports", "gpu_trainings"))


def test_a_training_whose_time_is_over_leaves_a_resume_point(tmp_path: Path) -> None:
    gpu_trainings.until_deadline(0.0, partial(run_training, tmp_path, training_preset("modular-tiny")))
    assert [point.name for point in resume_points(tmp_path)] == ["step_00000001.state"]


@pytest.mark.parametrize(("name", "n_layers", "alpha"), [("modular-paper-d2", 2, 0.6), ("modular-paper-d4", 4, 0.8)])
def test_p29_is_trained_with_512_tasks_and_a_curriculum(name: str, n_layers: int, alpha: float) -> None:
    config = gpu_trainings.recipe_at_29(name, 3_000)
    assert (config.model.n_layers, config.data.p, config.data.n_id, config.data.alpha) == (n_layers, 29, 512, alpha)
    assert (config.optimizer, config.data.curriculum_steps) == ("muon", (600, 1_000))


def test_tensors_are_in_files_of_limited_size_and_read_back_equal(tmp_path: Path) -> None:
    tensors = {f"layer{n}": torch.randn(7, 11 * n, generator=torch.Generator().manual_seed(n)) for n in range(1, 6)}
    gpu_exports.save_parts(tmp_path, "weights", tensors, 37, largest=2_000)
    files = list(tmp_path.iterdir())
    assert len(files) == 3
    assert max(file.stat().st_size for file in files) < 2_000 + 1_000  # the header
    found, step = gpu_exports.load_parts(tmp_path, "weights")
    assert step == 37
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


OPTIMIZERS = [(dict(optimizer="adamw"), 1e-3), (dict(optimizer="muon", muon_learning_rate=0.02), 1e-2)]


@pytest.mark.parametrize(("optimizer", "tolerance"), OPTIMIZERS)
def test_an_export_resumes_with_nearly_the_losses_of_the_run(
    tmp_path: Path, optimizer: dict[str, Any], tolerance: float
) -> None:
    """AdamW's differ by 7e-5, with Muon by 6e-3; by 1.4e-2 and 1.5e-2 without moments."""
    config = replace(training_preset("modular-tiny"), **optimizer)
    whole = run_training(tmp_path / "whole", config).metrics["loss"]
    trained_to(8, tmp_path / "run", config)
    gpu_exports.export(tmp_path / "run", tmp_path / "export")
    shutil.rmtree(tmp_path / "run")
    gpu_exports.begin_from_export(tmp_path / "export", tmp_path / "run")
    resumed = run_training(tmp_path / "run", config)
    difference = (resumed.metrics["loss"] - whole).abs()
    assert len(difference) == 20
    assert difference[:8].max() == 0
    assert 0 < difference[8:].max() < tolerance
    assert resumed.steps == resumed.checkpoints.due_steps == (10, 15, 20)
    assert [change["step"] for change in resumed.record["changes"]] == [8]


def test_p29_resumes_an_export_whose_run_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = training_preset("modular-tiny")
    trained_to(12, tmp_path / "run", config)
    gpu_exports.export(tmp_path / "run", tmp_path / "p29_export/d2")
    gpu_trainings.train_at_29(tmp_path / "p29/d2", device="cpu", minutes=1.0, miniature=True)
    assert Run.open(tmp_path / "p29/d2").steps == (15, 20)
    assert "update 10 " not in capsys.readouterr().out


def trained_to(step: int, directory: Path, config: TrainConfig) -> None:
    def stop(update: Update) -> None:
        if update.step == step:
            raise StopTraining

    run_training(directory, config, on_update=stop)


def test_the_papers_modular_model_is_in_files_below_16_megabytes(tmp_path: Path) -> None:
    weights = Transformer(preset("modular-paper-d4"), seed=0).state_dict()
    gpu_exports.save_parts(tmp_path, "weights", {name: each.bfloat16() for name, each in weights.items()}, 0)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["weights_0.safetensors", "weights_1.safetensors"]
    assert max(file.stat().st_size for file in tmp_path.iterdir()) < 16_000_000


def test_parts_of_two_steps_or_a_missing_part_are_refused(tmp_path: Path) -> None:
    for step, folder in ((1, tmp_path / "old"), (2, tmp_path / "new")):
        gpu_exports.save_parts(folder, "weights", {"a": torch.ones(3), "b": torch.ones(3)}, step, largest=12)
    (tmp_path / "old/weights_1.safetensors").unlink()
    with pytest.raises(ValueError, match="all parts of weights of one step"):
        gpu_exports.load_parts(tmp_path / "old", "weights")
    (tmp_path / "new/weights_1.safetensors").rename(tmp_path / "old/weights_1.safetensors")
    with pytest.raises(ValueError, match="all parts of weights of one step"):
        gpu_exports.load_parts(tmp_path / "old", "weights")
