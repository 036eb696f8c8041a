"""A beginning-of-sequence token: put where sequences are made, and no target where they are read."""

from __future__ import annotations

import ground_truth
import numpy as np
import pytest
import torch
from ground_truth import (
    INDUCTION_HEAD,
    PREVIOUS_TOKEN_HEAD,
    SEPARATOR,
    induction_circuit,
    pattern,
    random_model,
    repeated_distinct_tokens,
)
from torch import Tensor

from grok_interp import (
    CopyTask,
    copying_accuracy,
    head_scores,
    induction_scores,
    position_losses,
    repeated_tokens,
    to_hooked_transformer,
)
from grok_interp.analysis.induction import induction_attention
from grok_interp.data.bos import after_bos
from grok_interp.data.copying import CopySamples, induction_targets

TOKENS = repeated_distinct_tokens()
WITH_BOS = after_bos(TOKENS, SEPARATOR)


def test_a_perfect_induction_head_scores_one_after_bos() -> None:
    model = induction_circuit()
    for each in (model, to_hooked_transformer(model)):
        scores = induction_scores(each, WITH_BOS)
        assert float(scores["Abar"][0][INDUCTION_HEAD]) == pytest.approx(1.0, abs=1e-3)
        assert float(scores["I"][0][INDUCTION_HEAD]) == pytest.approx(1.0, abs=1e-3)
        assert float(scores["Abar"][0][PREVIOUS_TOKEN_HEAD]) == pytest.approx(0.0, abs=1e-3)
    assert scores.dataset.attrs["bos"] == SEPARATOR and scores.dataset.attrs["half"] == TOKENS.shape[1] // 2
    assert "bos" not in induction_scores(model, TOKENS).dataset.attrs
    named = head_scores(model, WITH_BOS, scores=["prefix_matching", "previous_token"])
    assert float(named["prefix_matching"][0][INDUCTION_HEAD]) == pytest.approx(1.0, abs=1e-3)
    assert float(named["previous_token"][0][PREVIOUS_TOKEN_HEAD]) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("n_bos", [0, 1])
def test_the_kernel_shifts_its_targets(n_bos: int) -> None:
    """A head that looks `half - 1` tokens back, wherever the halves begin."""
    half = 5
    looks = pattern(2 * half + n_bos, lambda query: max(query - half + 1, 0))[None, None]
    assert induction_attention(looks).tolist() == [1.0]
    queries, keys = induction_targets(half, n_bos)
    assert ((queries - keys).unique().tolist(), int(keys[0]), int(queries[-1])) == (
        [half - 1],
        1 + n_bos,
        2 * half - 2 + n_bos,
    )


def test_the_same_head_one_token_off_scores_nothing() -> None:
    looks = pattern(11, lambda query: max(query - 5, 0))[None, None]
    assert induction_attention(looks).tolist() == [0.0]


def test_repeated_tokens_begin_with_bos() -> None:
    options = {"n_sequences": 4, "half": 6, "alphabet": range(1, 9), "seed": 3}
    plain, with_bos = repeated_tokens(**options), repeated_tokens(**options, bos=0)
    assert with_bos.shape == (4, 13) and (with_bos[:, 0] == 0).all()
    assert torch.equal(with_bos[:, 1:], plain)


@pytest.mark.parametrize("bos", [5, -1, True])
def test_a_bos_of_the_alphabet_is_refused(bos: int) -> None:
    with pytest.raises(ValueError, match=f"neither in the alphabet nor a separator, got {bos}"):
        repeated_tokens(n_sequences=1, half=3, alphabet=[5, 6, 1], seed=0, bos=bos)
    with pytest.raises(ValueError, match=f"neither in the alphabet nor a separator, got {bos}"):
        CopyTask(n_sequences=1, n_samples=1, alphabet=(5, 6, 1), separator=9, bos=bos)
    with pytest.raises(ValueError, match="nor a separator, got 9"):
        CopyTask(n_sequences=1, n_samples=1, alphabet=(5, 6, 1), separator=9, bos=9)


def test_rows_whose_first_token_differs_are_no_bos_rows() -> None:
    other = WITH_BOS.clone()
    other[1, 0] = 7
    for tokens in (other, WITH_BOS[:, 1:-1], WITH_BOS[:, :6]):
        with pytest.raises(ValueError, match=r"two identical halves of 3 tokens or more .* \(BOS\) or none"):
            induction_scores(induction_circuit(), tokens)


def copy_samples(bos: int | None) -> CopySamples:
    """Two strings of 6 + 4 tokens, all of them different, so that perfect induction is well defined."""
    task = CopyTask(
        n_sequences=2,
        n_prefix=6,
        n_suffix=4,
        n_samples=3,
        query_every=1,
        alphabet=tuple(range(1, 21)),
        separator=21,
        bos=bos,
    )
    generator = torch.Generator().manual_seed(0)
    strings = [1 + torch.randperm(20, generator=generator) for _ in range(3)]
    return CopySamples(task, torch.stack(strings).unflatten(1, (2, 10)))


def test_the_copying_test_begins_with_bos_and_asks_for_the_same() -> None:
    plain, with_bos = copy_samples(None), copy_samples(SEPARATOR)
    assert with_bos.task.n_tokens == plain.task.n_tokens + 1 == 33
    assert (with_bos.context[:, 0] == SEPARATOR).all() and torch.equal(with_bos.context[:, 1:], plain.context)
    assert all(torch.equal(with_bos.query(index), plain.query(index)) for index in range(2))
    model = induction_circuit()
    for each in (model, to_hooked_transformer(model)):
        assert copying_accuracy(each, with_bos).exact_match().to_numpy().tolist() == [1.0]


@pytest.mark.parametrize(("n_ctx", "bos", "n_sequences"), [(17, None, 1), (18, 0, 1), (26, None, 2), (26, 0, 1)])
def test_bos_takes_its_place_in_the_context(n_ctx: int, bos: int | None, n_sequences: int) -> None:
    """A string of 6 + 2 and its separator are 9 tokens, the query 8."""
    task = CopyTask.fitting(
        n_ctx, n_prefix=6, n_suffix=2, n_samples=1, alphabet=tuple(range(1, 9)), separator=9, bos=bos
    )
    assert task.n_sequences == n_sequences


def test_a_context_without_room_for_bos_is_refused() -> None:
    with pytest.raises(ValueError, match="needs 18 tokens, the context holds 17: take at most 0 sequences"):
        CopyTask.fitting(17, n_prefix=6, n_suffix=2, n_samples=1, alphabet=tuple(range(1, 9)), separator=9, bos=0)


def test_the_loss_after_bos_is_a_loss_like_any_other() -> None:
    model = random_model(ground_truth.LLAMA)
    tokens = torch.arange(1, 13).repeat(3, 1)
    with_bos: Tensor = after_bos(tokens, 0)
    losses = position_losses(model, with_bos)
    assert losses.dataset.sizes["pos"] == 12, "the first is that of the token after BOS"
    scores = model(with_bos[:, :1])[:, 0].detach().log_softmax(dim=-1)
    assert float(losses["loss"][0, 0]) == pytest.approx(-float(scores[:, 1].mean()), rel=1e-5)
    np.testing.assert_array_equal(after_bos(tokens, None), tokens)
