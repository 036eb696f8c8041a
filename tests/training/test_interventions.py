"""Interventions on heads during training: what each does to the forward pass, to the weights, and on resume."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from grok_interp.configs import TrainConfig
from grok_interp.configs.intervention import Intervention
from grok_interp.models.transformer import Transformer
from grok_interp.presets import training_preset
from grok_interp.runs.plan import training_plan
from grok_interp.runs.run_training import run_training
from grok_interp.training.batches import ModularBatches
from grok_interp.training.loop import train, train_step
from grok_interp.training.state import TrainingState

CPU = torch.device("cpu")
MODULAR = replace(training_preset("modular-tiny"), weight_decay=0.0, warmup_steps=0)  # 2 layers of 2 heads of 8


def trained(n_updates: int, *interventions: str, **changes: Any) -> TrainingState:
    config = replace(MODULAR, intervene=interventions, **changes)
    state, batches = TrainingState(config), ModularBatches(config)
    for step in range(n_updates):
        train_step(state, batches.batch(step, CPU), batches.loss)
    return state


def weights_of(model: Transformer, layer: int, head: int) -> dict[str, Tensor]:
    return {name: getattr(model, name)[layer, head].detach() for name in ("W_Q", "W_K", "W_V", "W_O")}


def moved(state: TrainingState, layer: int, head: int) -> dict[str, bool]:
    """Which of a head's weights training has changed."""
    before = weights_of(Transformer(state.config.model, seed=state.config.init_seed), layer, head)
    after = weights_of(state.model, layer, head)
    return {name: not torch.equal(before[name], after[name]) for name in before}


def test_without_interventions_training_is_as_it_was() -> None:
    plain, listed = trained(3), trained(3, "L1H0 zero from 1000")
    for one, other in zip(plain.model.parameters(), listed.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_a_zeroed_head_adds_nothing_and_gets_no_gradient() -> None:
    state = trained(3, "L1H0 zero")
    assert not any(moved(state, 1, 0).values()) and all(moved(state, 1, 1).values())
    config, batches = state.config, ModularBatches(state.config)
    batch = batches.batch(3, CPU)
    without = Transformer(config.model, initialize=False)
    without.load_state_dict(state.model.state_dict())
    with torch.no_grad():
        without.get_parameter("blocks.1.attn.o.weight")[:, :8] = 0.0
        expected = batches.loss(without, batch)
    assert float(train_step(state, batch, batches.loss).loss) == pytest.approx(float(expected), rel=1e-6)


def test_checkpoints_and_evaluations_do_not_have_the_intervention() -> None:
    state = trained(1, "L1H0 zero")
    batches = ModularBatches(state.config)
    batch = batches.batch(1, CPU)
    with torch.no_grad():
        whole = batches.loss(state.model, batch)
    assert float(train_step(state, batch, batches.loss).loss) != pytest.approx(float(whole), rel=1e-6)


def test_a_released_head_learns_again() -> None:
    assert not any(moved(trained(2, "L0H1 zero to 2"), 0, 1).values())
    assert all(moved(trained(3, "L0H1 zero to 2"), 0, 1).values())


def test_a_clamped_head_writes_its_mean_over_the_first_batch() -> None:
    state = trained(2, "L1H1 clamp from 2")
    batches = ModularBatches(state.config)
    batch, name = batches.batch(2, CPU), "blocks.1.attn.hook_z"
    _, cache = state.model.run_with_cache(batch, names_filter=name)
    expected = cache[name][:, :, 1].mean(dim=(0, 1))
    for step in (2, 3):  # the mean of the first batch stays
        train_step(state, batches.batch(step, CPU), batches.loss)
        torch.testing.assert_close(state.interventions.held[1][1], expected)
    seen: list[Tensor] = []
    with state.interventions.applied():
        state.model.blocks[1].attn.o.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        state.model(batch)
    torch.testing.assert_close(seen[0][..., 8:], expected.expand(*batch.shape, 8))
    assert not torch.equal(seen[0][:, 0, :8], seen[0][:, 1, :8]), "the other head is not clamped"


@pytest.mark.parametrize("optimizer", [{}, {"optimizer": "muon", "muon_learning_rate": 0.02, "weight_decay": 0.1}])
def test_a_frozen_head_keeps_its_weights_and_still_acts(optimizer: dict[str, Any]) -> None:
    state = trained(3, "L1H0 freeze", **optimizer)
    assert not any(moved(state, 1, 0).values())
    assert all(moved(state, 1, 1).values()) and all(moved(state, 0, 0).values())
    batches = ModularBatches(state.config)
    batch = batches.batch(3, CPU)
    with torch.no_grad():
        whole = batches.loss(state.model, batch)
    assert float(train_step(state, batch, batches.loss).loss) == pytest.approx(float(whole), rel=1e-6)


def test_several_at_once() -> None:
    state = trained(3, "L0H0 zero", "L0H1 freeze", "L1H0 clamp from 1", "L1H0 zero to 1")
    assert not any(moved(state, 0, 0).values()) and not any(moved(state, 0, 1).values())


@pytest.mark.parametrize("texts", [("L1H0 clamp from 1", "L1H0 zero to 1"), ("L1H0 zero to 1", "L1H0 clamp from 1")])
def test_one_after_the_other_on_a_head_in_any_order(texts: tuple[str, ...]) -> None:
    state = trained(3, *texts)
    assert state.interventions.kept[1].flatten().tolist() == [0.0, 1.0]
    assert state.interventions.held[1][0].abs().sum() > 0
    frozen = trained(2, *(text.replace("clamp", "freeze") for text in texts))
    assert not any(moved(frozen, 1, 0).values())


def test_micro_batches_have_them_too() -> None:
    whole, split = trained(2, "L1H0 zero"), trained(2, "L1H0 zero", micro_batch_size=8)
    for one, other in zip(whole.model.parameters(), split.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


class Stopped(Exception):
    pass


def test_a_killed_run_resumes_with_the_same_bits(tmp_path: Path) -> None:
    config = replace(MODULAR, intervene=("L1H1 clamp from 4", "L0H0 freeze from 3 to 15", "L1H0 zero to 9"))
    whole = run_training(tmp_path / "whole", config)

    def stop(update: Any) -> None:
        if update.step == 12:
            raise Stopped

    with pytest.raises(Stopped):
        run_training(tmp_path / "killed", config, on_update=stop, resume_seconds=0.0)
    killed = run_training(tmp_path / "killed", config)
    for one, other in zip(killed.load(20).parameters(), whole.load(20).parameters(), strict=True):
        assert torch.equal(one, other)


def test_text_and_value_of_an_intervention() -> None:
    assert Intervention.parse("L12H3 clamp to 7") == Intervention(12, 3, "clamp", 0, 7)
    assert [Intervention.parse("L0H0 zero from 2 to 4").is_active(step) for step in range(6)] == [0, 0, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["head 0"], "an intervention is written like L1H0 zero from 500"),
        (["L1H0 remove"], "an intervention is written like"),
        (["L1H0 zero from 5 to 5"], "ends at or before the step that it begins at"),
        (["L2H0 zero"], "there is no L2H0 in 2 layers of 2 heads"),
        (["L1H0 zero", "L1H0 freeze from 3"], "two interventions on L1H0 at the same time"),
    ],
)
def test_nonsense_is_refused(texts: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        replace(MODULAR, intervene=tuple(texts))


@pytest.mark.parametrize(("first", "effect"), [(2, True), (3, False)])
def test_one_that_begins_after_the_last_update_is_warned_of(first: int, effect: bool) -> None:
    config = replace(MODULAR, n_steps=3, intervene=("L0H0 zero", f"L1H0 zero from {first}"))
    with nullcontext() if effect else pytest.warns(UserWarning, match="'L1H0 zero from 3' has no effect, the run ends"):
        *_, (_, model) = train(config)
    *_, (_, without) = train(replace(config, intervene=("L0H0 zero",)))
    same = all(torch.equal(a, b) for a, b in zip(model.parameters(), without.parameters(), strict=True))
    assert same != effect


def test_a_dry_run_says_so_too(tmp_path: Path) -> None:
    config = replace(MODULAR, n_steps=3, intervene=("L1H0 zero from 500",))
    said = "WARNING: intervene: 'L1H0 zero from 500' has no effect, the run ends after 3 updates: begin before"
    assert said not in str(training_plan(replace(config, n_steps=501), directory=tmp_path))
    assert said in str(training_plan(config, directory=tmp_path))


def test_a_config_with_interventions_comes_back_from_json() -> None:
    config = replace(MODULAR, intervene=("L1H0 zero from 3",))
    assert TrainConfig.from_dict(config.to_dict()) == config
