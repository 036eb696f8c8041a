"""Induction scores: Abar and EP against closed forms, brute force and a circuit written by hand."""

import weakref
from collections.abc import Callable
from dataclasses import replace

import ground_truth
import numpy as np
import pytest
import torch
from ground_truth import (
    LLAMA,
    MODULAR,
    induction_circuit,
    measured,
    random_model,
    repeated_distinct_tokens,
    uniform_model,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from grok_interp import to_hooked_transformer
from grok_interp.analysis.ablated_model import AblatedModel
from grok_interp.analysis.head_weights import ov_circuits
from grok_interp.analysis.induction import (
    InductionScores,
    NormGain,
    TellsEntries,
    eigenvalue_positivity,
    induction_attention,
    induction_scores,
)
from grok_interp.configs import ModelConfig, TrainConfig
from grok_interp.data.copying import repeated_tokens
from grok_interp.models.activations import pattern_name
from grok_interp.models.transformer import Transformer
from grok_interp.models.weights import canonical_views
from grok_interp.training.loop import train

FAMILIES = pytest.mark.parametrize("cfg", [LLAMA, MODULAR], ids=["llama", "modular"])


def random_repeated_tokens(cfg: ModelConfig, *, half: int = 7, seed: int = 0) -> Tensor:
    return repeated_tokens(n_sequences=5, half=half, alphabet=range(cfg.d_vocab), seed=seed)


def scores_of(model: object, tokens: Tensor, **options: object) -> InductionScores:
    return induction_scores([(0, model)], tokens, **options)


# The circuit written by hand: the textbook answers


def test_only_the_induction_head_of_the_circuit_scores() -> None:
    scores = scores_of(induction_circuit(), repeated_distinct_tokens())
    expected = np.zeros((2, 5))
    expected[ground_truth.INDUCTION_HEAD] = 1.0
    np.testing.assert_allclose(scores["I"].isel(checkpoint=0), expected, atol=1e-6)
    assert scores.strongest() == [ground_truth.INDUCTION_HEAD]
    assert str(scores) == "I(L,H) of 2 x 5 heads at 1 checkpoint over 5 sequences; strongest at the last: L1H0 = 1.00"


def test_attention_of_the_circuit_is_perfect_previous_token_or_uniform() -> None:
    abar = scores_of(induction_circuit(), repeated_distinct_tokens(half=19))["Abar"].isel(checkpoint=0).to_numpy()
    assert abar[ground_truth.INDUCTION_HEAD] > 0.999
    assert abar[ground_truth.PREVIOUS_TOKEN_HEAD] < 1e-3
    np.testing.assert_allclose(abar[:, 1:], ground_truth.uniform_abar(19), rtol=1e-5)


def test_a_head_that_lowers_the_token_to_come_scores_minus_one() -> None:
    """It attends as well as the copying head does; its OV circuit has the other sign."""
    scores = scores_of(induction_circuit(copy=-1.0), repeated_distinct_tokens()).dataset.isel(checkpoint=0)
    layer, head = ground_truth.INDUCTION_HEAD
    values = [scores[name].isel(layer=layer, head=head).item() for name in ("Abar", "EP", "I")]
    np.testing.assert_allclose(values, [1.0, -1.0, -1.0], atol=1e-6)


def test_a_head_without_sharpness_copies_but_does_not_look() -> None:
    scores = scores_of(induction_circuit(sharpness=0.0), repeated_distinct_tokens(half=11))
    uniform = ground_truth.uniform_abar(11)
    np.testing.assert_allclose(scores["Abar"], uniform, rtol=1e-5)
    assert scores["I"].isel(checkpoint=0).to_numpy()[ground_truth.INDUCTION_HEAD] == pytest.approx(uniform)


def test_a_head_grows_sharper_over_checkpoints() -> None:
    sharpness = {0: 0.0, 10: 3.0, 20: 6.0, 30: 30.0}
    series = ((step, induction_circuit(sharpness=value)) for step, value in sharpness.items())
    scores = induction_scores(series, repeated_distinct_tokens())
    layer, head = ground_truth.INDUCTION_HEAD
    grown = scores["I"].isel(layer=layer, head=head)
    assert grown["checkpoint"].to_numpy().tolist() == [0, 10, 20, 30]
    assert (grown.diff("checkpoint") > 0.01).all()


# Abar


@pytest.mark.parametrize("half", [3, 5, 11])
def test_the_perfect_pattern_scores_one_and_the_previous_token_pattern_zero(half: int) -> None:
    heads = [ground_truth.perfect_induction_pattern(half), ground_truth.previous_token_pattern(2 * half)]
    assert induction_attention(torch.stack(heads).unsqueeze(0)).tolist() == [1.0, 0.0]


def test_targets_read_by_eye() -> None:
    """a b c a b c: the second a (at 3) looks at b (at 1), the second b (at 4) at c (at 2); the last c has no target."""
    seen = torch.zeros(1, 1, 6, 6)
    seen[0, 0, 3, 1], seen[0, 0, 4, 2] = 0.25, 0.75
    assert induction_attention(seen).tolist() == [0.5]
    seen[0, 0, 5, 3] = 1.0
    assert induction_attention(seen).tolist() == [0.5]


def test_axes_stay_apart() -> None:
    """Head h of the batch's row b looks at its targets with weight h / 10 + b / 100."""
    weights = torch.arange(5) / 10 + torch.arange(3)[:, None] / 100  # batch head
    pattern = weights[:, :, None, None] * ground_truth.perfect_induction_pattern(7)
    before = pattern.clone()
    torch.testing.assert_close(induction_attention(pattern), torch.arange(5) / 10 + 0.01)
    assert torch.equal(pattern, before), "a kernel must not change its input"


@FAMILIES
def test_a_uniform_head_has_the_closed_form(cfg: ModelConfig) -> None:
    abar = scores_of(uniform_model(cfg), random_repeated_tokens(cfg))["Abar"]
    np.testing.assert_allclose(abar, ground_truth.uniform_abar(7), rtol=1e-5)


@FAMILIES
def test_the_batch_size_does_not_matter(cfg: ModelConfig) -> None:
    tokens, model = random_repeated_tokens(cfg), random_model(cfg)
    together = measured(scores_of(model, tokens, batch_size=16))
    np.testing.assert_allclose(measured(scores_of(model, tokens, batch_size=2)), together, atol=1e-6)


# Abar from single entries, and from patterns


class PatternsOnly(AblatedModel):
    """A model that is only asked for its patterns: nothing of it is ablated, and it tells no entries."""

    def __init__(self, model: Transformer) -> None:
        super().__init__(model, {})

    def __getattr__(self, name: str) -> object:
        return getattr(self.model, name) if name.startswith("W_") else self.__getattribute__(name)


def require_agreement(model: Transformer, tokens: Tensor) -> None:
    assert isinstance(model, TellsEntries) and not isinstance(PatternsOnly(model), TellsEntries)
    entries, patterns = (measured(scores_of(each, tokens, batch_size=3)) for each in (model, PatternsOnly(model)))
    np.testing.assert_allclose(entries, patterns, atol=1e-6, rtol=0)


@settings(deadline=None, max_examples=15)
@given(cfg=st.sampled_from([LLAMA, MODULAR]), half=st.integers(3, 9), adjacent=st.booleans(), seed=st.integers(0, 99))
def test_entries_and_patterns_agree_on_random_models(cfg: ModelConfig, half: int, adjacent: bool, seed: int) -> None:
    model = random_model(replace(cfg, rotary_adjacent_pairs=adjacent), seed=seed)
    require_agreement(model, random_repeated_tokens(cfg, half=half, seed=seed))


@pytest.mark.parametrize("sharpness", [0.0, 3.0, 30.0])
def test_entries_and_patterns_agree_on_the_circuit(sharpness: float) -> None:
    require_agreement(induction_circuit(sharpness=sharpness), repeated_distinct_tokens())


def test_entries_and_patterns_agree_on_every_checkpoint_of_a_training(tiny: TrainConfig) -> None:
    tokens = random_repeated_tokens(tiny.model, half=tiny.model.n_ctx // 2)
    for _, model in train(tiny):
        require_agreement(model, tokens)


def test_an_edited_pattern_counts_in_both() -> None:
    model, tokens = random_model(LLAMA), random_repeated_tokens(LLAMA)
    model.blocks[0].attn.hook_pattern.add_perma_hook(lambda pattern, hook: torch.full_like(pattern, 0.25))
    for each in (model, PatternsOnly(model)):
        np.testing.assert_allclose(scores_of(each, tokens)["Abar"].sel(layer=0), 0.25)


@pytest.mark.parametrize("kind", [PatternsOnly, to_hooked_transformer], ids=["ours", "library"])
def test_no_pattern_outlives_its_layer(kind: Callable) -> None:
    """So that memory does not grow with the layers: when a pattern comes, all earlier ones are gone."""
    model, seen, alive = kind(random_model(replace(LLAMA, n_layers=5))), [], []

    def watch(pattern: Tensor, hook: object) -> None:
        alive.append(sum(earlier() is not None for earlier in seen))
        seen.append(weakref.ref(pattern))

    hooked = model.model if kind is PatternsOnly else model
    for layer in range(5):
        hooked.hook_dict[pattern_name(layer)].add_perma_hook(watch)
    scores_of(model, random_repeated_tokens(LLAMA))
    assert alive == [0, 0, 0, 0, 0]


# EP


@pytest.mark.parametrize(
    ("circuit", "positivity"),
    [
        (torch.eye(3), 1.0),
        (-torch.eye(3), -1.0),
        (torch.tensor([[0.0, -1.0], [1.0, 0.0]]), 0.0),  # a turn by 90 degrees: eigenvalues i and -i
        (torch.diag(torch.tensor([3.0, -1.0])), 0.5),
        (torch.tensor([[0.0, 1.0], [0.0, 0.0]]), 0.0),  # all eigenvalues zero, the matrix is not
        (torch.zeros(3, 3), 0.0),
        (torch.eye(3) * 1e-30, 1.0),
    ],
)
def test_positivity_of_circuits_read_by_eye(circuit: Tensor, positivity: float) -> None:
    assert eigenvalue_positivity(circuit).item() == pytest.approx(positivity, abs=1e-6)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 999), scale=st.floats(1e-3, 1e3))
def test_positivity_is_bounded_and_follows_sign_and_not_scale(seed: int, scale: float) -> None:
    circuits = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    positivity = eigenvalue_positivity(circuits)
    assert positivity.shape == (2, 3) and (positivity.abs() <= 1 + 1e-6).all()
    torch.testing.assert_close(eigenvalue_positivity(-scale * circuits), -positivity, atol=1e-5, rtol=1e-4)


def brute_force_positivity(model: Transformer, layer: int, head: int, *, folded: bool) -> float:
    """Over the eigenvalues of the whole d_vocab x d_vocab circuit."""
    _, _, W_V, W_O = (weight.double() for weight in ground_truth.head_weights(model, layer, head))
    W_E, W_U = model.W_E.detach().double(), model.W_U.detach().double()
    if folded:
        W_V = torch.diag(model.blocks[layer].ln1.w.detach().double()) @ W_V
        W_U = torch.diag(model.ln_final.w.detach().double()) @ W_U
    eigenvalues = torch.linalg.eigvals(W_E @ W_V @ W_O @ W_U)
    return (eigenvalues.sum().real / eigenvalues.abs().sum()).item()


@FAMILIES
@pytest.mark.parametrize("norm_gain", ["ignored", "folded"])
def test_positivity_is_that_of_the_whole_circuit(cfg: ModelConfig, norm_gain: NormGain) -> None:
    model = random_model(cfg)
    found = scores_of(model, random_repeated_tokens(cfg), norm_gain=norm_gain)["EP"].isel(checkpoint=0)
    expected = [
        [brute_force_positivity(model, layer, head, folded=norm_gain == "folded") for head in range(cfg.n_heads)]
        for layer in range(cfg.n_layers)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@FAMILIES
def test_folding_gains_of_one_changes_nothing_and_other_gains_do(cfg: ModelConfig) -> None:
    model = random_model(cfg)
    assert not torch.allclose(ov_circuits(model, "folded"), ov_circuits(model, "ignored"))
    for name, weight in canonical_views(model).items():
        if name.endswith(".w"):
            weight.fill_(1.0)
    torch.testing.assert_close(ov_circuits(model, "folded"), ov_circuits(model, "ignored"))


def large_vocabulary() -> ModelConfig:
    return replace(LLAMA, d_vocab=5000, initializer_range=0.1)


def positivity_in_float64(model: Transformer) -> Tensor:
    W_UE = model.W_U.double() @ model.W_E.double()
    circuits = model.W_O.double() @ W_UE @ model.W_V.double()
    return circuits.diagonal(dim1=-2, dim2=-1).sum(-1) / torch.linalg.eigvals(circuits).abs().sum(-1)


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("precision", ["highest", "medium"])
def test_positivity_is_exact_where_the_vocabulary_is_large_however_coarse_the_callers_products_are(
    precision: str, autocast: bool
) -> None:
    model, before = Transformer(large_vocabulary(), seed=0), torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        with torch.autocast("cpu", enabled=autocast):
            found = eigenvalue_positivity(ov_circuits(model))
    finally:
        torch.set_float32_matmul_precision(before)
    torch.testing.assert_close(found.double(), positivity_in_float64(model).detach(), atol=1e-7, rtol=1e-6)


def test_weights_in_float64_stay_in_float64() -> None:
    model = Transformer(large_vocabulary(), seed=0).double()
    W_UE = model.W_U @ model.W_E
    torch.testing.assert_close(ov_circuits(model), (model.W_O @ W_UE @ model.W_V).detach(), atol=1e-14, rtol=1e-12)


# The driver


@FAMILIES
@pytest.mark.parametrize("norm_gain", ["ignored", "folded"])
def test_the_librarys_own_model_has_the_same_scores(cfg: ModelConfig, norm_gain: NormGain) -> None:
    model, tokens = random_model(cfg), random_repeated_tokens(cfg)
    ours, theirs = (scores_of(each, tokens, norm_gain=norm_gain) for each in (model, to_hooked_transformer(model)))
    np.testing.assert_allclose(measured(theirs), measured(ours), atol=1e-5)


@pytest.mark.parametrize("copy", [1.0, -1.0])
def test_the_circuit_scores_the_same_as_the_librarys_own_model(copy: float) -> None:
    scores = scores_of(to_hooked_transformer(induction_circuit(copy=copy)), repeated_distinct_tokens())
    expected = np.zeros((2, 5))
    expected[ground_truth.INDUCTION_HEAD] = copy
    np.testing.assert_allclose(scores["I"].isel(checkpoint=0), expected, atol=1e-5)


def test_scores_are_labelled_and_say_how_they_were_made() -> None:
    model, tokens = random_model(LLAMA), random_repeated_tokens(LLAMA)
    scores = induction_scores([(0, model), (30, uniform_model(LLAMA))], tokens, norm_gain="folded")
    assert dict(scores.dataset.sizes) == {"checkpoint": 2, "layer": 2, "head": 3}
    assert scores.dataset["checkpoint"].to_numpy().tolist() == [0, 30]
    assert scores.dataset.attrs == {"n_sequences": 5, "half": 7, "norm_gain": "folded", "processing": "raw"}
    np.testing.assert_allclose(scores["I"], scores["Abar"] * scores["EP"], rtol=1e-6)
    np.testing.assert_allclose(scores["Abar"].isel(checkpoint=1), ground_truth.uniform_abar(7), rtol=1e-5)


def test_the_strongest_heads_are_those_of_the_last_checkpoint_in_order() -> None:
    rising, falling = torch.tensor([[1.0, 3.0], [4.0, 2.0], [6.0, 5.0]]), torch.tensor([[9.0, 0.0], [0.0, 0.0], [0, 0]])
    coords = {"checkpoint": [0, 1], "layer": range(3), "head": range(2)}
    arrays = dict.fromkeys(InductionScores.measures, torch.stack([falling, rising]))
    scores = InductionScores.of_arrays(arrays, coords)
    assert scores.strongest(4) == [(2, 0), (2, 1), (1, 0), (0, 1)]


def first_half_only(tokens: Tensor) -> Tensor:
    return tokens[:, :7]


def one_token_changed(tokens: Tensor) -> Tensor:
    changed = tokens.clone()
    changed[2, 9] = (changed[2, 9] + 1) % LLAMA.d_vocab
    return changed


def cut_in_the_middle(tokens: Tensor) -> Tensor:
    return tokens[:, [0, 7]]


@pytest.mark.parametrize("spoil", [first_half_only, one_token_changed, cut_in_the_middle])
def test_tokens_that_are_not_repeated_are_refused(spoil: Callable[[Tensor], Tensor]) -> None:
    tokens = spoil(random_repeated_tokens(LLAMA))
    with pytest.raises(ValueError, match=rf"rows of two identical halves .* got \(5, {tokens.shape[1]}\) tokens"):
        scores_of(random_model(LLAMA), tokens)


def test_model_and_tokens_are_left_as_they_were() -> None:
    model, tokens = random_model(replace(LLAMA, attn_dropout=0.5)).train(), random_repeated_tokens(LLAMA)
    weights = {name: view.clone() for name, view in canonical_views(model).items()}
    before = tokens.clone()
    scores_of(model, tokens, norm_gain="folded")
    assert model.training and torch.equal(tokens, before)
    assert all(torch.equal(view, weights[name]) for name, view in canonical_views(model).items())
