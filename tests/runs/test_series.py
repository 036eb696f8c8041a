"""A run's checkpoints as (step, model) pairs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from grok_interp.configs import TrainConfig
from grok_interp.files import DamagedFileError
from grok_interp.runs.checkpoint_files import load_weights, save_weights
from grok_interp.runs.run import Run
from grok_interp.training.loop import train


@pytest.fixture
def series(tiny: TrainConfig, tmp_path: Path) -> Run:
    return Run.write(tmp_path / "run", tiny, train(tiny))


def test_steps_config_and_length(series: Run, tiny: TrainConfig) -> None:
    assert series.steps == (0, 5, 10, 15, 20)
    assert len(series) == 5
    assert series.config == tiny


def test_models_come_back_with_the_weights_they_had(series: Run, tiny: TrainConfig) -> None:
    tokens = torch.arange(50).reshape(2, 25)
    for (step, live), (saved_step, saved) in zip(train(tiny), series, strict=True):
        assert step == saved_step
        assert torch.equal(live(tokens), saved(tokens))
        assert not saved.training


def test_some_steps_only(series: Run) -> None:
    assert [step for step, _ in series.at([5, 20])] == [5, 20]


def test_a_checkpoint_carries_hooked_transformers_names(series: Run) -> None:
    from safetensors import safe_open

    with safe_open(series.checkpoints.path(5), framework="pt") as file:
        assert {"embed.W_E", "blocks.0.attn.W_Q", "blocks.1.mlp.W_gate", "ln_final.w", "unembed.W_U"} <= set(
            file.keys()
        )
        assert file.get_tensor("blocks.0.attn.W_Q").shape == (2, 16, 8)  # head d_model d_head


def test_a_step_that_was_not_saved_is_refused_with_those_that_were(series: Run) -> None:
    with pytest.raises(ValueError, match=r"no step 7 in .*saved steps: \(0, 5, 10, 15, 20\)"):
        series.load(7)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="it has no config.json; `grok-interp list` shows the runs"):
        Run.open(tmp_path)


def test_a_renamed_checkpoint_is_noticed(series: Run) -> None:
    series.checkpoints.path(10).rename(series.checkpoints.path(11))
    with pytest.raises(ValueError, match="holds step 10: the file was renamed"):
        series.load(11)


def test_a_damaged_checkpoint_names_the_remedy_and_the_others_stay_readable(series: Run) -> None:
    path = series.checkpoints.path(10)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DamagedFileError, match="step_00000010.*delete it to go on without this checkpoint"):
        list(series)
    path.unlink()
    assert [step for step, _ in series] == [0, 5, 15, 20]


@pytest.mark.parametrize("change", [{"act_fn": "relu"}, {"rotary_base": 500.0}, {"n_ctx": 96}, {"eps": 0.5}])
def test_a_checkpoint_is_bound_to_the_config_of_its_model(series: Run, tiny: TrainConfig, change: dict) -> None:
    """None of these changes the shape of a weight."""
    record = {"train": tiny.with_model(**change).to_dict()}
    (series.directory / "config.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match="step_00000005.* belongs to another model config: config.json was edited"):
        Run.open(series.directory).load(5)


def test_a_checkpoint_made_before_it_was_bound_still_loads(series: Run) -> None:
    weights, metadata = load_weights(series.checkpoints.path(5))
    assert metadata.keys() == {"step", "model"}
    before = series.load(5)(torch.arange(9)[None])
    save_weights(series.checkpoints.path(5), weights, {"step": "5"})
    assert torch.equal(series.load(5)(torch.arange(9)[None]), before)


def test_a_field_at_its_default_does_not_change_the_hash_of_a_model(tiny: TrainConfig) -> None:
    assert tiny.model.hash == replace(tiny.model, rotary_base=10_000.0).hash
    assert tiny.model.hash != replace(tiny.model, rotary_base=500.0).hash
