"""Similarity matrices, the patterns of the two algorithms in them, and MLP neurons over all pairs."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from fourier_truth import COPYING_HEAD, fourier_model
from ground_truth import LLAMA, MODULAR, measured, random_model
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import Tensor

from grok_interp import to_hooked_transformer
from grok_interp.analysis.kaleidoscope import (
    PATTERNS,
    Kaleidoscope,
    kaleidoscope,
    rank_correlations,
    ratio_pattern,
    regression_pattern,
)
from grok_interp.analysis.mlp import MLPActivations, mlp_activations
from grok_interp.analysis.shuffles import shuffled_orders
from grok_interp.analysis.similarity import CosineSimilarity, cosine_similarity, pearson_similarity
from grok_interp.configs import ModelConfig
from grok_interp.data.slot import Position, slot_sequences
from grok_interp.models.transformer import Transformer
from grok_interp.models.weights import canonical_views

FAMILIES = pytest.mark.parametrize("cfg", [LLAMA, MODULAR], ids=["llama", "modular"])
POSITIONS = pytest.mark.parametrize(("position", "index"), [("x", 6), ("y", 7), ("z", 8)])
TASKS = pytest.mark.parametrize(("task", "p"), [((2, 6), 7), ((0, 3), 5), ((1, 1), 3), ((4, 0), 11)])
WHERE: dict[str, Any] = dict(p=5, slot=2)


def tokens_of(p: int = 5) -> Tensor:
    return slot_sequences((2, 1), p, slot=2, n_examples=4, seed=0)


def as_result(matrices: Tensor, task: tuple[int, int], p: int) -> CosineSimilarity:
    """A result from matrices checkpoint x pair x other pair."""
    sizes = dict(zip(CosineSimilarity.dims, map(range, matrices.shape), strict=True))
    attrs = {"p": p, "a": task[0], "b": task[1], "slot": 3, "position": "z", "layer": 1, "head": None}
    return CosineSimilarity.of_arrays({"similarity": matrices}, sizes, attrs)


def in_given_order(similarity: Tensor, alike: Tensor) -> list[float]:
    """[Spearman's, rank-biserial]."""
    return rank_correlations(similarity, alike, torch.arange(len(alike))[None])[:, 0].tolist()


def spearman(found: Kaleidoscope, pattern: str) -> np.ndarray:
    return found["spearman"].sel(pattern=pattern).to_numpy()


# Similarity


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 999), scale=st.floats(1e-3, 1e3), shift=st.floats(-10, 10))
def test_similarity_is_pearsons_correlation_of_every_two_vectors(seed: int, scale: float, shift: float) -> None:
    vectors = torch.randn(7, 11, generator=torch.Generator().manual_seed(seed))
    found = pearson_similarity(vectors)
    np.testing.assert_allclose(found, np.corrcoef(vectors), atol=1e-6)
    vectors[3] = scale * vectors[3] + shift
    np.testing.assert_allclose(pearson_similarity(vectors), found, atol=1e-3)


def test_opposite_vectors_are_opposite_and_axes_at_right_angles() -> None:
    vectors = torch.tensor([[1.0, -1.0, 0.0, 0.0], [-2.0, 2.0, 0.0, 0.0], [5.0, 5.0, 6.0, 4.0]])
    expected = torch.tensor([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(pearson_similarity(vectors), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("constant", [0.0, 0.1, -3e4, 1e-30])
def test_a_vector_that_does_not_vary_is_similar_to_nothing(constant: float, dtype: torch.dtype) -> None:
    vectors = torch.randn(5, 13, generator=torch.Generator().manual_seed(0)).to(dtype)
    others = pearson_similarity(vectors)
    vectors[2] = constant
    found = pearson_similarity(vectors)
    assert not found[2].any() and not found[:, 2].any() and not found.isnan().any()
    torch.testing.assert_close(found[[0, 1, 3, 4]][:, [0, 1, 3, 4]], others[[0, 1, 3, 4]][:, [0, 1, 3, 4]])


@FAMILIES
@POSITIONS
@pytest.mark.parametrize("head", [None, 1])
def test_what_is_compared_is_what_the_cache_holds(
    cfg: ModelConfig, position: Position, index: int, head: int | None
) -> None:
    model, tokens = random_model(cfg), tokens_of()
    name = "blocks.1.hook_resid_post" if head is None else "blocks.1.attn.hook_result"
    _, cache = model.run_with_cache(tokens, names_filter=name)
    vectors = cache[name][:, index] if head is None else cache[name][:, index, head]
    for batch_size in (256, 7):
        options = WHERE | dict(position=position, layer=1, head=head, batch_size=batch_size)
        found = cosine_similarity([(0, model)], tokens=tokens, **options)
        np.testing.assert_allclose(found["similarity"][0], np.corrcoef(vectors.detach()), atol=1e-4)


@FAMILIES
@pytest.mark.parametrize("head", [None, 0])
def test_the_librarys_own_model_has_the_same_similarity(cfg: ModelConfig, head: int | None) -> None:
    model = random_model(cfg)
    ours, theirs = (
        cosine_similarity([(0, each)], tokens=tokens_of(), **WHERE, position="z", layer=1, head=head)["similarity"]
        for each in (model, to_hooked_transformer(model))
    )
    np.testing.assert_allclose(theirs, ours, atol=1e-4)


def test_the_x_of_a_causal_model_does_not_know_y() -> None:
    found = cosine_similarity([(0, random_model(MODULAR))], tokens=tokens_of(), **WHERE, position="x", layer=2)
    blocks = found["similarity"][0].to_numpy().reshape(5, 5, 5, 5)  # x y x' y'
    np.testing.assert_allclose(blocks, blocks[:, :1, :, :1] * np.ones((5, 5, 5, 5)), atol=1e-5)
    assert blocks[0, 0, 1, 0] < 0.99


def test_opposite_points_of_a_circle_have_opposite_outputs() -> None:
    """At the first token of all, the copying head writes x's point and nothing else."""
    model, p = fourier_model(5, frequency=1), 5
    tokens = slot_sequences((1, 0), p, slot=0, n_examples=1, seed=0)
    layer, head = COPYING_HEAD
    found = cosine_similarity([(0, model)], p, tokens, slot=0, position="x", layer=layer, head=head)["similarity"][0]
    logs = {1: 0, 2: 1, 4: 2, 3: 3}  # to base 2
    for x, log_x in logs.items():
        for other, log_other in logs.items():
            expected = np.cos(2 * np.pi * (log_x - log_other) / 4)
            assert float(found[p * x, p * other]) == pytest.approx(expected, abs=1e-5)
    assert not found[:p].any(), "zero has the zero vector"


def test_similarities_are_labelled_and_say_how_they_were_made() -> None:
    series = [(step, random_model(MODULAR, seed=step)) for step in (3, 30)]
    found = cosine_similarity(series, tokens=tokens_of(), **WHERE, position="y", layer=0, head=1)
    assert dict(found.dataset.sizes) == {"checkpoint": 2, "pair": 25, "other_pair": 25}
    assert found.dataset["checkpoint"].to_numpy().tolist() == [3, 30]
    assert found.dataset.attrs == {"p": 5, "a": 2, "b": 1, "slot": 2, "position": "y", "layer": 0, "head": 1}
    assert str(found) == "similarity of 25 pairs at y of slot 2, L0H1, task (2, 1), 2 checkpoints"
    assert "block 1, task" in str(cosine_similarity(series, tokens=tokens_of(), **WHERE, position="y", layer=1))


def test_what_is_not_there_is_refused() -> None:
    series, tokens = [(0, random_model(MODULAR))], tokens_of()
    with pytest.raises(ValueError, match="no head L3H0: the model has 3 layers of 2 heads"):
        cosine_similarity(series, tokens=tokens, **WHERE, position="x", layer=3, head=0)
    with pytest.raises(ValueError, match="no activation at .*blocks.3.hook_resid_post"):
        cosine_similarity(series, tokens=tokens, **WHERE, position="x", layer=3)
    with pytest.raises(ValueError, match="no activation at .*blocks.3.mlp.hook_post"):
        mlp_activations(series, tokens=tokens, **WHERE, position="x", layer=3)
    for analyzer in (cosine_similarity, mlp_activations):
        with pytest.raises(ValueError, match="layer must be 0 or more, got -1: layers are counted from 0, the last is"):
            analyzer(series, tokens=tokens, **WHERE, position="x", layer=-1)
        with pytest.raises(ValueError, match="slot 2 of the 24 sequences does not run over the 25 pairs of one task"):
            analyzer(series, tokens=tokens[1:], **WHERE, position="x", layer=0)


def test_model_and_tokens_are_left_as_they_were() -> None:
    model, tokens = random_model(replace(MODULAR, attn_dropout=0.5)).train(), tokens_of()
    weights = {name: view.clone() for name, view in canonical_views(model).items()}
    before = tokens.clone()
    found = cosine_similarity([(0, model)], tokens=tokens, **WHERE, position="z", layer=1)
    matrix = found["similarity"].copy(deep=True)
    kaleidoscope(found, seed=0)
    mlp_activations([(0, model)], tokens=tokens, **WHERE, position="z", layer=1).most_varied(3)
    assert model.training and torch.equal(tokens, before) and found["similarity"].equals(matrix)
    assert all(torch.equal(view, weights[name]) for name, view in canonical_views(model).items())


# Kaleidoscopes


def test_patterns_read_by_eye() -> None:
    """p = 3: pairs 00 01 02 10 11 12 20 21 22; lines {01, 02}, {10, 20}, {11, 22}, {12, 21}."""
    lines = {(1, 2), (3, 6), (4, 8), (5, 7)}
    above = {tuple(pair) for pair in ratio_pattern(3).triu(1).nonzero().tolist()}
    assert above == lines
    levels = regression_pattern((1, 1), 3)
    assert levels[0].nonzero().flatten().tolist() == [0, 5, 7]  # x + y = 0
    assert levels[1].nonzero().flatten().tolist() == [1, 3, 8]  # x + y = 1
    assert regression_pattern((1, 0), 3)[4].nonzero().flatten().tolist() == [3, 4, 5]  # x = 1
    for pattern in (ratio_pattern(3), levels):
        assert torch.equal(pattern, pattern.T) and pattern.diagonal().all()


@TASKS
def test_each_pattern_is_found_perfectly_and_the_other_not_at_all(task: tuple[int, int], p: int) -> None:
    patterns = {"ratio matching": ratio_pattern(p), "modular regression": regression_pattern(task, p)}
    found = kaleidoscope(as_result(0.9 * torch.stack(list(patterns.values())).float() - 0.3, task, p), seed=0)
    for measure in ("spearman", "rank_biserial"):
        values = found[measure].sel(pattern=list(PATTERNS))
        np.testing.assert_allclose(values, np.eye(2), atol=1e-6)
    opposite = kaleidoscope(as_result(-torch.stack(list(patterns.values())).float(), task, p), seed=0)
    np.testing.assert_allclose(spearman(opposite, "ratio matching"), [-1.0, 0.0], atol=1e-6)


def test_the_null_of_a_perfect_pattern_is_about_zero() -> None:
    found = kaleidoscope(as_result(ratio_pattern(7).float()[None], (2, 6), 7), seed=0).dataset.isel(checkpoint=0)
    assert (abs(found["null_mean"]) < 0.01).all()
    assert ((found["null_q95"] > 0.01) & (found["null_q95"] < 0.1)).all()


def test_the_null_is_that_of_spearmans() -> None:
    p, task = 5, (2, 1)
    similarity = torch.rand(p * p, p * p, generator=torch.Generator().manual_seed(0))
    similarity, above = similarity + similarity.T, tuple(torch.triu_indices(p * p, p * p, 1))
    shuffled = [similarity[order][:, order] for order in shuffled_orders(p * p, n_shuffles=30, seed=4)]
    alike = regression_pattern(task, p)[above].float()
    null = [spearmanr(each[above], alike).statistic for each in shuffled]
    found = kaleidoscope(as_result(similarity[None], task, p), seed=4, n_shuffles=30)
    values = [found[name].sel(pattern="modular regression").item() for name in ("null_mean", "null_q95")]
    np.testing.assert_allclose(values, [np.mean(null), np.quantile(null, 0.95)], atol=1e-5)


def test_vectors_that_hold_the_ratio_show_ratio_matching() -> None:
    """One direction a line; what is written besides is smaller."""
    p, generator = 5, torch.Generator().manual_seed(0)
    lines = ratio_pattern(p).float()
    noise = 0.05 * torch.randn(p * p, p * p, generator=generator)
    found = kaleidoscope(as_result(pearson_similarity(lines + noise)[None], (2, 1), p), seed=0)
    matching, regression = found["rank_biserial"].isel(checkpoint=0).to_numpy()
    assert matching == pytest.approx(1.0) and abs(regression) < 0.2
    assert str(found).startswith("rank correlation at the last checkpoint: ratio matching 0.")


def test_an_untrained_model_shows_modular_regression_at_z_where_it_reads_z_and_not_at_y() -> None:
    series, tokens = [(0, Transformer(MODULAR, seed=0).eval())], tokens_of()
    at_z, at_y = (
        cosine_similarity(series, tokens=tokens, **WHERE, position=position, layer=0) for position in ("z", "y")
    )
    found = [kaleidoscope(each, seed=0)["rank_biserial"].sel(checkpoint=0) for each in (at_z, at_y)]
    regression_at_z, regression_at_y = (float(each.sel(pattern="modular regression")) for each in found)
    assert regression_at_z > 0.99 and abs(regression_at_y) < 0.3


@pytest.mark.parametrize("p", [5, 13])
def test_without_ties_the_limit_of_spearmans_is_the_one_stated(p: int) -> None:
    alike, generator = ratio_pattern(p), torch.Generator().manual_seed(0)
    noise = torch.rand(p * p, p * p, generator=generator)
    q = alike[tuple(torch.triu_indices(p * p, p * p, 1))].float().mean()
    found, biserial = in_given_order(alike + (noise + noise.T) / 4, alike)
    assert biserial == pytest.approx(1.0)
    assert found == pytest.approx((3 * q * (1 - q)).sqrt().item(), rel=1e-3)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 999), levels=st.sampled_from([2, 5, 1000]))
def test_rank_correlation_is_scipys(seed: int, levels: int) -> None:
    p, generator = 5, torch.Generator().manual_seed(seed)
    similarity = torch.randint(0, levels, (p * p, p * p), generator=generator).float()
    similarity = similarity.triu() + similarity.triu(1).T
    alike, order = regression_pattern((2, 1), p), torch.randperm(p * p, generator=generator)
    above = tuple(torch.triu_indices(p * p, p * p, 1))
    expected = spearmanr(similarity[order][:, order][above], alike[above].float()).statistic
    assert rank_correlations(similarity, alike, order[None])[0, 0].item() == pytest.approx(expected, abs=1e-5)
    together = in_given_order(similarity[order][:, order], alike[order][:, order])
    assert together == pytest.approx(in_given_order(similarity, alike), abs=1e-5)


def test_a_matrix_that_is_the_same_everywhere_shows_nothing() -> None:
    found = kaleidoscope(as_result(torch.full((1, 25, 25), 0.4), (2, 1), 5), seed=0)
    assert not measured(found).any()


def test_the_diagonal_does_not_count() -> None:
    alike = ratio_pattern(5)
    matrix = alike.float().fill_diagonal_(-7.0)
    assert in_given_order(matrix, alike) == pytest.approx([1.0, 1.0])


def test_kaleidoscopes_are_labelled_and_say_how_they_were_made() -> None:
    similarity = as_result(torch.rand(3, 25, 25), (2, 1), 5)
    found = kaleidoscope(similarity, seed=4, n_shuffles=30)
    assert dict(found.dataset.sizes) == {"checkpoint": 3, "pattern": 2}
    assert found.dataset.attrs == similarity.dataset.attrs | {"seed": 4, "n_shuffles": 30}
    assert kaleidoscope(similarity, seed=4, n_shuffles=30).dataset.equals(found.dataset)


@pytest.mark.parametrize(("task", "p"), [((0, 0), 5), ((1, 1), 2)])
def test_where_there_is_no_pattern_is_refused(task: tuple[int, int], p: int) -> None:
    with pytest.raises(ValueError, match=rf"task \({task[0]}, {task[1]}\) with p = {p} has no pattern to compare with"):
        kaleidoscope(as_result(torch.rand(1, p * p, p * p), task, p), seed=0)


# MLP neurons


def activations_of(model: object, position: Position = "z") -> MLPActivations:
    return mlp_activations([(0, model)], tokens=tokens_of(), **WHERE, position=position, layer=1)


@FAMILIES
@POSITIONS
def test_neurons_are_those_of_the_cache(cfg: ModelConfig, position: Position, index: int) -> None:
    model = random_model(cfg)
    _, cache = model.run_with_cache(tokens_of(), names_filter="blocks.1.mlp.hook_post")
    expected = cache["blocks.1.mlp.hook_post"][:, index].detach().unflatten(0, (5, 5))  # x y neuron
    found = activations_of(model, position)
    assert dict(found.dataset.sizes) == {"checkpoint": 1, "neuron": cfg.d_mlp, "x": 5, "y": 5}
    np.testing.assert_allclose(found["activation"][0].transpose("x", "y", "neuron"), expected, atol=1e-5)
    theirs = activations_of(to_hooked_transformer(model), position)
    np.testing.assert_allclose(theirs["activation"], found["activation"], atol=1e-4)


def test_the_neurons_that_vary_most_come_first() -> None:
    values = np.zeros((2, 4, 3, 3))
    for neuron, size in enumerate((1.0, 3.0, 0.0, 2.0)):
        values[1, neuron] = 10 + size * np.arange(9).reshape(3, 3)
        values[0, neuron] = -size + (neuron == 2) * np.arange(9).reshape(3, 3)
    sizes = dict(zip(MLPActivations.dims, map(range, values.shape), strict=True))
    found = MLPActivations.of_arrays({"activation": values}, sizes)
    assert found.most_varied(3) == [1, 3, 0] and found.most_varied(1, step=0) == [2]
    with pytest.raises(ValueError, match=r"no step 7 in this result, analyzed steps: \[0, 1\]"):
        found.most_varied(1, step=7)


def test_neurons_are_told_in_one_line() -> None:
    assert str(activations_of(random_model(MODULAR))) == (
        "112 neurons of block 1 over 25 pairs at z of slot 2, 1 checkpoint"
    )
