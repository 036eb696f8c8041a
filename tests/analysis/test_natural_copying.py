"""Copying in natural text: exact on circuits and losses written by hand, and intervals that cover."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from ground_truth import (
    CIRCUIT,
    LLAMA,
    MODULAR,
    induction_circuit,
    measured,
    random_model,
    random_tokens,
    repeated_distinct_tokens,
)
from scipy import stats
from torch import Tensor

from grok_interp import to_hooked_transformer
from grok_interp.analysis.natural_copying import NaturalCopying, natural_copying, token_losses
from grok_interp.analysis.pair_estimates import MEASURES, clustered_margin, pair_estimates
from grok_interp.configs import ModelConfig
from grok_interp.data.ngrams import RepeatedNgrams, repeated_ngrams
from grok_interp.models.transformer import Transformer
from grok_interp.models.weights import canonical_views

FAMILIES = pytest.mark.parametrize("cfg", [LLAMA, MODULAR], ids=["llama", "modular"])


def text_with_repeats(cfg: ModelConfig, *, n_windows: int = 7, seed: int = 0) -> Tensor:
    """Random windows of few different tokens, so that pairs of tokens come again."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 3, (n_windows, cfg.n_ctx), generator=generator)


def without_attention(cfg: ModelConfig):
    """A random model whose heads write nothing: it reads the current token only."""
    model = random_model(cfg)
    for name, weight in canonical_views(model).items():
        if name.endswith("W_O"):
            weight.zero_()
    return model


# Known answers


def test_the_induction_circuit_loses_nothing_at_repeats() -> None:
    result = natural_copying([(0, induction_circuit())], repeated_distinct_tokens(half=19), n=3)
    first, repeat, benefit = (result[name].sel(estimate="mean").item() for name in ("first", "repeat", "benefit"))
    assert repeat < 1e-6 and first > math.log(CIRCUIT.d_vocab)
    assert benefit == pytest.approx(first, abs=1e-6)
    assert result["benefit"].sel(estimate="low").item() > math.log(CIRCUIT.d_vocab)
    assert result.dataset.attrs["n_pairs"] == 5 * (19 - 3) and result.dataset.attrs["n_documents"] == 5


def test_the_circuit_copies_only_as_it_forms() -> None:
    models = [(step, induction_circuit(sharpness=sharpness)) for step, sharpness in ((0, 0.0), (30, 30.0))]
    benefit = natural_copying(models, repeated_distinct_tokens(half=19), n=3)["benefit"]
    assert benefit["checkpoint"].to_numpy().tolist() == [0, 30]
    assert benefit[1, 0] > benefit[0, 0] + 1


@pytest.mark.parametrize("n", [1, 2])
def test_a_model_that_reads_no_further_than_the_ngram_has_no_benefit(n: int) -> None:
    windows = text_with_repeats(LLAMA)
    result = natural_copying([(0, without_attention(LLAMA))], windows, n=n)
    np.testing.assert_allclose(result["benefit"], 0, atol=1e-5)
    assert result["first"].sel(estimate="mean").item() > 0.1
    reads_more = natural_copying([(0, random_model(LLAMA))], windows, n=n)
    assert abs(reads_more["benefit"].sel(estimate="mean").item()) > 1e-3


def test_a_loss_that_depends_on_the_position_alone_is_all_position_effect() -> None:
    windows = torch.cat([torch.tensor([[1, 2, 5, 1, 2, 6, 7, 8]]), 10 + torch.arange(16).reshape(2, 8)])
    pairs = repeated_ngrams(windows, n=1)
    losses = np.tile(10.0 - np.arange(8), (3, 1))
    estimates = dict(zip(MEASURES, pair_estimates(losses, pairs, np.arange(3))[:, 0], strict=True))
    assert estimates == {"first": 9.0, "repeat": 6.0, "benefit": 3.0, "position": 3.0, "adjusted": 0.0}


def test_estimates_read_by_eye() -> None:
    """Two pairs in window 0 and one in window 1; window 2 has unrepeated tokens only, U = 4 and 3."""
    unrepeated = np.zeros((3, 5), dtype=bool)
    unrepeated[2] = True
    pairs = RepeatedNgrams(np.array([0, 0, 1]), np.array([1, 2, 1]), np.array([3, 4, 3]), unrepeated)
    losses = np.array([[np.nan, 5, 6, 1, 2], [np.nan, 4, 9, 3, 9], [np.nan, 4, 4, 3, 3]])
    mean, low, high = pair_estimates(losses, pairs, np.array([0, 1, 2])).T
    assert mean.tolist() == [5.0, 2.0, 3.0, 1.0, 2.0]
    benefit_error = math.sqrt(2 / 1 * ((4 - 3 + 4 - 3) ** 2 + (1 - 3) ** 2)) / 3  # documents 0 and 1
    margin = stats.t.ppf(0.975, 1) * benefit_error
    np.testing.assert_allclose([low[2], high[2]], [3 - margin, 3 + margin])


def test_the_control_is_undefined_where_no_token_is_unrepeated() -> None:
    result = natural_copying([(0, induction_circuit())], repeated_distinct_tokens(half=19), n=3)
    for name in MEASURES:
        assert bool(result[name].isnull().all()) == (name in ("position", "adjusted"))


# Intervals


def test_one_pair_in_each_document_gives_the_interval_of_the_t_test() -> None:
    losses = np.random.default_rng(0).normal(size=(11, 6))
    once = np.full(11, 1)
    pairs = RepeatedNgrams(np.arange(11), once, 3 * once, np.ones((11, 6), dtype=bool))
    mean, low, high = pair_estimates(losses, pairs, np.arange(11))[MEASURES.index("benefit")]
    expected = stats.ttest_1samp(losses[:, 1] - losses[:, 3], 0).confidence_interval(0.95)
    assert mean == pytest.approx((losses[:, 1] - losses[:, 3]).mean())
    np.testing.assert_allclose([low, high], expected)


def test_copies_of_a_document_do_not_make_the_interval_narrower() -> None:
    """Every window twice, its copies in the same document: the same interval; as documents of their own: narrower."""
    losses, pairs, clusters = simulated(np.random.default_rng(1), n_documents=9)
    twice = RepeatedNgrams(
        np.concatenate([pairs.window, pairs.window + len(losses)]),
        np.tile(pairs.first, 2),
        np.tile(pairs.repeat, 2),
        np.tile(pairs.unrepeated, (2, 1)),
    )
    once = pair_estimates(losses, pairs, clusters)
    together = pair_estimates(np.tile(losses, (2, 1)), twice, np.tile(clusters, 2))
    apart = pair_estimates(np.tile(losses, (2, 1)), twice, np.concatenate([clusters, clusters + 9]))
    np.testing.assert_allclose(together, once)
    assert (np.diff(apart[:, 1:]) < 0.8 * np.diff(once[:, 1:])).all()


def test_the_influence_of_a_document_is_the_derivative_by_its_weight() -> None:
    losses, pairs, clusters = simulated(np.random.default_rng(2), n_documents=5)
    derivative = np.stack(
        [
            (weighted(losses, pairs, clusters, 1 + step) - weighted(losses, pairs, clusters, 1 - step)) / 2e-5
            for step in 1e-5 * np.eye(5)
        ],
        axis=1,
    )
    estimates = pair_estimates(losses, pairs, clusters)
    np.testing.assert_allclose(estimates[:, 0], weighted(losses, pairs, clusters, np.ones(5)))
    margin = clustered_margin(derivative, n_clusters=4)  # one of the five documents has no pair
    np.testing.assert_allclose(estimates[:, 2] - estimates[:, 0], margin, rtol=1e-5)


def weighted(losses: np.ndarray, pairs: RepeatedNgrams, clusters: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The five measures with a weight for each document."""
    of_window = weights[clusters]
    unrepeated = pairs.unrepeated * of_window[:, None]
    typical = (unrepeated * losses).sum(axis=0) / unrepeated.sum(axis=0)
    of_pair = of_window[pairs.window]
    first, repeat, position = (
        np.average(values, weights=of_pair)
        for values in (
            losses[pairs.window, pairs.first],
            losses[pairs.window, pairs.repeat],
            typical[pairs.first] - typical[pairs.repeat],
        )
    )
    return np.array([first, repeat, first - repeat, position, first - repeat - position])


TRUE = dict(zip(MEASURES, (4.0, 1.5, 2.5, 0.5, 2.0), strict=True))


def simulated(generator: np.random.Generator, *, n_documents: int) -> tuple[np.ndarray, RepeatedNgrams, np.ndarray]:
    """Windows of 4 positions with a pair at 1 and 2; those without one have unrepeated tokens there.

    Documents have 1 to 8 windows and differ in all their losses, whose expectations are TRUE.
    """
    clusters = np.repeat(np.arange(n_documents), 1 + np.arange(n_documents) % 8)
    unrepeated = np.zeros((len(clusters), 4), dtype=bool)
    unrepeated[::2] = True
    paired = np.flatnonzero(~unrepeated[:, 0])
    effects = generator.normal(scale=0.5, size=(2, n_documents, 4))[:, clusters]
    expected = np.where(unrepeated, [3.0, 5.0, 4.5, 3.0], [3.0, TRUE["first"], TRUE["repeat"], 3.0])
    noise = generator.normal(scale=0.3, size=expected.shape)
    losses = expected + np.where(unrepeated, *effects) + noise
    once = np.ones(len(paired), dtype=np.int64)
    return losses, RepeatedNgrams(paired, once, 2 * once, unrepeated), clusters


def coverage(n_documents: int, *, clustered: bool, n_draws: int = 1000) -> Sequence[float]:
    generator, expected = np.random.default_rng(3), np.array(list(TRUE.values()))
    covered = np.zeros(len(MEASURES))
    for _ in range(n_draws):
        losses, pairs, clusters = simulated(generator, n_documents=n_documents)
        _, low, high = pair_estimates(losses, pairs, clusters if clustered else np.arange(len(losses))).T
        covered += (low <= expected) & (expected <= high)
    return covered / n_draws


def test_intervals_over_documents_cover_the_expectation_19_times_in_20() -> None:
    assert all(0.92 < each < 0.975 for each in coverage(40, clustered=True))


def test_intervals_over_windows_do_not() -> None:
    assert all(each < 0.85 for each in coverage(40, clustered=False, n_draws=300))


def test_one_document_has_no_interval() -> None:
    windows = repeated_distinct_tokens(half=19)
    documents = torch.zeros(len(windows), dtype=torch.int64)
    result = natural_copying([(0, induction_circuit())], windows, n=3, documents=documents)
    low_and_high = result["benefit"].sel(estimate=["low", "high"])
    assert low_and_high.isnull().all() and result["benefit"].sel(estimate="mean").notnull().all()
    assert "(no interval)" in str(result)


def test_documents_are_labels_of_any_value() -> None:
    windows, models = text_with_repeats(LLAMA), [(0, random_model(LLAMA))]
    few, other = torch.tensor([0, 0, 1, 1, 2, 2, 2]), torch.tensor([9, 9, -4, -4, 700, 700, 700])
    results = [natural_copying(models, windows, n=2, documents=documents).dataset for documents in (few, other)]
    np.testing.assert_allclose(*(each.to_dataarray() for each in results))
    alone = natural_copying(models, windows, n=2).dataset
    means = (each.sel(estimate="mean").to_dataarray() for each in (alone, results[0]))
    np.testing.assert_allclose(*means)
    assert not np.allclose(alone["first"].sel(estimate="low"), results[0]["first"].sel(estimate="low"))


# Contracts


@FAMILIES
def test_losses_are_those_of_the_next_token(cfg: ModelConfig) -> None:
    model, windows = random_model(cfg), random_tokens(cfg)
    log_probabilities = model(windows[:, :-1]).log_softmax(dim=-1)
    expected = -log_probabilities.gather(-1, windows[:, 1:, None])[..., 0]
    losses = token_losses(model, windows, batch_size=2)
    assert losses.shape == windows.shape and losses[:, 0].isnan().all()
    torch.testing.assert_close(losses[:, 1:], expected)


@FAMILIES
@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_the_batch_size_does_not_matter(cfg: ModelConfig, batch_size: int) -> None:
    models, windows = [(0, random_model(cfg))], text_with_repeats(cfg)
    in_parts, whole = (measured(natural_copying(models, windows, n=2, batch_size=size)) for size in (batch_size, 64))
    np.testing.assert_allclose(in_parts, whole, rtol=1e-4, atol=1e-5)


@FAMILIES
def test_the_librarys_own_model_copies_the_same(cfg: ModelConfig) -> None:
    model, windows = random_model(cfg), text_with_repeats(cfg)
    theirs = measured(natural_copying([(0, to_hooked_transformer(model))], windows, n=2))
    np.testing.assert_allclose(theirs, measured(natural_copying([(0, model)], windows, n=2)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("side", ["left", "right"])
def test_pads_change_no_number_and_no_interval(side: str) -> None:
    """The rows alone, put together by hand, against the padded batch; the pad repeats a token of the text."""
    model, lengths = random_model(LLAMA), (16, 11, 13, 9, 7)
    rows = [row[:length] for row, length in zip(text_with_repeats(LLAMA, n_windows=5), lengths, strict=True)]
    tokens, mask = padded(rows, side=side)
    found = natural_copying(model, tokens, n=1, attention_mask=mask)
    np.testing.assert_allclose(measured(found)[:, 0], estimates_row_by_row(model, rows, n=1), rtol=1e-4, atol=1e-6)
    assert abs(measured(natural_copying(model, tokens, n=1)) - measured(found)).max() > 1e-2


def padded(rows: list[Tensor], *, side: str) -> tuple[Tensor, Tensor]:
    """(tokens, attention mask): rows as long as the longest, with token 1 as the pad."""
    longest = max(map(len, rows))
    gaps = [(longest - len(row), 0) if side == "left" else (0, longest - len(row)) for row in rows]
    tokens = torch.stack([F.pad(row, gap, value=1) for row, gap in zip(rows, gaps, strict=True)])
    return tokens, torch.stack([F.pad(torch.ones_like(row), gap) for row, gap in zip(rows, gaps, strict=True)])


def estimates_row_by_row(model: Transformer, rows: list[Tensor], *, n: int) -> np.ndarray:
    """Each row read and searched alone; NaN, which would spread to every mean, where it has no token."""
    longest = max(map(len, rows))
    losses = [
        F.pad(token_losses(model, row[None], batch_size=1)[0], (0, longest - len(row)), value=torch.nan) for row in rows
    ]
    alone = [repeated_ngrams(row[None], n=n) for row in rows]
    window = np.concatenate([np.full(len(pairs), index) for index, pairs in enumerate(alone)])
    first, repeat = (np.concatenate([getattr(pairs, name) for pairs in alone]) for name in ("first", "repeat"))
    unrepeated = np.stack(
        [np.pad(pairs.unrepeated[0], (0, longest - len(row))) for pairs, row in zip(alone, rows, strict=True)]
    )
    pairs = RepeatedNgrams(window, first, repeat, unrepeated)
    return pair_estimates(torch.stack(losses).double().numpy(), pairs, np.arange(len(rows)))


def test_axes_units_and_words(tmp_path) -> None:
    windows = text_with_repeats(LLAMA)
    before = windows.clone()
    models = [(0, random_model(LLAMA)), (30, random_model(LLAMA, seed=1))]
    result = natural_copying(models, windows, n=2)
    assert measured(result).shape == (5, 2, 3) and torch.equal(windows, before)
    assert result["benefit"].attrs["units"] == "nats per token" and result.dataset.attrs["n"] == 2
    assert str(result).startswith("natural copying at 2 checkpoints, ")
    result.save(tmp_path / "result.nc")
    assert NaturalCopying.load(tmp_path / "result.nc").dataset.equals(result.dataset)
    np.testing.assert_allclose(measured(result)[:, 1:], measured(natural_copying(models[1:], windows, n=2)))


def test_what_cannot_be_measured_is_refused() -> None:
    models, windows = [(0, random_model(LLAMA))], text_with_repeats(LLAMA)
    with pytest.raises(ValueError, match=r"none of the 1 window of 16 tokens repeats 3 tokens \(n = 2 and the next\)"):
        natural_copying(models, torch.arange(16)[None], n=2)
    with pytest.raises(ValueError, match="expected 7 entries, got 6"):
        natural_copying(models, windows, n=2, documents=torch.arange(6))
    with pytest.raises(
        ValueError, match=r"attention_mask must hold 1 at tokens and 0 at pads, with the shape \(7, 19\)"
    ):
        natural_copying(models, windows, n=2, attention_mask=torch.ones(7, 15))
    with pytest.raises(ValueError, match="no checkpoints were given"):
        natural_copying([], windows, n=2)
    with pytest.raises(KeyError, match="no 'loss' in this result, it has first, repeat, benefit, position, adjusted"):
        natural_copying(models, windows, n=2)["loss"]
