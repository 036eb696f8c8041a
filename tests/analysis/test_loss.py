"""Loss by position: exact where it is known, and the mean is the validation loss."""

import math

import ground_truth
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from ground_truth import CIRCUIT, LLAMA, MODULAR, induction_circuit, random_model, random_tokens

from grok_interp import to_hooked_transformer
from grok_interp.analysis.loss import PositionLoss, position_loss, position_losses
from grok_interp.configs import ModelConfig
from grok_interp.models.weights import canonical_views

FAMILIES = pytest.mark.parametrize("cfg", [LLAMA, MODULAR], ids=["llama", "modular"])


def test_a_model_that_knows_nothing_loses_the_log_of_the_vocabulary_everywhere() -> None:
    model = random_model(LLAMA)
    canonical_views(model)["unembed.W_U"].zero_()
    loss = position_losses([(0, model)], random_tokens(LLAMA, length=13))
    np.testing.assert_allclose(loss["loss"], np.full((1, 12), math.log(37)), rtol=1e-6)
    assert str(loss) == "validation loss at 1 checkpoint; at the last 3.611 nats over 5 windows"


def test_the_induction_circuit_loses_nothing_where_tokens_come_again() -> None:
    half, tokens = 19, ground_truth.repeated_distinct_tokens(half=19)
    loss = position_losses([(0, induction_circuit())], tokens)["loss"].isel(checkpoint=0)
    assert loss.sizes["pos"] == 2 * half - 1
    assert loss[half:].max() < 1e-6
    assert loss[: half - 1].min() > math.log(CIRCUIT.d_vocab), "new tokens surprise it more than if it knew nothing"


def test_the_circuit_learns_in_context_by_all_that_it_loses_on_new_tokens() -> None:
    """After the first half every token is known: the late loss is 0."""
    loss = position_losses([(0, induction_circuit())], ground_truth.repeated_distinct_tokens(half=19))
    score = loss.in_context_score(early=5, late=30)
    assert score.dims == ("checkpoint",)
    np.testing.assert_allclose(score, -loss["loss"][:, 5], atol=1e-6)
    assert score.item() < -math.log(CIRCUIT.d_vocab)


def test_the_in_context_score_is_late_minus_early_of_each_checkpoint() -> None:
    values = np.array([[5.0, 4.0, 2.0], [3.0, 3.5, 3.25]])
    coords = {"checkpoint": [0, 30], "pos": range(3)}
    loss = PositionLoss.of_arrays({"loss": values}, coords)
    score = loss.in_context_score(early=0, late=2)
    assert score.to_numpy().tolist() == [-3.0, 0.25] and score["checkpoint"].to_numpy().tolist() == [0, 30]
    assert loss.in_context_score(early=1, late=2).to_numpy().tolist() == [-2.0, -0.25]


@pytest.mark.parametrize(("early", "late"), [(-1, 3), (3, 12), (5, 5), (7, 3)])
def test_positions_without_a_loss_or_out_of_order_are_refused(early: int, late: int) -> None:
    loss = position_losses([(0, random_model(LLAMA))], random_tokens(LLAMA, length=13))
    with pytest.raises(
        ValueError, match=f"0 <= early < late < 12, .* got early = {early} and late = {late}: .* longer"
    ):
        loss.in_context_score(early=early, late=late)


def test_the_kernel_by_eye() -> None:
    """One window of probability 1/2 and then 1/4 for the right token, the other of 1/8 and 1/2."""
    right = torch.tensor([[1 / 2, 1 / 4], [1 / 8, 1 / 2]])
    scores = torch.stack([1 - right, right], dim=-1).log()
    loss = position_loss(scores, torch.ones(2, 2, dtype=torch.int64))
    torch.testing.assert_close(loss, math.log(2) * torch.tensor([(1 + 3) / 2, (2 + 1) / 2]))


@FAMILIES
def test_the_mean_is_the_cross_entropy_of_all_tokens(cfg: ModelConfig) -> None:
    model, windows = random_model(cfg), random_tokens(cfg)
    expected = F.cross_entropy(model(windows[:, :-1]).flatten(0, 1), windows[:, 1:].flatten())
    loss = position_losses([(0, model)], windows)
    assert loss.mean().item() == pytest.approx(expected.item(), rel=1e-5)


@FAMILIES
@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_the_batch_size_does_not_matter(cfg: ModelConfig, batch_size: int) -> None:
    model, windows = random_model(cfg), random_tokens(cfg)
    in_parts, whole = (position_losses([(0, model)], windows, batch_size=size)["loss"] for size in (batch_size, 64))
    np.testing.assert_allclose(in_parts, whole, rtol=1e-5)


@FAMILIES
def test_the_librarys_own_model_loses_the_same(cfg: ModelConfig) -> None:
    model, windows = random_model(cfg), random_tokens(cfg)
    theirs = position_losses([(0, to_hooked_transformer(model))], windows)["loss"]
    np.testing.assert_allclose(theirs, position_losses([(0, model)], windows)["loss"], atol=2e-5)


def test_checkpoints_are_rows_in_nats() -> None:
    models = [(0, random_model(LLAMA)), (30, random_model(LLAMA, seed=1))]
    found = position_losses(models, random_tokens(LLAMA))
    array = found["loss"]
    assert array.dims == ("checkpoint", "pos") and array.shape == (2, 12)
    assert array["checkpoint"].to_numpy().tolist() == [0, 30]
    assert array.attrs["units"] == "nats" and found.dataset.attrs == {"n_windows": 5}
    np.testing.assert_allclose(array[1:], position_losses(models[1:], random_tokens(LLAMA))["loss"])


def test_a_window_fills_the_context_and_one_target() -> None:
    model = random_model(LLAMA)
    assert position_losses([(0, model)], random_tokens(LLAMA, length=20)).dataset.sizes["pos"] == 19
    with pytest.raises(ValueError, match=r"20 tokens are read, the model's context \(n_ctx\) holds 19"):
        position_losses([(0, model)], random_tokens(LLAMA, length=21))
