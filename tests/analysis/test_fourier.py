"""Fourier spectra, restricted and excluded loss, on embeddings and models with exact Fourier structure."""

import doctest
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fourier_truth import N_EXAMPLES, fourier_model, on_circle
from ground_truth import MODULAR, random_model
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from grok_interp import to_hooked_transformer
from grok_interp.analysis import fourier, fourier_loss, fourier_top
from grok_interp.analysis.fourier import (
    GROUPS,
    FourierSpectrum,
    fourier_spectrum,
    group_elements,
    projection,
    variance_fractions,
)
from grok_interp.analysis.fourier_loss import (
    FourierLoss,
    excluded_embedding,
    fourier_losses,
    restricted_embedding,
)
from grok_interp.analysis.fourier_top import TopFrequencyFraction, gaussian_spectra, top_frequency_fraction, top_sum
from grok_interp.data.discrete_log import discrete_log, primitive_root, primitive_roots
from grok_interp.models.transformer import Transformer
from grok_interp.models.weights import canonical_views
from grok_interp.training.batches import answer_loss

PRIMES = st.sampled_from([3, 5, 7, 11, 13])
EVERY_GROUP = pytest.mark.parametrize("group", GROUPS)
KINDS = pytest.mark.parametrize("kind", [lambda model: model, to_hooked_transformer], ids=["ours", "library"])


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def circle(group: str, p: int, frequency: int) -> Tensor:
    """Number x feature: cos and sin of one frequency; zero has none in the multiplicative group."""
    if group == "additive":
        points = np.exp(2j * np.pi * frequency * np.arange(p) / p)
    else:
        points = on_circle(discrete_log(p, primitive_root(p)).numpy(), frequency, p)
        points[0] = 0.0
    return torch.from_numpy(np.stack([points.real, points.imag], axis=1)).float()


def embedded(vectors: Tensor) -> SimpleNamespace:
    """What an analysis of embeddings reads of a model."""
    return SimpleNamespace(W_E=vectors)


def spectrum_of(vectors: Tensor, p: int, group: str, root: int | None = None) -> np.ndarray:
    return fourier_spectrum([(0, embedded(vectors))], p=p, root=root).at()["fraction"].sel(group=group).to_numpy()


def folded(frequency: int, n: int) -> int:
    """f and -f are one frequency, between 0 and n / 2."""
    return min(frequency % n, -frequency % n)


def copying_model(p: int, *parts: Tensor) -> Transformer:
    """`fourier_model` with other embeddings: (c, -c, d, -d) with c and d of three features, those given first."""
    model = fourier_model(p, frequency=1)
    weight = canonical_views(model)["embed.W_E"]
    weight.zero_()
    for first, part in zip((0, 6), parts, strict=False):
        half = torch.nn.functional.pad(part, (0, 3 - part.shape[1]))
        weight[:, first : first + 6] = torch.cat([half, -half], dim=1)
    return model


def contexts(p: int, *, n_contexts: int = 20, seed: int = 0) -> Tensor:
    """x y z of tasks and inputs drawn for each context."""
    generator = torch.Generator().manual_seed(seed)
    xy = torch.randint(0, p, (n_contexts, N_EXAMPLES, 2), generator=generator)
    tasks = torch.randint(0, p, (n_contexts, 1, 2), generator=generator)
    return torch.cat([xy, (tasks * xy).sum(dim=-1, keepdim=True) % p], dim=-1).flatten(1)


def losses_of(model: object, p: int, group: str, frequencies: tuple[int, ...], **options: int) -> dict[str, float]:
    found = fourier_losses([(0, model)], p, contexts(p), group=group, frequencies=frequencies, **options)
    return found.at()["loss"].to_series().to_dict()


# Spectra


@EVERY_GROUP
@pytest.mark.parametrize(("p", "frequency"), [(7, 1), (7, 3), (13, 5), (13, 6)])
def test_an_exact_frequency_has_all_the_variance(group: str, p: int, frequency: int) -> None:
    found = spectrum_of(5 + 2 * circle(group, p, frequency), p, group)
    expected = np.eye((p - 1) // 2)[frequency - 1]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_number_zero_counts_in_the_additive_group_only() -> None:
    vectors = circle("multiplicative", 7, 2)
    vectors[0] = 1e6
    np.testing.assert_allclose(spectrum_of(vectors, 7, "multiplicative"), [0, 1, 0], atol=1e-6)
    one_number_apart = spectrum_of(vectors, 7, "additive")  # a spike has all frequencies alike
    np.testing.assert_allclose(one_number_apart, [1 / 3] * 3, atol=1e-3)


def test_the_hand_built_model_divides_its_variance_between_circle_and_parity() -> None:
    """cos^2 + sin^2 = 1 at frequency 5, h^2 = 4 at frequency 6 = (p - 1) / 2."""
    model = fourier_model(13, frequency=5, parity=2.0)
    spectrum = fourier_spectrum([(0, model)], p=13)
    np.testing.assert_allclose(spectrum.at()["fraction"].sel(group="multiplicative"), [0, 0, 0, 0, 0.2, 0.8], atol=1e-6)
    assert spectrum.key_frequencies("multiplicative", 2) == (6, 5)
    assert str(spectrum).endswith("multiplicative frequency 6 (80%)")


@settings(deadline=None, max_examples=25)
@given(p=PRIMES, d_model=st.integers(1, 5), seed=st.integers(0, 999))
def test_fractions_sum_to_one_and_do_not_change_with_shift_scale_or_rotation(p: int, d_model: int, seed: int) -> None:
    vectors = normal(p, d_model, seed=seed)
    turn = torch.linalg.qr(normal(d_model, d_model, seed=seed + 1)).Q
    for group in GROUPS:
        found = spectrum_of(vectors, p, group)
        assert (found >= 0).all() and found.sum() == pytest.approx(1.0, abs=1e-5)
        np.testing.assert_allclose(spectrum_of(3 * vectors @ turn + 2, p, group), found, atol=1e-5)


@settings(deadline=None, max_examples=25)
@given(p=PRIMES, seed=st.integers(0, 999), data=st.data())
def test_a_unit_permutes_additive_frequencies_and_leaves_multiplicative_ones(p: int, seed: int, data) -> None:
    unit = data.draw(st.integers(1, p - 1))
    vectors = normal(p, 3, seed=seed)
    multiplied = vectors[unit * torch.arange(p) % p]  # x has the embedding of unit x
    before, after = spectrum_of(vectors, p, "additive"), spectrum_of(multiplied, p, "additive")
    for frequency in range(1, (p + 1) // 2):
        assert after[folded(unit * frequency, p) - 1] == pytest.approx(before[frequency - 1], abs=1e-5)
    multiplicative = spectrum_of(vectors, p, "multiplicative")
    np.testing.assert_allclose(spectrum_of(multiplied, p, "multiplicative"), multiplicative, atol=1e-5)


@settings(deadline=None, max_examples=25)
@given(p=PRIMES, seed=st.integers(0, 999), data=st.data())
def test_another_primitive_root_permutes_multiplicative_frequencies(p: int, seed: int, data) -> None:
    root, other = (data.draw(st.sampled_from(primitive_roots(p))) for _ in range(2))
    vectors, factor = normal(p, 3, seed=seed), int(discrete_log(p, root)[other])  # log to root = factor log to other
    to_root, to_other = (spectrum_of(vectors, p, "multiplicative", each) for each in (root, other))
    for frequency in range(1, (p + 1) // 2):
        assert to_other[folded(factor * frequency, p - 1) - 1] == pytest.approx(to_root[frequency - 1], abs=1e-5)
    np.testing.assert_array_equal(*(spectrum_of(vectors, p, "additive", each) for each in (root, other)))


@EVERY_GROUP
def test_fractions_are_regressions_on_cosine_and_sine(group: str) -> None:
    """The same by least squares, also at the quadratic character, whose sine is zero."""
    vectors = normal(7, 4)[group_elements(group, 7, 3)].double()
    n = len(vectors)
    centered = vectors - vectors.mean(dim=0)
    for frequency, fraction in enumerate(variance_fractions(vectors.float()).tolist(), start=1):
        angle = 2 * torch.pi * frequency * torch.arange(n).double() / n
        design = torch.stack([angle.cos(), angle.sin()], dim=1)
        fitted = design @ torch.linalg.lstsq(design, centered, driver="gelsd").solution
        assert fraction == pytest.approx((fitted.square().sum() / centered.square().sum()).item(), rel=1e-5)


def test_embeddings_that_do_not_vary_have_no_spectrum() -> None:
    spectrum = fourier_spectrum([(0, embedded(torch.full((7, 5), 0.3)))], p=7)
    assert not spectrum["fraction"].any()


def test_the_order_of_each_group() -> None:
    assert group_elements("additive", 7, 3).tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert group_elements("multiplicative", 7, 3).tolist() == [1, 3, 2, 6, 4, 5]


def test_axes_stay_apart_and_rows_are_spectra_of_their_own() -> None:
    vectors = normal(2, 3, 11, 5)
    before = vectors.clone()
    found = variance_fractions(vectors)
    assert found.shape == (2, 3, 5) and torch.equal(vectors, before)
    torch.testing.assert_close(found[1, 2], variance_fractions(vectors[1, 2]))


def test_a_spectrum_is_labeled_and_saved(tmp_path: Path) -> None:
    pairs = [(0, embedded(circle("additive", 7, 1))), (30, embedded(circle("additive", 7, 3)))]
    spectrum = fourier_spectrum(pairs, p=7, root=5)
    assert dict(spectrum.dataset.sizes) == {"group": 2, "checkpoint": 2, "frequency": 3}
    assert spectrum.dataset.attrs == {"p": 7, "root": 5}
    assert spectrum.key_frequencies("additive", 1) == (3,) and spectrum.key_frequencies("additive", 1, step=0) == (1,)
    spectrum.save(tmp_path / "spectrum.nc")
    assert FourierSpectrum.load(tmp_path / "spectrum.nc").dataset.equals(spectrum.dataset)
    assert (
        fourier_spectrum(pairs[:1], p=7, root=5)
        .extended(fourier_spectrum(pairs[1:], p=7, root=5))
        .dataset.equals(spectrum.dataset)
    )


# The top frequencies


@EVERY_GROUP
def test_gaussian_spectra_are_those_of_gaussian_embeddings(group: str) -> None:
    """The Dirichlet distribution against a simulation: means w(f) / (n - 1), and quantiles."""
    p, d_model = 13, 3
    drawn = gaussian_spectra(group, p, d_model, n_draws=20_000, seed=0)
    elements = group_elements(group, p, 2)
    simulated = variance_fractions(normal(20_000, p, d_model)[:, elements])
    expected = torch.full((6,), 2.0 / (len(elements) - 1))
    if group == "multiplicative":
        expected[-1] /= 2
    torch.testing.assert_close(drawn.mean(dim=0), expected, atol=2e-3, rtol=0)
    torch.testing.assert_close(simulated.mean(dim=0), expected, atol=2e-3, rtol=0)
    tops = [top_sum(each, 2).quantile(torch.tensor([0.05, 0.5, 0.95])) for each in (drawn, simulated)]
    torch.testing.assert_close(*tops, atol=5e-3, rtol=0)


@EVERY_GROUP
def test_a_random_embedding_is_near_chance_and_an_exact_one_is_above(group: str) -> None:
    pairs = [(0, embedded(normal(29, 64))), (1, embedded(circle(group, 29, 3)))]
    found = top_frequency_fraction(pairs, p=29, n_key=2, seed=0).dataset.sel(group=group)
    random, exact = (found.isel(checkpoint=at) for at in (0, 1))
    for null in ("null", "gaussian"):
        mean, quantile = (float(random[f"{null}_{name}"]) for name in ("mean", "q95"))
        assert abs(float(random["fraction"]) - mean) < 2 * (quantile - mean)
    assert float(exact["fraction"]) == pytest.approx(1.0)
    assert float(exact["null_q95"]) < 0.8


def test_the_top_fraction_read_by_eye() -> None:
    assert top_sum(torch.tensor([[0.1, 0.5, 0.4], [0.8, 0.0, 0.2]]), 2).tolist() == pytest.approx([0.9, 1.0])


def test_top_fractions_are_those_of_the_spectrum_and_depend_on_no_root(tmp_path: Path) -> None:
    pairs = [(step, embedded(normal(13, 5, seed=step))) for step in (0, 7)]
    tops = [top_frequency_fraction(pairs, p=13, n_key=3, seed=0, root=root) for root in (2, 6)]
    spectrum = fourier_spectrum(pairs, p=13)["fraction"].to_numpy()
    for each in tops:
        fractions = each["fraction"]
        np.testing.assert_allclose(fractions, np.sort(spectrum, axis=-1)[..., -3:].sum(-1), rtol=1e-5)
    assert str(tops[0]).startswith("fraction of the variance in the top 3 frequencies at the last checkpoint: ")
    tops[0].save(tmp_path / "tops.nc")
    assert TopFrequencyFraction.load(tmp_path / "tops.nc").dataset.equals(tops[0].dataset)


# Restricted and excluded embeddings


@settings(deadline=None, max_examples=25)
@given(p=PRIMES, seed=st.integers(0, 999), group=st.sampled_from(GROUPS), data=st.data())
def test_restricted_and_excluded_parts_add_up_and_have_their_frequencies(p: int, seed: int, group, data) -> None:
    key = data.draw(st.lists(st.integers(1, (p - 1) // 2), min_size=1, unique=True))
    vectors, elements = normal(p, 4, seed=seed), group_elements(group, p, primitive_root(p))
    before = vectors.clone()
    restricted, excluded = (edit(vectors, elements, key) for edit in (restricted_embedding, excluded_embedding))
    assert torch.equal(vectors, before)
    mean = vectors[elements].mean(dim=0)
    torch.testing.assert_close((restricted + excluded)[elements] - mean, vectors[elements])
    others = sorted(set(range(p)) - set(elements.tolist()))
    assert others == ([0] if group == "multiplicative" else [])
    assert torch.equal(restricted[others], vectors[others]) and torch.equal(excluded[others], vectors[others])
    assert not projection(restricted[elements], sorted(set(range(1, (p + 1) // 2)) - set(key))).abs().gt(1e-5).any()
    assert not projection(excluded[elements], key).abs().gt(1e-5).any()


# Restricted and excluded loss


@KINDS
@pytest.mark.parametrize(("group", "frequency"), [("additive", 3), ("multiplicative", 2)])
def test_a_model_of_one_frequency_needs_it_and_no_other(kind, group: str, frequency: int) -> None:
    """Without it nothing is left of the embedding but rounding errors, which LayerNorm enlarges: the loss is ln p."""
    found = losses_of(kind(copying_model(7, circle(group, 7, frequency))), 7, group, (frequency,))
    assert found["restricted"] == pytest.approx(found["full"], abs=1e-4)
    assert found["excluded"] == pytest.approx(math.log(7), abs=1e-3)
    assert abs(found["full"] - math.log(7)) > 0.1
    other = losses_of(kind(copying_model(7, circle(group, 7, frequency))), 7, group, (1,))
    assert other["excluded"] == pytest.approx(found["full"], abs=1e-4)
    assert other["restricted"] == pytest.approx(math.log(7), abs=1e-3)


@KINDS
@EVERY_GROUP
def test_of_two_frequencies_each_condition_leaves_one(kind, group: str) -> None:
    """The losses are those of models that have one of the two in the first place."""
    circles = circle(group, 7, 1), circle(group, 7, 3)
    found = losses_of(kind(copying_model(7, *circles)), 7, group, (1,))
    nothing = torch.zeros(7, 2)
    for condition, parts in {"restricted": (circles[0], nothing), "excluded": (nothing, circles[1])}.items():
        alone = answer_loss(copying_model(7, *parts), contexts(7)).item()
        assert found[condition] == pytest.approx(alone, abs=1e-4)
        assert abs(found[condition] - found["full"]) > 0.01


@EVERY_GROUP
def test_all_frequencies_restrict_nothing_and_the_full_loss_is_that_of_training(group: str) -> None:
    model = random_model(replace(MODULAR, d_vocab=13))
    found = losses_of(model, 13, group, (1, 2, 3, 4, 5, 6))
    assert found["restricted"] == pytest.approx(found["full"], abs=1e-4)
    assert found["full"] == pytest.approx(answer_loss(model, contexts(13)).item(), abs=1e-5)
    assert abs(found["excluded"] - found["full"]) > 0.01


def test_losses_are_those_of_the_model_with_an_edited_embedding() -> None:
    """An untied copy of the model whose W_E is overwritten, unembedding left as it is."""
    model = random_model(replace(MODULAR, d_vocab=13, tie_word_embeddings=False))
    found = losses_of(model, 13, "multiplicative", (2, 5), root=6)
    weights, elements = canonical_views(model)["embed.W_E"], group_elements("multiplicative", 13, 6)
    vectors = weights.clone()
    for condition, edit in {"restricted": restricted_embedding, "excluded": excluded_embedding}.items():
        weights.copy_(edit(vectors, elements, (2, 5)))
        assert found[condition] == pytest.approx(answer_loss(model, contexts(13)).item(), abs=1e-5)


def test_the_standard_error_is_over_contexts() -> None:
    model, tokens = random_model(replace(MODULAR, d_vocab=7)), contexts(7)
    of_each = [answer_loss(model, row[None]).item() for row in tokens]
    found = fourier_losses([(0, model)], 7, tokens, group="additive", frequencies=(1,), batch_size=3).at()
    expected = np.std(of_each, ddof=1) / math.sqrt(len(of_each))
    assert float(found["loss_se"].sel(condition="full")) == pytest.approx(expected, rel=1e-4)
    single = fourier_losses([(0, model)], 7, tokens[:1], group="additive", frequencies=(1,)).dataset
    assert single["loss_se"].isnull().all() and not single["loss"].isnull().any()


@EVERY_GROUP
def test_the_librarys_own_model_has_the_same_losses(group: str) -> None:
    model = random_model(replace(MODULAR, d_vocab=7))
    ours, theirs = (losses_of(each, 7, group, (2, 3)) for each in (model, to_hooked_transformer(model)))
    assert theirs == pytest.approx(ours, abs=1e-4)


def test_losses_are_labeled_and_saved_and_change_nothing(tmp_path: Path) -> None:
    model, tokens = random_model(replace(MODULAR, d_vocab=7, attn_dropout=0.5)).train(), contexts(7)
    weights, before = {name: view.clone() for name, view in canonical_views(model).items()}, tokens.clone()
    losses = fourier_losses([(4, model)], 7, tokens, group="multiplicative", frequencies=(3, 1))
    assert model.training and torch.equal(tokens, before)
    assert all(torch.equal(view, weights[name]) for name, view in canonical_views(model).items())
    assert dict(losses.dataset.sizes) == {"checkpoint": 1, "condition": 3}
    expected = {"p": 7, "root": 3, "group": "multiplicative", "frequencies": [1, 3], "n_contexts": 20}
    assert losses.dataset.attrs == expected and losses["loss"].attrs["units"] == "nats"
    assert str(losses).startswith("loss with multiplicative frequencies 1, 3 at the last checkpoint: full ")
    assert " nats over 20 contexts; chance 1.946" in str(losses)
    losses.save(tmp_path / "losses.nc")
    loaded = FourierLoss.load(tmp_path / "losses.nc")
    assert loaded.dataset.equals(losses.dataset) and loaded.dataset.attrs == losses.dataset.attrs
    assert loaded.loss("restricted").dims == ("checkpoint",)


# Refusals and examples


def test_what_has_no_spectrum_is_refused() -> None:
    pair = (0, embedded(normal(7, 3)))
    with pytest.raises(ValueError, match=r"embeddings of 0..12 were asked for, the vocabulary has 7 tokens"):
        fourier_spectrum([pair], p=13)
    with pytest.raises(ValueError, match="a spectrum needs p of 3 or more, got 2"):
        fourier_spectrum([pair], p=2)
    with pytest.raises(ValueError, match="discrete logarithms need a prime, got p = 6"):
        fourier_spectrum([pair], p=6)
    with pytest.raises(ValueError, match="2 is no primitive root of 7; these are: 3, 5"):
        fourier_spectrum([pair], p=7, root=2)
    with pytest.raises(ValueError, match="no checkpoints were given"):
        fourier_spectrum([], p=7)
    spectrum = fourier_spectrum([pair], p=7)
    with pytest.raises(ValueError, match="group must be one of additive, multiplicative, got 'log'"):
        spectrum.key_frequencies("log", 1)
    with pytest.raises(ValueError, match="n_key must be between 1 and the 3 frequencies of each group, got 4"):
        spectrum.key_frequencies("additive", 4)
    with pytest.raises(ValueError, match=r"no step 7 in this result, analyzed steps: \[0\]"):
        spectrum.key_frequencies("additive", 1, step=7)


@pytest.mark.parametrize("n_key", [0, 4])
def test_top_fractions_of_too_few_or_too_many_frequencies_are_refused(n_key: int) -> None:
    pair = (0, embedded(normal(7, 3)))
    with pytest.raises(ValueError, match=f"n_key must be between 1 and the 3 frequencies of each group, got {n_key}"):
        top_frequency_fraction([pair], p=7, n_key=n_key, seed=0)
    with pytest.raises(ValueError, match="a 95% quantile needs at least 20 shuffles, got 19"):
        top_frequency_fraction([pair], p=7, n_key=1, seed=0, n_shuffles=19)
    with pytest.raises(ValueError, match="no checkpoints were given"):
        top_frequency_fraction([], p=7, n_key=1, seed=0)


@pytest.mark.parametrize(("frequencies", "shown"), [((), "none"), ((0, 1), "0, 1"), ((4,), "4"), ((2, 2), "2, 2")])
def test_frequencies_that_are_not_there_are_refused(frequencies: tuple[int, ...], shown: str) -> None:
    with pytest.raises(ValueError, match=rf"distinct, one or more within 1..3, got {shown}$"):
        losses_of(fourier_model(7, frequency=1), 7, "additive", frequencies)


def test_contexts_that_are_no_examples_are_refused() -> None:
    model = fourier_model(7, frequency=1)
    tokens = contexts(7)[:, :-1]
    with pytest.raises(ValueError, match=rf"got {len(tokens)} contexts of {tokens.shape[1]} tokens: cut them"):
        fourier_losses([(0, model)], 7, tokens, group="additive", frequencies=(1,))
    with pytest.raises(ValueError, match="tokens must be one row of integers or more"):
        fourier_losses([(0, model)], 7, tokens[:0], group="additive", frequencies=(1,))
    with pytest.raises(ValueError, match=r"tokens must be numbers within 0..4, got 0..6"):
        fourier_losses([(0, model)], 5, contexts(7), group="additive", frequencies=(1,))
    with pytest.raises(ValueError, match="no checkpoints were given"):
        fourier_losses([], 7, contexts(7), group="additive", frequencies=(1,))


def test_a_model_that_scales_its_embeddings_is_refused() -> None:
    model = fourier_model(7, frequency=1)
    model.embed.register_forward_hook(lambda module, args, output: 2 * output)
    with pytest.raises(ValueError, match="hook_embed does not hold the rows of W_E"):
        losses_of(model, 7, "additive", (1,))


@pytest.mark.parametrize("module", [fourier, fourier_loss, fourier_top], ids=lambda module: module.__name__)
def test_examples_run(module) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0 and found.failed == 0
