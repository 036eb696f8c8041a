"""Parameter groups and the learning rate."""

from dataclasses import replace

import pytest

from grok_interp.configs import TrainConfig
from grok_interp.models.transformer import Transformer
from grok_interp.presets import PRESETS, training_preset
from grok_interp.training.optimizer import build_optimizers, schedule_factor

CONFIG = replace(
    training_preset("copier-tiny"),
    n_steps=110,
    warmup_steps=10,
    learning_rate=2.0,
    warmup_start_factor=0.5,
    final_factor=0.1,
    weight_decay=0.3,
)


@pytest.mark.parametrize(
    ("step", "factor"),
    [(0, 0.55), (4, 0.75), (9, 1.0), (10, 1.0), (60, 0.55), (110, 0.1)],
    ids=["first", "halfway up", "end of warm-up", "peak", "halfway down", "end"],
)
def test_learning_rate_rises_linearly_and_falls_as_a_cosine(step: int, factor: float) -> None:
    assert schedule_factor(CONFIG, step) == pytest.approx(factor)


def test_learning_rate_without_warmup_and_with_a_final_factor_of_one_is_constant() -> None:
    constant = replace(CONFIG, warmup_steps=0, final_factor=1.0)
    assert {schedule_factor(constant, step) for step in range(110)} == {1.0}


@pytest.mark.parametrize("name", ["copier-tiny", "modular-tiny"])
def test_matrices_are_decayed_and_gains_and_biases_are_not(name: str) -> None:
    model = Transformer(PRESETS[name])
    (adamw,) = build_optimizers(model.named_parameters(), CONFIG)
    decayed, spared = adamw.param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.3, 0.0)
    names = {id(p): name for name, p in model.named_parameters()}
    assert all("ln" in names[id(p)] for p in spared["params"])
    assert not any("ln" in names[id(p)] for p in decayed["params"])
    assert len(spared["params"]) + len(decayed["params"]) == len(names)


def test_a_tied_embedding_is_decayed_once() -> None:
    model = Transformer(PRESETS["modular-tiny"])
    (adamw,) = build_optimizers(model.named_parameters(), CONFIG)
    decayed = adamw.param_groups[0]["params"]
    assert sum(p is model.embed.weight for p in decayed) == 1


def test_the_optimizers_settings_are_the_configs() -> None:
    config: TrainConfig = replace(CONFIG, betas=(0.8, 0.95), adam_eps=1e-5)
    (adamw,) = build_optimizers(Transformer(config.model).named_parameters(), config)
    group = adamw.param_groups[0]
    assert (group["betas"], group["eps"]) == ((0.8, 0.95), 1e-5)
