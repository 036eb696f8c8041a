"""An ensemble against its members trained alone: stacked, in turn, clipped each by itself, resumed by either."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from grok_interp.configs import ModelConfig, TrainConfig
from grok_interp.models.ensemble_logits import ensemble_logits
from grok_interp.models.transformer import Transformer
from grok_interp.presets import preset, training_preset
from grok_interp.training import ensemble
from grok_interp.training.divergence import Update
from grok_interp.training.ensemble import EnsembleState, require_lockstep, train_ensemble
from grok_interp.training.loop import train
from grok_interp.training.optimizer import clip_each
from grok_interp.training.state import TrainingState

FAMILIES = {
    "llama": preset("copier-tiny"),
    "llama-tied": replace(preset("copier-tiny"), tie_word_embeddings=True, rotary_adjacent_pairs=True),
    "modular": preset("modular-tiny"),
    "modular-untied": replace(preset("modular-tiny"), tie_word_embeddings=False, rotary_adjacent_pairs=False),
}


def modular(**changes: object) -> TrainConfig:
    """With its usual eps of 1e-8 AdamW makes an update of full size of a gradient that is nothing but rounding."""
    return replace(training_preset("modular-tiny"), max_grad_norm=0.3, weight_decay=0.5, adam_eps=1e-3, **changes)


def members_of(config: TrainConfig) -> list[TrainConfig]:
    """Three that differ in all that members may differ in."""
    other = config.with_data(n_id=4, alpha=0.4)
    return [config, replace(config, init_seed=1, data_seed=2), replace(other, init_seed=3)]


def end_of(config: TrainConfig) -> Transformer:
    return [model for _, model in train(config)][-1]


def largest_difference(a: torch.nn.Module, b: torch.nn.Module) -> float:
    return max(float((p - q).detach().abs().max()) for p, q in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.parametrize("cfg", FAMILIES.values(), ids=FAMILIES)
def test_ensemble_logits_are_those_of_each_member(cfg: ModelConfig) -> None:
    models = [Transformer(replace(cfg, initializer_range=0.3), seed=seed) for seed in range(3)]
    for model in models:
        for parameter in model.parameters():  # gains and biases of norms, too, are each member's own
            parameter.data += 0.1 * torch.randn_like(parameter)
    weights = {
        name: torch.stack([dict(m.named_parameters())[name] for m in models])
        for name, _ in models[0].named_parameters()
    }
    tokens = torch.randint(cfg.d_vocab, (3, 5, 7))
    found = ensemble_logits(cfg, weights, models[0].blocks[0].attn.rotary, tokens)
    for model, own, logits in zip(models, tokens, found, strict=True):
        torch.testing.assert_close(logits, model(own), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("limit", [0, 2**60], ids=["in-turn", "stacked"])
@pytest.mark.parametrize("micro_batch_size", [None, 8])
def test_each_member_ends_where_it_ends_alone(
    limit: int, micro_batch_size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ensemble, "STACKED_ON_CPU", limit)
    configs = members_of(modular(micro_batch_size=micro_batch_size))
    updates: list[list[Update]] = []
    alone = [end_of(config) for config in configs]
    *_, (step, models) = train_ensemble(configs, on_update=updates.append)
    assert step == configs[0].n_steps == len(updates)
    for model, reference in zip(models, alone, strict=True):
        assert largest_difference(model, reference) < 2e-6
    assert largest_difference(alone[0], alone[1]) > 1e-2, "members that are alike could not be told apart"


def test_losses_and_norms_are_each_members_own() -> None:
    configs, alone = members_of(modular()), []
    for config in configs:
        updates: list[Update] = []
        list(train(config, on_update=updates.append))
        alone.append(updates)
    together: list[list[Update]] = []
    list(train_ensemble(configs, on_update=together.append))
    for index, updates in enumerate(alone):
        for ours, theirs in zip([step[index] for step in together], updates, strict=True):
            assert ours.step == theirs.step
            assert ours.learning_rate == theirs.learning_rate
            torch.testing.assert_close(ours.loss, theirs.loss, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(ours.grad_norm, theirs.grad_norm, atol=1e-5, rtol=1e-4)


def test_clipping_is_each_members_own() -> None:
    """Of two members with gradients of norm 5 and 0.5, a limit of 1 scales the first alone."""
    weights = [torch.nn.Parameter(torch.zeros(2, 3)), torch.nn.Parameter(torch.zeros(2, 1, 2))]
    weights[0].grad = torch.tensor([[3.0, 0, 0], [0.3, 0, 0]])
    weights[1].grad = torch.tensor([[[0, 4.0]], [[0, 0.4]]])
    assert clip_each(weights, 1.0).tolist() == pytest.approx([5.0, 0.5])
    assert weights[0].grad[:, 0].tolist() == pytest.approx([0.6, 0.3], rel=1e-5)
    assert weights[1].grad[:, 0, 1].tolist() == pytest.approx([0.8, 0.4], rel=1e-5)


def states_after(configs: Sequence[TrainConfig], n_updates: int) -> list[TrainingState]:
    states = [TrainingState(config) for config in configs]
    training = train_ensemble(configs, state=EnsembleState(states))
    while states[0].step < n_updates:
        next(training)
    return states


def test_a_member_goes_on_alone_or_in_another_ensemble() -> None:
    """Its state has its own weights and moments, wherever they lie."""
    configs = members_of(modular())
    begun = [deepcopy(state.state_dict()) for state in states_after(configs, 10)]
    resumed = [TrainingState(config) for config in configs]
    for state, saved in zip(resumed, begun, strict=True):
        state.load_state_dict(saved)
    assert {state.step for state in resumed} == {10}
    list(train(configs[1], state=resumed[1]))
    remaining = [resumed[0], resumed[2]]
    list(train_ensemble([configs[0], configs[2]], state=EnsembleState(remaining)))
    for config, state in zip(configs, resumed, strict=True):
        assert largest_difference(state.model, end_of(config)) < 2e-6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 1e-2}, "may differ in seeds and data only, these differ in learning_rate: 0.002 and 0.01"),
        ({"n_steps": 7}, "n_steps: 20 and 7"),
        ({"batch_size": 8}, "batch_size: 16 and 8"),
    ],
)
def test_members_of_another_shape_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        next(train_ensemble([modular(), modular(**changes)]))


def test_dropout_nobody_and_members_at_other_steps_are_refused() -> None:
    for alone in (modular().with_model(attn_dropout=0.1), modular(intervene=("L0H1 zero",))):
        with pytest.raises(ValueError, match="no attention dropout and no interventions: train such runs one by one"):
            next(train_ensemble([alone]))
    with pytest.raises(ValueError, match="needs a run or more, got none"):
        next(train_ensemble([]))
    with pytest.raises(ValueError, match=r"these stand at \[0, 10\]: train those that are behind one by one first"):
        EnsembleState([*states_after([modular()], 10), TrainingState(modular())])


def test_float16_is_refused() -> None:
    with pytest.raises(ValueError, match="an ensemble has no loss scaling: give precision bfloat16 or float32"):
        require_lockstep([replace(modular(), precision="float16")])
