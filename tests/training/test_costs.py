"""Costs: bytes counted by hand, activations that grow with the sequences, and nothing left changed."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from grok_interp.configs import TrainConfig
from grok_interp.presets import training_preset
from grok_interp.training.costs import TrainingCosts, kept_bytes, random_batch, training_costs
from grok_interp.training.loop import TrainingState

COSTS = TrainingCosts(
    weights=1_000,
    optimizer=2_000,
    kept_once=70,
    kept_per_sequence=5,
    logits_per_sequence=3,
    seconds_per_sequence=2.0,
    seconds_per_update=11.0,
    n_timed=1,
)


@pytest.fixture(scope="module")
def costs() -> TrainingCosts:
    return training_costs(TrainingState(training_preset("copier-tiny")))


def test_memory_is_weights_gradients_optimizer_and_one_micro_batch() -> None:
    assert COSTS.memory(10) == 1_000 + 1_000 + 2_000 + 70 + 10 * (5 + 3)


def test_bytes_of_the_tiny_copier_counted_by_hand(costs: TrainingCosts) -> None:
    embeddings, norms = 2 * 256 * 16, 5 * 16  # vocabulary x d_model, in and out
    matrices = 2 * (4 * 16 * 16 + 3 * 16 * 32)  # two layers: q k v o, and gate, in, out
    n_tensors = 2 + 5 + 2 * 4  # qkv is one tensor, gate and in are one
    assert costs.weights == costs.gradients == 4 * (embeddings + norms + matrices)
    assert costs.optimizer == 2 * costs.weights + 4 * n_tensors, "two moments, and a step counter for each tensor"
    assert costs.logits_per_sequence == 2 * 4 * 64 * 256, "64 positions, 256 tokens: logits and gradient in float32"


def test_a_linear_map_keeps_its_input() -> None:
    """And the cross-entropy after it keeps log-probabilities, targets and the sum of their weights."""
    state = TrainingState(training_preset("copier-tiny"))
    state.model = nn.Sequential(nn.Embedding(256, 16), nn.Linear(16, 256, bias=False))
    tokens = 7 * 8  # int64; inputs and targets are two views of the seven tokens of the window
    assert kept_bytes(state, random_batch(state.config, 1, 6)) == tokens + 6 * 16 * 4 + 6 * 256 * 4 + 4


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["copier-tiny", "modular-tiny"])
def test_kept_bytes_grow_with_the_sequences_as_extrapolated(name: str, precision: str) -> None:
    state = TrainingState(replace(training_preset(name), precision=precision))
    costs = training_costs(state)
    for n_sequences in (2, 3, 16):
        expected = costs.kept_once + n_sequences * costs.kept_per_sequence
        assert kept_bytes(state, random_batch(state.config, n_sequences)) == pytest.approx(expected, rel=0.005)


def test_bfloat16_keeps_a_copy_of_the_matrices_once_and_less_for_each_sequence(costs: TrainingCosts) -> None:
    state = TrainingState(replace(training_preset("copier-tiny"), precision="bfloat16"))
    halves = training_costs(state)
    cast = 2 * (256 * 16 + 2 * (4 * 16 * 16 + 3 * 16 * 32))  # all matrices but the embedding, two bytes each
    assert halves.kept_once - costs.kept_once == pytest.approx(cast, rel=0.02)
    assert halves.kept_per_sequence < costs.kept_per_sequence


def test_the_whole_micro_batch_of_a_small_model_is_timed(costs: TrainingCosts) -> None:
    assert costs.n_timed == 4
    assert costs.seconds_per_sequence > 0
    assert costs.seconds_per_update > 0


def test_measuring_leaves_the_callers_random_state_alone(tiny: TrainConfig) -> None:
    before = torch.get_rng_state()
    training_costs(TrainingState(tiny.with_model(attn_dropout=0.1)))
    assert torch.equal(torch.get_rng_state(), before)


def test_random_batches_have_the_shape_that_is_trained_on() -> None:
    text, modular = training_preset("copier-tiny"), training_preset("modular-tiny")
    assert random_batch(text, 3).shape == (3, 65), "the token after the context is predicted, too"
    assert random_batch(modular, 3).shape == (3, 24)
    assert int(random_batch(modular, 300).max()) == 4
