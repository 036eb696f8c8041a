"""Presets: the papers' sizes, and names that belong together."""

import re
from typing import Any

import pytest

from grok_interp.configs import TrainConfig
from grok_interp.data.copying import CopyTask
from grok_interp.presets import DESCRIPTIONS, PRESETS, TRAINING_PRESETS, preset, training_preset


def test_the_paper_copier_has_the_papers_size_heads_and_context() -> None:
    config = preset("copier-paper")
    assert config.n_params == 162_417_408
    assert (config.n_layers, config.n_heads, config.d_head, config.n_ctx) == (12, 12, 64, 1024)


@pytest.mark.parametrize(("n_layers", "millions"), [(2, 6.32), (4, 12.62), (6, 18.91)])
def test_the_modular_models_have_the_papers_sizes(n_layers: int, millions: float) -> None:
    config = preset(f"modular-paper-d{n_layers}")
    assert config.n_layers == n_layers
    assert round(config.n_params / 1e6, 2) == millions


def test_an_unknown_model_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match="no preset 'copier-huge': there are ") as refusal:
        preset("copier-huge")
    assert all(name in str(refusal.value) for name in PRESETS)


def test_an_unknown_run_is_refused_with_the_names_of_all() -> None:
    with pytest.raises(ValueError, match="no preset 'modular-huge': there are ") as refusal:
        training_preset("modular-huge")
    assert all(name in str(refusal.value) for name in TRAINING_PRESETS)


@pytest.mark.parametrize("name", TRAINING_PRESETS)
def test_a_training_preset_keeps_its_initialization_and_reaches_every_wished_step(name: str) -> None:
    run = training_preset(name)
    assert run.kept_steps == run.checkpoint_steps
    assert run.kept_steps[0] == 0


@pytest.mark.parametrize("name", TRAINING_PRESETS)
def test_a_training_preset_survives_its_own_dictionary(name: str) -> None:
    run = training_preset(name)
    assert TrainConfig.from_dict(run.to_dict()) == run


def test_the_paper_copier_reads_half_a_million_tokens_a_step_and_forty_billion_in_all() -> None:
    run = training_preset("copier-paper")
    assert run.tokens_per_step == 512 * 1024
    assert run.tokens_per_step * run.n_steps == pytest.approx(40e9, rel=1e-4)


def test_the_mini_copiers_context_holds_five_strings_of_the_copy_test() -> None:
    assert CopyTask.fitting(preset("copier-mini").n_ctx).n_sequences == 5


@pytest.mark.parametrize("name", TRAINING_PRESETS)
def test_a_description_says_the_size_of_the_model_that_is_trained(name: str) -> None:
    model = training_preset(name).model
    assert model == preset(name) and DESCRIPTIONS[name].startswith(f"{model.n_layers} layers, ")
    found = re.search(r", ([\d.]+)([kM]) parameters", DESCRIPTIONS[name])
    assert found and abs(float(found[1]) * {"k": 1e3, "M": 1e6}[found[2]] / model.n_params - 1) < 0.01 + 0.5 / float(
        found[1]
    )


@pytest.mark.parametrize("of", [preset, training_preset])
def test_a_list_of_names_is_no_name(of: Any) -> None:
    with pytest.raises(ValueError, match=r"must be a string such as 'copier-mini', got \['copier-tiny'\] \(list\)"):
        of(["copier-tiny"])
