"""PCA of heads and embeddings, on models with exact Fourier structure; circularity and parity on known points."""

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from fourier_truth import (
    COPYING_HEAD,
    N_EXAMPLES,
    SILENT_HEAD,
    fourier_model,
    on_circle,
    pairs_in_the_plane,
    pairs_with_components,
)
from ground_truth import LLAMA, MODULAR, random_model
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from torch import Tensor

from grok_interp import to_hooked_transformer
from grok_interp.analysis.circles import CirclePCA, circle_pca, principal_components
from grok_interp.analysis.circularity import circularity, mode_fractions
from grok_interp.analysis.embedding import between_class_fraction, embedding_pca, parity_separation
from grok_interp.configs import ModelConfig
from grok_interp.data.discrete_log import discrete_log, primitive_roots
from grok_interp.data.slot import slot_sequences
from grok_interp.models.weights import canonical_views

FAMILIES = pytest.mark.parametrize("cfg", [LLAMA, MODULAR], ids=["llama", "modular"])


def tokens_of(p: int, *, slot: int = 2, n_examples: int = N_EXAMPLES) -> Tensor:
    return slot_sequences((2, 1), p, slot=slot, n_examples=n_examples, seed=0)


def circles_of(model: object, p: int, head: tuple[int, int] = COPYING_HEAD, **options: int) -> CirclePCA:
    return circle_pca([(0, model)], p, tokens_of(p), slot=2, layer=head[0], head=head[1], **options)


def measure(circles: CirclePCA, name: str, checkpoint: int = 0) -> float:
    return float(circularity(circles, seed=0)[name].isel(checkpoint=checkpoint))


# The model with exact Fourier structure


@pytest.mark.parametrize(("p", "frequency"), [(5, 1), (7, 1), (7, 2), (13, 5)])
def test_a_head_that_copies_a_circle_has_the_circle_of_circles(p: int, frequency: int) -> None:
    circles = circles_of(fourier_model(p, frequency=frequency), p)
    found = circularity(circles, seed=0).dataset.isel(checkpoint=0)
    assert float(found["circularity"]) == pytest.approx(1.0, abs=1e-5)
    assert [float(found[name]) for name in ("frequency_x", "frequency_y")] == [frequency, frequency]
    assert 0.1 < float(found["fraction_y"]) < float(found["fraction_x"])  # y copies x as well
    large, small = (np.hypot(*circles["projection"][0, x, y].to_numpy()) for x, y in [(1, 0), (0, 1)])
    assert large > small > 0.01 and np.hypot(*circles["projection"][0, 0, 0].to_numpy()) < 1e-5, "0 in the center"
    # Four directions vary: cos and sin, of x and of y. So all is explained by four, and the two of a circle alike.
    shares = circles_of(fourier_model(p, frequency=frequency), p, n_components=4)["explained"][0].to_numpy()
    np.testing.assert_allclose(shares[[0, 2]], shares[[1, 3]], rtol=1e-4)
    assert shares.sum() == pytest.approx(1.0)


def test_a_head_that_writes_nothing_has_zeros_and_no_circle() -> None:
    circles = circles_of(fourier_model(7, frequency=1), 7, SILENT_HEAD)
    assert not circles["projection"].any() and not circles["explained"].any()
    found = circularity(circles, seed=0)
    assert not any(found[name].any() for name in ("circularity", "null_mean", "null_q95"))


def test_a_random_head_is_as_circular_as_its_shuffles() -> None:
    cfg = replace(MODULAR, d_vocab=13)
    circles = circles_of(random_model(cfg), 13)
    found = circularity(circles, seed=0).dataset.isel(checkpoint=0)
    above = found["circularity"] - found["null_mean"]
    assert abs(above) < 2 * (found["null_q95"] - found["null_mean"])
    assert found["circularity"] < 0.8


# Circularity of points in the plane


@pytest.mark.parametrize(("k", "m"), [(1, 1), (3, 2), (5, 4)])
def test_each_circle_adds_its_share_of_the_variance(k: int, m: int) -> None:
    p, root = 13, 6
    logs = discrete_log(p, root).numpy()
    points = 3 * on_circle(logs, k, p)[:, None] + on_circle(logs, m, p)[None, :]
    found = circularity(pairs_in_the_plane(p, root, points), seed=0)
    expected = {"circularity": 1.0, "fraction_x": 0.9, "fraction_y": 0.1, "frequency_x": k, "frequency_y": m}
    for name, value in expected.items():
        assert float(found[name].squeeze()) == pytest.approx(value, abs=1e-6), name
    assert float(found["null_q95"].squeeze()) < 0.8
    assert str(found).startswith("circularity 1.00 at the last checkpoint (log x 0.90, log y 0.10); shuffled 0.")


def test_of_two_frequencies_only_the_stronger_counts() -> None:
    p, logs = 13, discrete_log(13, 2).numpy()
    points = (2 * on_circle(logs, 1, p) + on_circle(logs, 3, p))[:, None] + np.zeros(p)
    circles = pairs_in_the_plane(p, 2, points)
    assert measure(circles, "circularity") == measure(circles, "fraction_x") == pytest.approx(0.8, abs=1e-6)


def even_from_odd(logs: np.ndarray) -> np.ndarray:
    return on_circle(logs, 6, 13)[:, None] + np.zeros(13)


def ratio_of_y_to_x(logs: np.ndarray) -> np.ndarray:
    return on_circle(logs, 1, 13)[None, :] / on_circle(logs, 1, 13)[:, None]


@pytest.mark.parametrize("points", [even_from_odd, ratio_of_y_to_x])
def test_two_points_and_what_needs_both_variables_are_no_circle(points) -> None:
    circles = pairs_in_the_plane(13, 2, points(discrete_log(13, 2).numpy()))
    assert measure(circles, "circularity") == pytest.approx(0.0, abs=1e-6)


def test_zeros_do_not_count() -> None:
    p, logs = 7, discrete_log(7, 3).numpy()
    points = on_circle(logs, 1, p)[:, None] + np.zeros(p)
    points[0], points[:, 0] = 100.0, -50.0
    assert measure(pairs_in_the_plane(p, 3, points), "circularity") == pytest.approx(1.0)


def test_shares_are_regressions_on_one_frequency() -> None:
    """The same by least squares on an intercept, cos and sin."""
    p, generator = 7, torch.Generator().manual_seed(0)
    components, logs = torch.randn(p, p, 3, generator=generator), discrete_log(p, 5)
    found = mode_fractions(components, logs)
    assert found.shape == (2, 2)
    inner = components[1:, 1:].double()
    total = (inner - inner.mean(dim=(0, 1))).square().sum()
    for variable in range(2):
        for frequency in (1, 2):
            angle = 2 * torch.pi * frequency * logs[1:].double() / (p - 1)
            modes = torch.stack([torch.ones(p - 1), angle.cos(), angle.sin()], dim=-1).double()
            design = (modes[:, None] if variable == 0 else modes[None]).expand(p - 1, p - 1, 3).flatten(0, 1)
            fitted = design @ torch.linalg.lstsq(design, inner.flatten(0, 1)).solution
            explained = (fitted - inner.mean(dim=(0, 1))).square().sum() / total
            assert found[variable, frequency - 1].item() == pytest.approx(explained.item(), rel=1e-5)


@settings(deadline=None, max_examples=25)
@given(p=st.sampled_from([5, 7, 11, 13]), seed=st.integers(0, 999), data=st.data())
def test_circularity_is_bounded_and_depends_on_no_root_rotation_or_scale(p: int, seed: int, data) -> None:
    one, other = (data.draw(st.sampled_from(primitive_roots(p))) for _ in range(2))
    generator = torch.Generator().manual_seed(seed)
    components = torch.randn(p, p, 2, generator=generator)
    turn = torch.linalg.qr(torch.randn(2, 2, generator=generator)).Q
    best = mode_fractions(components, discrete_log(p, one)).amax(dim=1)
    assert (best >= 0).all() and best.sum() <= 1 + 1e-6
    turned = mode_fractions(7 * components @ turn + 1, discrete_log(p, other)).amax(dim=1)
    torch.testing.assert_close(turned, best, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("frequency", "kept"), [(1, 12), (2, 48)])
def test_how_many_of_the_720_shuffles_of_p_7_keep_a_circle(frequency: int, kept: int) -> None:
    logs = discrete_log(7, 3)
    circle = on_circle(logs.numpy(), frequency, 7)
    components = torch.from_numpy(np.stack([circle.real, circle.imag], axis=-1))[:, None].expand(7, 7, 2).float()
    shares = [mode_fractions(components, torch.tensor([0, *order])).amax() for order in permutations(range(6))]
    assert sum(share.item() > 0.9999 for share in shares) == kept


def test_fewer_than_four_logarithms_are_refused() -> None:
    circles = pairs_with_components(3, 2, np.random.default_rng(0).normal(size=(1, 3, 3, 2)))
    with pytest.raises(ValueError, match="circularity needs p of 5 or more, got 3"):
        circularity(circles, seed=0)


def test_too_few_shuffles_are_refused() -> None:
    circles = pairs_with_components(5, 2, np.random.default_rng(0).normal(size=(1, 5, 5, 2)))
    with pytest.raises(ValueError, match="a 95% quantile needs at least 20 shuffles, got 19"):
        circularity(circles, seed=0, n_shuffles=19)


# The driver


def test_components_are_those_of_the_centred_vectors() -> None:
    vectors = 5 + torch.randn(17, 11, generator=torch.Generator().manual_seed(0))
    before = vectors.clone()
    components, shares = principal_components(vectors, 3)
    centered = vectors - vectors.mean(dim=0)
    _, singular, directions = torch.linalg.svd(centered, full_matrices=False)
    torch.testing.assert_close(components.abs(), (centered @ directions[:3].T).abs(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(shares, (singular**2 / singular.square().sum())[:3], atol=1e-5, rtol=1e-4)
    assert torch.equal(vectors, before)
    order = torch.randperm(17, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(principal_components(vectors[order], 3)[0].abs(), components[order].abs())


@settings(deadline=None, max_examples=40)
@given(n_points=st.integers(4, 30), n_features=st.integers(4, 30), seed=st.integers(0, 999))
def test_components_are_scikit_learns_with_their_signs(n_points: int, n_features: int, seed: int) -> None:
    scales = torch.linspace(1, 5, n_features)
    vectors = 5 + scales * torch.randn(n_points, n_features, generator=torch.Generator().manual_seed(seed))
    pca = PCA(3, svd_solver="full")
    expected = pca.fit_transform(vectors.double().numpy())
    components, shares = principal_components(vectors, 3)
    np.testing.assert_allclose(components, expected, atol=1e-4)
    np.testing.assert_allclose(shares, pca.explained_variance_ratio_, atol=1e-6)


@FAMILIES
def test_the_head_is_the_one_asked_for(cfg: ModelConfig) -> None:
    """PCA of hook_result at x and y of the slot, which only `Transformer` computes from a cache."""
    model, tokens = random_model(cfg), tokens_of(7, slot=1, n_examples=5)
    _, cache = model.run_with_cache(tokens, names_filter="blocks.1.attn.hook_result")
    vectors = cache["blocks.1.attn.hook_result"][:, 3:5, 1].flatten(1).detach()
    expected, shares = principal_components(vectors, 3)
    for batch_size in (256, 10):
        options = dict(p=7, slot=1, layer=1, head=1, n_components=3, batch_size=batch_size)
        circles = circle_pca([(0, model)], tokens=tokens, **options)
        found = circles["projection"][0].to_numpy().reshape(49, 3)
        np.testing.assert_allclose(np.abs(found), expected.abs(), atol=1e-4)
        np.testing.assert_allclose(circles["explained"][0], shares, rtol=1e-4)


@FAMILIES
def test_the_librarys_own_model_has_the_same_circles(cfg: ModelConfig) -> None:
    model = random_model(cfg)
    ours, theirs = (circles_of(each, 7, (1, 1))["projection"] for each in (model, to_hooked_transformer(model)))
    np.testing.assert_allclose(np.abs(theirs), np.abs(ours), atol=1e-3)


def test_the_librarys_own_model_has_the_circle_of_circles() -> None:
    theirs = to_hooked_transformer(fourier_model(7, frequency=1))
    assert measure(circles_of(theirs, 7), "circularity") == pytest.approx(1.0, abs=1e-5)


def test_circles_are_labelled_and_say_how_they_were_made() -> None:
    series = [(step, fourier_model(5, frequency=1)) for step in (0, 30)]
    circles = circle_pca(series, 5, tokens_of(5), slot=2, layer=0, head=0, n_components=3, root=3)
    assert dict(circles.dataset.sizes) == {"checkpoint": 2, "x": 5, "y": 5, "component": 3}
    assert circles.dataset["log_x"].to_numpy().tolist() == [0, 0, 3, 1, 2]
    assert circles.dataset.attrs == {"p": 5, "a": 2, "b": 1, "slot": 2, "layer": 0, "head": 0, "root": 3}
    assert circles.at().equals(circles.at(30)) and int(circles.at(0)["checkpoint"]) == 0
    assert str(circles).startswith("L0H0 over 25 pairs at 2 checkpoints; 3 components explain ")
    assert circularity(circles, seed=1).dataset.attrs == circles.dataset.attrs | {"seed": 1, "n_shuffles": 200}


def test_circles_are_saved_and_extended_with_their_labels(tmp_path: Path) -> None:
    circles = [
        circle_pca([(step, fourier_model(5, frequency=1))], 5, tokens_of(5), slot=2, layer=0, head=0)
        for step in (0, 30)
    ]
    both = circles[0].extended(circles[1])
    both.save(tmp_path / "circles.nc")
    loaded = CirclePCA.load(tmp_path / "circles.nc")
    assert loaded.dataset.equals(both.dataset) and loaded.dataset.attrs == both.dataset.attrs
    assert loaded["explained"].dims == ("checkpoint", "component") and loaded.dataset["log_x"].dims == ("x",)
    assert circularity(loaded, seed=0).dataset.equals(circularity(both, seed=0).dataset)


def test_what_is_not_there_is_refused() -> None:
    model, tokens = fourier_model(5, frequency=1), tokens_of(5)
    with pytest.raises(ValueError, match="no head L0H2: the model has 1 layers of 2 heads"):
        circles_of(model, 5, (0, 2))
    with pytest.raises(ValueError, match="4 is no primitive root of 5; these are: 2, 3"):
        circles_of(model, 5, root=4)
    with pytest.raises(ValueError, match="slot 1 of the 25 sequences does not run over the 25 pairs"):
        circle_pca([(0, model)], 5, tokens, slot=1, layer=0, head=0)
    with pytest.raises(ValueError, match=r"no step 7 in this result, analyzed steps: \[0\]"):
        circles_of(model, 5).at(7)


def test_model_and_tokens_are_left_as_they_were() -> None:
    model, tokens = random_model(replace(MODULAR, attn_dropout=0.5)).train(), tokens_of(5)
    weights = {name: view.clone() for name, view in canonical_views(model).items()}
    before = tokens.clone()
    circle_pca([(0, model)], 5, tokens, slot=2, layer=1, head=0)
    embedding_pca([(0, model)], p=5)
    assert model.training and torch.equal(tokens, before)
    assert all(torch.equal(view, weights[name]) for name, view in canonical_views(model).items())


# Embeddings


@pytest.mark.parametrize("p", [7, 13])
def test_even_and_odd_planes_are_found(p: int) -> None:
    """cos, sin and parity are orthogonal over the numbers: they are the three components."""
    embedding = embedding_pca([(0, fourier_model(p, frequency=1, parity=2.0))], p=p)
    found = parity_separation(embedding, seed=0).dataset.isel(checkpoint=0)
    assert float(found["separation"]) == pytest.approx(1.0, abs=1e-5)
    assert float(found["component"]) == 0  # parity has the largest variance
    assert float(found["null_mean"]) < 0.6
    assert embedding["explained"][0].sum() == pytest.approx(1.0)
    assert not embedding.at()["projection"].sel(number=0).round(5).any(), "0 between the planes"


def test_a_circle_of_odd_frequency_has_no_planes() -> None:
    embedding = embedding_pca([(0, fourier_model(13, frequency=5))], p=13, n_components=2)
    assert float(parity_separation(embedding, seed=0)["separation"][0]) == pytest.approx(0, abs=1e-6)


def test_the_share_between_classes_read_by_eye() -> None:
    values = torch.tensor([[1.0, 1.0, 5.0], [1.0, 3.0, 5.0], [-2.0, 2.0, 5.0]])
    even = torch.tensor([True, True, False])
    assert between_class_fraction(values, even).tolist() == pytest.approx([1.0, 0.0, 0.0])


@given(seed=st.integers(0, 999))
def test_the_share_between_classes_is_the_squared_correlation(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    values, even = torch.randn(11, 2, generator=generator), torch.randperm(11, generator=generator) < 4
    expected = [np.corrcoef(column, even)[0, 1] ** 2 for column in values.T]
    np.testing.assert_allclose(between_class_fraction(values, even), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(between_class_fraction(-3 * values + 1, ~even), expected, rtol=1e-3, atol=1e-5)


def test_embeddings_are_labelled_and_depend_on_no_root() -> None:
    model = random_model(MODULAR)
    one, other = (embedding_pca([(4, model)], p=13, root=root) for root in (2, 6))
    assert dict(one.dataset.sizes) == {"checkpoint": 1, "number": 13, "component": 3}
    assert one.dataset.attrs == {"p": 13, "root": 2}
    assert str(one).startswith("embeddings of 13 numbers at 1 checkpoint; 3 components explain ")
    separations = [parity_separation(each, seed=0).to_frame() for each in (one, other)]
    np.testing.assert_array_equal(*separations)
    assert str(parity_separation(one, seed=0)).startswith("parity separation 0.")


def test_the_librarys_own_model_has_the_same_embeddings() -> None:
    model = fourier_model(7, frequency=1, parity=0.5)
    ours, theirs = (embedding_pca([(0, each)], p=7)["projection"] for each in (model, to_hooked_transformer(model)))
    np.testing.assert_allclose(np.abs(theirs.isel(component=2)), np.abs(ours.isel(component=2)), atol=1e-5)


def test_too_few_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"embeddings of 0..12 were asked for, the vocabulary has 7 tokens"):
        embedding_pca([(0, fourier_model(7, frequency=1))], p=13)
    pair = embedding_pca([(0, random_model(MODULAR))], p=2, n_components=1)
    with pytest.raises(ValueError, match="parity separation needs p of 3 or more, got 2"):
        parity_separation(pair, seed=0)
