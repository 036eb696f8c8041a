"""Ablation: the hand-written circuit loses its copying with its head and with nothing else; every way against hooks."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import ground_truth
import numpy as np
import pytest
import torch
from ground_truth import (
    CIRCUIT,
    INDUCTION_HEAD,
    LLAMA,
    MODULAR,
    PREVIOUS_TOKEN_HEAD,
    distinct_copy_samples,
    induction_circuit,
    random_model,
    random_tokens,
    repeated_distinct_tokens,
)
from scipy import stats
from torch import Tensor

from grok_interp import to_hooked_transformer
from grok_interp.analysis.ablated_model import AblatedModel, ablated
from grok_interp.analysis.ablation import HeadAblation, head_ablation
from grok_interp.analysis.ablation_controls import (
    attention_entropies,
    attention_entropy,
    entropy_controls,
    n_control_sets,
    random_controls,
)
from grok_interp.analysis.ablation_samples import MEASURES, effect_bounds
from grok_interp.analysis.attention import attention_maps
from grok_interp.analysis.copying import Caching, copying_accuracy
from grok_interp.analysis.edge_edits import induction_edges
from grok_interp.analysis.evaluation_contexts import answer_logits
from grok_interp.analysis.induction import induction_attention
from grok_interp.analysis.intervals import wilson_interval
from grok_interp.analysis.loss import position_losses, window_losses
from grok_interp.configs import ModelConfig
from grok_interp.data.copying import CopySamples, CopyTask
from grok_interp.models.activations import HookedModel, logits, pattern_name, read
from grok_interp.models.transformer import Transformer

FAMILIES = pytest.mark.parametrize("cfg", [LLAMA, MODULAR], ids=["llama", "modular"])
KINDS = pytest.mark.parametrize("kind", [lambda model: model, to_hooked_transformer], ids=["ours", "theirs"])
REFERENCE = random_tokens(CIRCUIT, n_sequences=7, length=37, seed=1)
OPTIONS: dict[str, dict[str, Any]] = {
    "zero": {},
    "mean": {"reference": REFERENCE},
    "resample": {"reference": REFERENCE},
    "edges": {"n_match": 1},
}
WAYS = pytest.mark.parametrize("how", list(OPTIONS))
OTHERS = [(layer, head) for layer in range(2) for head in range(1, 5)]  # the circuit's heads that do nothing


def whole(model: HookedModel, samples: CopySamples) -> float:
    return copying_accuracy([(0, model)], samples).exact_match().item()


def ablation_of(model: HookedModel, how: str = "zero", **options: Any) -> HeadAblation:
    """Of the circuit's induction head, all other heads of its layer as random controls."""
    options = {"heads": [INDUCTION_HEAD], "n_draws": 4, "seed": 0, **OPTIONS[how], **options}
    return head_ablation([(0, model)], distinct_copy_samples(), repeated_distinct_tokens(), how=how, **options)


# The circuit written by hand


@KINDS
@WAYS
def test_without_its_head_the_circuit_copies_nothing_and_without_any_other_everything(
    how: str, kind: Callable[[Transformer], HookedModel]
) -> None:
    model, samples = kind(induction_circuit()), distinct_copy_samples()
    assert whole(model, samples) == 1.0
    without = copying_accuracy([(0, ablated(model, [INDUCTION_HEAD], how, **OPTIONS[how]))], samples)
    assert without.exact_match().item() == 0.0
    assert without.per_token().item() <= 2 / CIRCUIT.d_vocab, "chance is 1 of 23 tokens"
    assert whole(ablated(model, OTHERS, how, **OPTIONS[how]), samples) == 1.0


@WAYS
def test_the_result_shows_it_beside_its_controls(how: str) -> None:
    result = ablation_of(induction_circuit(), how)
    found = result["exact_match"].isel(checkpoint=0)
    for condition, expected in {"intact": 1.0, "ablated": 0.0, "random": 1.0, "entropy": 1.0}.items():
        assert (found.sel(condition=condition) == expected).all(), condition
    effect = result.effect("loss").isel(checkpoint=0)
    assert (abs(effect.sel(condition="ablated")) > 0.5).all(), "it guesses firmly in the first half: less may be lost"
    assert not effect.sel(condition="intact").any()
    assert (abs(effect.sel(condition=["random", "entropy"])) < 1e-5).all()


def test_the_circuits_other_half_may_be_nearest_in_entropy_and_can_be_spared() -> None:
    """Without the previous-token head the copying stops too: it is no control."""
    model = induction_circuit()
    entropies = attention_entropies(model, repeated_distinct_tokens())
    assert entropy_controls([INDUCTION_HEAD], entropies) == (PREVIOUS_TOKEN_HEAD,)
    assert entropy_controls([INDUCTION_HEAD], entropies, spared=[PREVIOUS_TOKEN_HEAD])[0] in OTHERS
    assert whole(ablated(model, [PREVIOUS_TOKEN_HEAD], "zero"), distinct_copy_samples()) == 0.0
    spared = ablation_of(model, n_draws=1, spared=OTHERS[:5]).dataset["heads"]
    assert not set(np.unique(spared)) & {"L0H1", "L0H2", "L0H3", "L0H4", "L1H1"}


def test_the_edge_alone_carries_the_copying() -> None:
    """Edges that the previous-token head does not use may go; and what is cut is not given to other keys."""
    model, samples, tokens = induction_circuit(), distinct_copy_samples(), repeated_distinct_tokens()
    assert whole(ablated(model, [PREVIOUS_TOKEN_HEAD], "edges", n_match=1), samples) == 1.0
    layer, head = INDUCTION_HEAD
    name = pattern_name(layer)
    cut = read(ablated(model, [INDUCTION_HEAD], "edges", n_match=1), tokens, {name: torch.clone})[name]
    assert induction_attention(cut)[head] == 0.0
    assert (cut[:, head, 20:].sum(dim=-1) < 1e-3).all(), "the rows are not renormalized"
    torch.testing.assert_close(cut[:, 1:], read(model, tokens, {name: torch.clone})[name][:, 1:])


def test_the_ablation_matters_from_the_step_at_which_the_circuit_works() -> None:
    sharpness = {0: 0.0, 10: 30.0, 20: 30.0}
    models = [(step, induction_circuit(sharpness=value)) for step, value in sharpness.items()]
    samples, windows = distinct_copy_samples(), repeated_distinct_tokens()
    result, other_half = (
        head_ablation(models, samples, windows, heads=[head], how="zero", n_draws=3, seed=0)
        for head in (INDUCTION_HEAD, PREVIOUS_TOKEN_HEAD)
    )
    assert result.onset(threshold=0.5) == 10
    assert np.isnan(other_half.onset(threshold=0.5)), "its nearest in entropy is the induction head"


# Every way against hooks written out


def with_hook(model: HookedModel, tokens: Tensor, name: str, edit: Callable[[Tensor], None]) -> Tensor:
    def hook(activation: Tensor, hook: object) -> Tensor:
        activation = activation.clone()
        edit(activation)
        return activation

    with torch.no_grad():
        return model.run_with_hooks(tokens, fwd_hooks=[(name, hook)])


@KINDS
def test_zero_is_the_model_whose_head_writes_nothing(kind: Callable[[Transformer], HookedModel]) -> None:
    model, tokens = random_model(LLAMA), random_tokens(LLAMA)
    found = logits(ablated(kind(model), [(1, 0), (0, 1)], "zero"), tokens)
    for layer, head in [(1, 0), (0, 1)]:
        ground_truth.head_weights(model, layer, head)[3].zero_()
    torch.testing.assert_close(found, logits(model, tokens), atol=1e-4, rtol=1e-4)


@KINDS
def test_zero_leaves_what_a_head_writes_whatever_it_reads(kind: Callable[[Transformer], HookedModel]) -> None:
    """The bias of the norm before it, through W_V: TransformerLens' processing would have it in b_O."""
    model, tokens = random_model(MODULAR), random_tokens(MODULAR)
    constant = model.blocks[1].ln1.b @ ground_truth.head_weights(model, 1, 0)[2]
    assert constant.abs().max() > 0.1

    def edit(z: Tensor) -> None:
        z[:, :, 0] = constant

    found = logits(ablated(kind(model), [(1, 0)], "zero"), tokens)
    torch.testing.assert_close(
        found, with_hook(kind(model), tokens, "blocks.1.attn.hook_z", edit), atol=1e-4, rtol=1e-4
    )


@FAMILIES
@KINDS
@pytest.mark.parametrize("how", ["mean", "resample"])
def test_mean_and_resample_are_those_of_the_reference(
    cfg: ModelConfig, kind: Callable[[Transformer], HookedModel], how: str
) -> None:
    model, tokens = kind(random_model(cfg)), random_tokens(cfg)
    reference, name = random_tokens(cfg, n_sequences=7, length=17, seed=9), "blocks.1.attn.hook_z"
    z = read(model, reference, {name: torch.clone})[name][:, :, 1]
    donors = torch.randint(7, (5,), generator=torch.Generator().manual_seed(11))
    substitute = z.mean(dim=(0, 1)) if how == "mean" else z[donors, :13]
    assert len(set(donors.tolist())) > 1, "rows must take different donors for this to say something"

    def edit(z: Tensor) -> None:
        z[:, :, 1] = substitute

    found = logits(ablated(model, [(1, 1)], how, reference=reference, seed=11), tokens)
    torch.testing.assert_close(found, with_hook(model, tokens, name, edit))
    assert not torch.allclose(found, logits(model, tokens))


@FAMILIES
@KINDS
def test_edges_are_cut_in_the_named_head_alone(cfg: ModelConfig, kind: Callable[[Transformer], HookedModel]) -> None:
    """What the key says is taken away; the constant of the biases, 0 in LLaMA, is written as before."""
    ours, tokens, name = random_model(cfg), torch.tensor([[1, 2, 3, 1, 2, 5]]), pattern_name(1)
    model = kind(ours)
    edges, pattern = [(3, 1), (4, 2)], read(model, tokens, {name: torch.clone})[name]
    bias = getattr(ours.blocks[1].ln1, "b", None)
    constant = (torch.zeros(cfg.d_model) if bias is None else bias) @ ground_truth.head_weights(ours, 1, 1)[2]

    def cut(pattern: Tensor, hook: object) -> Tensor:
        edited = pattern.clone()
        for query, key in edges:
            edited[0, 1, query, key] = 0.0
        return edited

    def add(z: Tensor, hook: object) -> Tensor:
        edited = z.clone()
        for query, key in edges:
            edited[0, query, 1] += pattern[0, 1, query, key] * constant
        return edited

    found = logits(ablated(model, [(1, 1)], "edges", n_match=1), tokens)
    with torch.no_grad():
        expected = model.run_with_hooks(tokens, fwd_hooks=[(name, cut), ("blocks.1.attn.hook_z", add)])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(found, logits(model, tokens))


@KINDS
@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_donors_do_not_depend_on_the_batch_size(kind: Callable[[Transformer], HookedModel], batch_size: int) -> None:
    """Neither with a KV cache nor without, nor under a second ablation."""
    model = kind(random_model(replace(LLAMA, d_vocab=3)))
    options: dict[str, Any] = {"reference": REFERENCE[:, : LLAMA.n_ctx] % 3, "seed": 5}
    without = ablated(ablated(model, [(0, 1)], "resample", **options), [(1, 0)], "resample", **options)
    task = CopyTask(n_sequences=2, n_prefix=3, n_suffix=2, n_samples=23, query_every=1, alphabet=(1, 2), separator=0)
    windows = random_tokens(replace(LLAMA, d_vocab=3), n_sequences=7)
    copied = [copying_accuracy([(0, without)], task.sample(), batch_size=size)["correct"] for size in (batch_size, 64)]
    np.testing.assert_array_equal(*copied)
    losses = [position_losses([(0, without)], windows, batch_size=size)["loss"] for size in (batch_size, 64)]
    np.testing.assert_allclose(*losses, atol=1e-5)
    shots = [answer_logits(without, windows, batch_size=size) for size in (batch_size, 64)]
    torch.testing.assert_close(*shots)
    rows, later_rows = logits(without, windows), logits(without.from_row(1), windows)
    assert not torch.allclose(rows, later_rows, atol=1e-3), "donors must matter for this to say something"
    torch.testing.assert_close(logits(without.from_row(1), windows[1:]), rows[1:])


@pytest.mark.parametrize(
    ("n_match", "edges"),
    [
        (1, [[3, 1], [4, 2], [5, 2], [5, 5], [6, 1], [6, 4], [7, 2], [7, 5], [7, 6]]),
        (2, [[4, 2], [7, 2], [7, 5]]),
        (3, []),
    ],
)
def test_edges_read_by_eye(n_match: int, edges: list[list[int]]) -> None:
    """a b c a b b a b: after "a b" came c (at 2) and b (at 5); "b b" makes its own second b a target."""
    tokens = torch.tensor([[1, 2, 3, 1, 2, 2, 1, 2]])
    assert induction_edges(tokens, n_match)[0].nonzero().tolist() == edges


# A model like any other


@FAMILIES
@WAYS
def test_the_shared_prefix_of_the_copying_test_is_ablated_too(cfg: ModelConfig, how: str) -> None:
    """The predicted tokens are those of runs from the first token on, and the logits over a cache are too."""
    model, tokens = random_model(replace(cfg, d_vocab=3)), random_tokens(replace(cfg, d_vocab=3))
    options = {**OPTIONS[how], **({"reference": REFERENCE[:, : cfg.n_ctx] % 3} if "reference" in OPTIONS[how] else {})}
    without = ablated(model, [(0, 1), (1, 0)], how, **options)
    assert isinstance(without, Caching)
    cache = without.empty_cache()
    with torch.no_grad():
        without(tokens[:, :7], cache=cache)
        branches = [without(tokens[:, 7:], cache=cache.branch()) for _ in range(2)]
    for branch in branches:
        torch.testing.assert_close(branch, logits(without, tokens)[:, 7:], atol=1e-4, rtol=1e-4)
    task = CopyTask(n_sequences=2, n_prefix=3, n_suffix=2, n_samples=31, query_every=1, alphabet=(1, 2), separator=0)
    from_the_start = AblatedModel(model, without.edits)
    assert not isinstance(from_the_start, Caching)
    found, expected = (copying_accuracy([(0, each)], task.sample())["correct"] for each in (without, from_the_start))
    np.testing.assert_array_equal(found, expected)
    assert (found != copying_accuracy([(0, model)], task.sample())["correct"]).any()


def test_other_analyzers_see_what_is_ablated() -> None:
    model, tokens = induction_circuit(), repeated_distinct_tokens()[0]
    without = attention_maps(ablated(model, [PREVIOUS_TOKEN_HEAD], "zero"), tokens)
    assert attention_maps(model, tokens).of(*INDUCTION_HEAD)[19, 1] > 0.999
    assert without.of(*INDUCTION_HEAD)[19, 1] < 0.2, "the induction head reads the previous-token head"


@KINDS
@WAYS
def test_the_model_is_left_as_it_was(how: str, kind: Callable[[Transformer], Any]) -> None:
    model, tokens = kind(induction_circuit()).train(), repeated_distinct_tokens()
    weights = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    n_hooks = sum(len(module._forward_hooks) for module in model.modules())
    before = logits(model, tokens)
    ablation_of(model, how, n_draws=1)
    assert model.training and torch.is_grad_enabled()
    assert sum(len(module._forward_hooks) for module in model.modules()) == n_hooks
    assert all(torch.equal(weight, weights[name]) for name, weight in model.named_parameters())
    assert torch.equal(logits(model, tokens), before)


@pytest.mark.parametrize(
    ("heads", "how", "options", "message"),
    [
        ([(1, 0), (1, 5)], "zero", {}, "no head L1H5: the model has 2 layers of 5 heads"),
        ([(2, 0)], "zero", {}, "no head L2H0"),
        ([(0, -1)], "zero", {}, "no head L0H-1"),
        ([], "zero", {}, "needs distinct heads, one or more, got none"),
        ([(1, 3), (1, 3)], "zero", {}, "needs distinct heads, one or more, got L1H3 L1H3"),
        ([(1, 0)], "delete", {}, "how must be one of zero, mean, resample, edges, got 'delete'"),
        ([(1, 0)], "mean", {}, "mean ablation needs `reference`"),
        ([(1, 0)], "resample", {}, "resample ablation needs `reference`"),
        ([(1, 0)], "edges", {}, "needs n_match, a length of 1 or more, got None"),
        ([(1, 0)], "edges", {"n_match": 0}, "needs n_match, a length of 1 or more, got 0"),
    ],
)
def test_what_cannot_be_ablated_is_refused(
    heads: list[tuple[int, int]], how: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ablated(induction_circuit(), heads, how, **options)
    with pytest.raises(ValueError, match=message):
        head_ablation(
            [(0, induction_circuit())],
            distinct_copy_samples(),
            repeated_distinct_tokens(),
            heads=heads,
            how=how,
            n_draws=1,
            seed=0,
            **options,
        )


def test_a_reference_shorter_than_the_text_is_refused() -> None:
    without = ablated(induction_circuit(), [(1, 0)], "resample", reference=REFERENCE[:, :29])
    with pytest.raises(ValueError, match="resampling 38 positions needs a reference as long, got 29 tokens"):
        logits(without, repeated_distinct_tokens())


# Controls


def test_random_controls_are_distinct_other_heads_of_the_same_layers() -> None:
    heads = [(2, 1), (0, 3), (2, 4)]
    drawn = random_controls(heads, n_heads=5, n_draws=7, seed=0, spared=[(0, 0)])
    assert len(set(drawn)) == 7
    for chosen in drawn:
        assert sorted(layer for layer, _ in chosen) == [0, 2, 2] and len(set(chosen)) == 3
        assert not {*heads, (0, 0)} & set(chosen)
    assert drawn == random_controls(heads, n_heads=5, n_draws=7, seed=0, spared=[(0, 0)])
    assert drawn != random_controls(heads, n_heads=5, n_draws=7, seed=1, spared=[(0, 0)])


def test_more_controls_than_heads_are_left_are_refused() -> None:
    three = [(1, 0), (1, 1), (1, 2)]
    message = "3 control heads are needed in layer 1 and 2 of its 5 are left: ablate fewer than L1H0 L1H1 L1H2"
    with pytest.raises(ValueError, match=message):
        random_controls(three, n_heads=5, n_draws=1, seed=0)
    with pytest.raises(ValueError, match="give 4 sets of controls for L1H0, got n_draws 5"):
        random_controls([(1, 0)], n_heads=5, n_draws=5, seed=0)
    with pytest.raises(ValueError, match="3 control heads are needed and 2 of the model's 6 are left"):
        entropy_controls(three, torch.zeros(2, 3), spared=[(0, 1)])


def test_heads_of_other_layers_take_the_place_of_those_that_a_layer_lacks() -> None:
    """Layer 1 has one head left, which is always taken; the other comes from layers 0 and 2."""
    heads, spared = [(1, 0), (1, 1)], [(1, 2), (0, 0)]
    options = {"n_heads": 4, "seed": 0, "spared": spared, "n_layers": 3}
    assert n_control_sets(heads, spared, 4, 3) == 3 + 4
    drawn = random_controls(heads, n_draws=7, **options)
    assert len(set(drawn)) == 7 and all((1, 3) in chosen and len(set(chosen)) == 2 for chosen in drawn)
    others = {head for chosen in drawn for head in chosen} - {(1, 3)}
    assert others == {(0, 1), (0, 2), (0, 3), (2, 0), (2, 1), (2, 2), (2, 3)}
    with pytest.raises(ValueError, match="give 7 sets of controls for L1H0 L1H1, got n_draws 8"):
        random_controls(heads, n_draws=8, **options)


@pytest.mark.parametrize(("n_ablated", "n_spared"), [(1, 0), (2, 1), (3, 2), (4, 3), (5, 1)])
def test_sets_of_controls_are_counted_as_one_by_one(n_ablated: int, n_spared: int) -> None:
    order = np.random.default_rng(n_ablated).permutation(9)
    heads, spared, rest = (
        [divmod(int(index), 3) for index in part] for part in np.split(order, [n_ablated, n_ablated + n_spared])
    )

    def is_set(chosen: tuple[tuple[int, int], ...]) -> bool:
        """As many of every layer as are ablated there, or all that are left."""
        n_of = [[sum(layer == at for layer, _ in each) for at in range(3)] for each in (chosen, heads, rest)]
        return all(n >= min(n_heads, n_left) for n, n_heads, n_left in zip(*n_of, strict=True))

    expected = sum(map(is_set, combinations(rest, n_ablated)))
    assert n_control_sets(heads, spared, 3, 3) == expected


def test_without_enough_other_heads_the_controls_are_nan_and_the_result_says_so() -> None:
    model, others = induction_circuit(), [(1, head) for head in range(1, 5)]
    result = ablation_of(
        model, n_draws=2, heads=[INDUCTION_HEAD, *others[:3]], spared=[*others[3:], *((0, at) for at in range(5))]
    )
    controls = result.dataset.sel(condition=["random", "entropy"])
    assert controls.to_dataarray().isnull().all() and (controls["heads"] == "").all() and not result.has_controls
    assert result.dataset[list(MEASURES)].sel(condition=["intact", "ablated"]).to_dataarray().notnull().all()
    assert not result.not_finite(), "nothing is wrong with the checkpoint"
    assert "0.0% [0.0, 27.8] ablated, no controls, because too few heads are left" in str(result)
    assert np.isnan(result.onset(threshold=0.1))


def test_controls_come_from_another_layer_before_they_come_from_spared_heads() -> None:
    others = [(1, head) for head in range(1, 5)]
    result = ablation_of(induction_circuit(), n_draws=1, spared=[*others, PREVIOUS_TOKEN_HEAD])
    assert result.controls_are_elsewhere and result.has_controls
    assert {head[:2] for head in np.unique(result.dataset["heads"].sel(condition="random"))} == {"L0"}
    assert (result["exact_match"].sel(condition="random") == 1.0).all()


def test_entropy_controls_are_the_nearest_of_any_layer_each_once() -> None:
    entropies = torch.tensor([[0.0, 2.1, 9.0], [2.0, 2.2, 5.0]])
    assert entropy_controls([(1, 0)], entropies) == ((0, 1),)
    assert entropy_controls([(1, 0), (0, 0)], entropies) == ((0, 1), (1, 1))
    assert entropy_controls([(1, 0)], entropies, spared=[(0, 1)]) == ((1, 1),)


def test_entropy_of_one_key_is_zero_and_of_uniform_attention_the_log_of_their_number() -> None:
    one, uniform = ground_truth.previous_token_pattern(7), torch.ones(7, 7).tril() / torch.arange(1, 8)[:, None]
    found = attention_entropy(torch.stack([one, uniform]).unsqueeze(0))
    np.testing.assert_allclose(found, [0.0, np.log(np.arange(1, 8)).mean()], atol=1e-6)


def test_entropies_do_not_depend_on_the_batch_size_and_are_the_circuits() -> None:
    model, tokens = induction_circuit(), repeated_distinct_tokens()
    entropies = attention_entropies(model, tokens)
    torch.testing.assert_close(attention_entropies(model, tokens, batch_size=2), entropies)
    assert entropies.shape == (2, 5) and entropies[PREVIOUS_TOKEN_HEAD] < 0.1
    np.testing.assert_allclose(entropies[:, 1:], np.log(np.arange(1, 39)).mean(), rtol=1e-5)


# The result


def test_the_result_is_labelled_says_how_it_was_made_and_keeps(tmp_path: Path) -> None:
    models = [(10, induction_circuit(sharpness=0.0)), (30, induction_circuit())]
    samples, windows = distinct_copy_samples(), repeated_distinct_tokens(n_sequences=3)
    options: dict[str, Any] = {"how": "zero", "heads": [INDUCTION_HEAD], "n_draws": 3, "seed": 5}
    result = head_ablation(models, samples, windows, **options)
    assert dict(result.dataset.sizes) == {"checkpoint": 2, "condition": 4, "draw": 3}
    assert result.dataset["heads"].sel(checkpoint=30, condition="ablated").to_numpy().tolist() == ["L1H0"] * 3
    assert len(np.unique(result.dataset["heads"].sel(checkpoint=30, condition="random"))) == 3
    assert result.dataset.attrs == {
        "heads": "L1H0",
        "how": "zero",
        "spared": "",
        "n_match": None,
        "seed": 5,
        "n_samples": 5,
        "n_windows": 3,
    }
    result.save(tmp_path / "ablation.nc")
    again = HeadAblation.load(tmp_path / "ablation.nc")
    assert again.dataset.equals(result.dataset) and again.dataset.attrs == result.dataset.attrs
    parts = [head_ablation([each], samples, windows, **options) for each in models]
    assert parts[0].extended(parts[1]).dataset.equals(result.dataset)


def test_a_result_is_told_in_one_line() -> None:
    assert str(ablation_of(induction_circuit())) == (
        "without L1H0 (zero) at 1 checkpoint; exact-match accuracy at the last: 100.0% [72.2, 100.0] intact, "
        "0.0% [0.0, 27.8] ablated, 100.0% [72.2, 100.0] without random heads, "
        "100.0% [72.2, 100.0] without heads of the nearest entropy (95% CIs over 5 samples)"
    )


def test_accuracies_that_no_sample_changes_leave_an_interval_unless_the_model_is_the_same() -> None:
    """5 samples of 4 strings: the effect is known to 1.96 sqrt(2) / 22 (Bonett and Price); of nothing, exactly."""
    same, loss = np.full((2, 5), 0.5), np.array([[0.1, 0.2, 0.4], [0.0, 0.0, 0.0]])
    found = effect_bounds([same, same, loss], [same, same, np.zeros((2, 3))], 4)
    for name in ("exact_match", "per_token"):
        ends = found[f"{name}_effect_low"], found[f"{name}_effect_high"]
        np.testing.assert_allclose(ends, ([-1.96 * np.sqrt(2) / 22, 0], [1.96 * np.sqrt(2) / 22, 0]), atol=1e-5)


@pytest.mark.parametrize(("lost", "low", "high"), [(1.0, -1.0, -0.735), (0.25, -0.443, -0.0115)])
def test_an_effect_that_is_equal_in_all_samples_has_an_interval(lost: float, low: float, high: float) -> None:
    """5 samples of 4 strings: Bonett and Price's interval of 20 answers, of which 20 or 5 are lost, by hand."""
    intact = np.ones((1, 5))
    found = effect_bounds([intact - lost, intact - lost, intact], [intact, intact, np.zeros((1, 5))], 4)
    for name in ("exact_match", "per_token"):
        ends = [float(found[f"{name}_effect_{bound}"][0]) for bound in ("low", "high")]
        np.testing.assert_allclose(ends, [low, high], atol=1e-3)


def test_intervals_are_over_samples_and_windows_and_effects_are_paired() -> None:
    """From the samples' own numbers, in a model in which everything matters; the mean over draws counts."""
    model, samples = random_model(CIRCUIT), distinct_copy_samples()
    windows, n_strings = repeated_distinct_tokens(n_sequences=7), len(samples.task.queries)
    result = head_ablation(
        [(0, model)], samples, windows, heads=[INDUCTION_HEAD], how="resample", n_draws=2, seed=3, reference=REFERENCE
    )
    draws = [ablated(model, [INDUCTION_HEAD], "resample", reference=REFERENCE, seed=3 + draw) for draw in range(2)]
    losses = np.mean([window_losses(each, windows, batch_size=64).numpy() for each in draws], axis=0)
    added = losses - window_losses(model, windows, batch_size=64).numpy()
    at = {"checkpoint": 0, "condition": "ablated"}
    for found, values in ((result.interval("loss"), losses), (result.effect_interval("loss"), added)):
        half = stats.t.ppf(0.975, 6) * values.std(ddof=1) / np.sqrt(7)
        low, high = (float(end.sel(at)) for end in found)
        np.testing.assert_allclose((low, high), (values.mean() - half, values.mean() + half), rtol=1e-6)
    assert np.ptp([float(end.sel(at)) for end in result.effect_interval("loss")]) < np.ptp(
        [float(end.sel(at)) for end in result.interval("loss")]
    ), "windows differ more than what the head does to them"
    whole = np.mean([copying_accuracy(each, samples).exact_match().item() for each in draws])
    low, high = (float(end.sel(at)) for end in result.interval("exact_match"))
    np.testing.assert_allclose(([low], [high]), wilson_interval(np.array([whole]), 5 * n_strings))
    intact = [float(end.sel(checkpoint=0, condition="intact")) for end in result.effect_interval("loss")]
    assert intact == [0.0, 0.0]
    table = result.to_frame()
    assert len(table) == result["loss"].size and table["loss_effect_low"].notna().any()
    row = table.query("condition == 'ablated' and draw == 1").iloc[0]
    assert row["loss_low"] < losses.mean() < row["loss_high"] and row["loss"] == pytest.approx(
        window_losses(draws[1], windows, batch_size=64).mean().item()
    )


def test_only_resampling_varies_over_draws_of_the_same_heads() -> None:
    model = random_model(CIRCUIT)
    varies = {how: ablation_of(model, how, n_draws=2)["loss"].std("draw").squeeze() for how in OPTIONS}
    for how, spread in varies.items():
        assert (spread.sel(condition="ablated") > 1e-6) == (how == "resample"), how
        assert spread.sel(condition="intact") == 0.0 and spread.sel(condition="random") > 0.0, how


def test_weights_are_not_read_from_an_ablated_model() -> None:
    """An ablation is of activations: a score of weights would quietly be the intact model's."""
    assert not hasattr(ablated(induction_circuit(), [INDUCTION_HEAD], "zero"), "W_V")
