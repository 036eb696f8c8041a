"""Weights, gains, processing and windows of models that differ in one thing; errors that say what to do."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from families import D_HEAD, D_VOCAB, FAMILIES, N_HEADS, Built
from ground_truth import LLAMA, MODULAR, head_weights, measured, random_model
from torch import Tensor
from transformer_lens.model_bridge.sources import build_bridge_from_module

from grok_interp import to_hooked_transformer
from grok_interp.analysis.ablated_model import ReadOnlyPatternsModel, ablated
from grok_interp.analysis.attention import attention_maps
from grok_interp.analysis.copying import copying_accuracy
from grok_interp.analysis.head_scores import head_scores
from grok_interp.analysis.induction import induction_scores
from grok_interp.analysis.logit_attribution import direct_logit_attribution
from grok_interp.analysis.loss import position_losses
from grok_interp.analysis.natural_copying import natural_copying
from grok_interp.data.copying import CopyTask, repeated_tokens
from grok_interp.models.activations import logits
from grok_interp.models.attention_windows import attention_windows
from grok_interp.models.processing import Processing, processing_of
from grok_interp.models.value_biases import per_query_head
from grok_interp.models.weights_of import weights_of

try:
    from transformer_lens import HookedTransformer, HookedTransformerConfig
except ImportError:  # removed in 4.0
    HookedTransformer = HookedTransformerConfig = None

pytestmark = pytest.mark.filterwarnings("ignore:.*HookedTransformer.*:DeprecationWarning")
LIBRARY_3 = pytest.mark.skipif(HookedTransformer is None, reason="TransformerLens 4 has no HookedTransformer")
TOKENS = repeated_tokens(n_sequences=4, half=6, alphabet=range(17), seed=0)
SIZES = dict(n_layers=2, d_model=24, n_heads=4, d_head=6, d_mlp=20, d_vocab=23, n_ctx=16, act_fn="gelu", seed=0)
RMS = dict(normalization_type="RMS", final_rms=True)
LOCAL = dict(use_local_attn=True, attn_types=["local", "global"], window_size=4)
VARIANTS: dict[str, dict[str, Any]] = {
    "grouped": dict(n_key_value_heads=2, normalization_type="LN"),
    "one-group": dict(n_key_value_heads=1, **RMS),
    "no-norms": dict(normalization_type=None),
    "norms-without-parameters": dict(normalization_type="LNPre"),
    "fewer-outputs": dict(d_vocab_out=17, normalization_type="LN"),
    "more-outputs": dict(d_vocab_out=31, normalization_type="LN"),
    "soft-caps": dict(attn_scores_soft_cap=2.0, output_logits_soft_cap=3.0, **RMS),
    "alibi": dict(positional_embedding_type="alibi", normalization_type="LN"),
    "attention-only": dict(attn_only=True, normalization_type="LN"),
    "norms-behind": dict(use_normalization_before_and_after=True, **RMS),
    "beside-the-mlp": dict(parallel_attn_mlp=True, normalization_type="LN"),
}


def randomized(model: Any) -> Any:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.2)
    return model.eval()


def hooked(**options: Any) -> Any:
    return randomized(HookedTransformer(HookedTransformerConfig(**{**SIZES, "device": "cpu", **options})))


def circuit(model: Any, layer: int, head: int, *, folded: bool) -> Tensor:
    """Of the tokens that are inputs and outputs, from the state dict alone."""
    state, at = {name: tensor.double() for name, tensor in model.state_dict().items()}, f"blocks.{layer}"
    group = "_" if f"{at}.attn._W_V" in state else ""
    W_V = state[f"{at}.attn.{group}W_V"]
    W_V, W_O = W_V[head * len(W_V) // 4], state[f"{at}.attn.W_O"][head]
    one = torch.ones(24, dtype=torch.float64)
    names = (f"{at}.ln1.w", f"{at}.ln1_post.w", "ln_final.w")
    before, after, final = (state.get(name, one) if folded else one for name in names)
    n = min(23, model.cfg.d_vocab_out)
    return (state["embed.W_E"][:n] * before) @ W_V @ (W_O * after * final) @ state["unembed.W_U"][:, :n]


def positivity(matrix: Tensor) -> float:
    eigenvalues = torch.linalg.eigvals(matrix)
    return (eigenvalues.sum().real / eigenvalues.abs().sum()).item()


def of_every_head(score: Callable[[int, int], float]) -> np.ndarray:
    return np.array([[score(layer, head) for head in range(4)] for layer in range(2)])


@LIBRARY_3
@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("folded", [False, True], ids=["ignored", "folded"])
def test_induction_of_a_hooked_transformer(options: dict[str, Any], folded: bool) -> None:
    model = hooked(**options)
    found = induction_scores([(0, model)], TOKENS, norm_gain="folded" if folded else "ignored")
    expected = of_every_head(lambda layer, head: positivity(circuit(model, layer, head, folded=folded)))
    np.testing.assert_allclose(found["EP"][0], expected, atol=1e-5)
    _, cache = model.run_with_cache(TOKENS)
    edges = torch.tensor([(6 + i - 1, i) for i in range(1, 6)]).T
    patterns = torch.stack([cache["pattern", layer] for layer in range(2)])
    np.testing.assert_allclose(found["Abar"][0], patterns[..., edges[0], edges[1]].mean(dim=(1, 3)), atol=1e-6)


@LIBRARY_3
@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_losses_scores_and_ablations_of_a_hooked_transformer(options: dict[str, Any]) -> None:
    model = hooked(**options)
    scores = model(TOKENS).log_softmax(-1)
    losses = -scores[:, :-1].gather(-1, TOKENS[:, 1:, None])[..., 0].mean(0)
    np.testing.assert_allclose(position_losses([(0, model)], TOKENS)["loss"][0], losses.detach(), atol=1e-5)
    found = head_scores([(0, model)], TOKENS)["ov_copying"][0]
    symbols = TOKENS.unique()

    def copied(layer: int, head: int) -> float:
        whole = model.W_E @ model.W_V[layer, head] @ model.W_O[layer, head] @ model.W_U
        return np.mean([(whole[symbol].argmax() == symbol).item() for symbol in symbols]).item()

    np.testing.assert_allclose(found, of_every_head(copied), atol=1e-6)
    raw, processed = model, deepcopy(model)
    processed.process_weights_(center_unembed="output_logits_soft_cap" not in options)
    for how, more in {"zero": {}, "edges": {"n_match": 1}}.items():
        each = [logits(ablated(model, [(0, 1), (1, 2)], how, **more), TOKENS) for model in (raw, processed)]
        before, after = (scores.log_softmax(-1) for scores in each)
        torch.testing.assert_close(before, after, atol=1e-3, rtol=1e-3)


@LIBRARY_3
def test_processing_of_a_hooked_transformer() -> None:
    model = hooked(normalization_type="LN")
    assert str(processing_of(model)) == "raw"
    folded, processed = deepcopy(model), deepcopy(model)
    folded.process_weights_(fold_ln=True, center_writing_weights=False, center_unembed=False)
    processed.process_weights_()
    assert processing_of(folded) == Processing(norms_folded=True, value_biases_folded=True)
    everything = dict(norms_folded=True, writing_centered=True, unembedding_centered=True, value_biases_folded=True)
    assert processing_of(processed) == Processing(**everything)
    assert str(processing_of(folded)) == "norms folded, value biases folded"
    with pytest.raises(ValueError, match="step 2 is norms folded, .*, those before are raw; load all of them with the"):
        induction_scores([(1, model), (2, processed)], TOKENS)


@LIBRARY_3
def test_folding_one_model_leaves_another_of_the_same_config_raw() -> None:
    """The library writes "LNPre" into the config, which both models share."""
    model = hooked(normalization_type="LN")
    folded = HookedTransformer(model.cfg)
    folded.load_and_process_state_dict(deepcopy(model.state_dict()), fold_ln=True)
    assert model.cfg.normalization_type == "LNPre"
    assert str(processing_of(model)) == "raw"
    assert processing_of(folded).norms_folded is True
    with pytest.raises(ValueError, match="step 2 is norms folded, .*, those before are raw"):
        induction_scores([(1, model), (2, folded)], TOKENS)


def test_gains_of_1_in_a_bridge_processed_without_fold_ln_are_not_folded() -> None:
    """At step 0 all gains are 1. Without the adapter's record of `fold_ln` the state is open."""
    config = transformers.LlamaConfig(
        vocab_size=29,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=32,
    )

    def bridge(*, gain: float, fold_ln: bool) -> Any:
        theirs = transformers.LlamaForCausalLM(config)
        with torch.no_grad():
            theirs.model.norm.weight.fill_(gain)
        built = build_bridge_from_module(theirs, "LlamaForCausalLM", hf_config=config)
        built.enable_compatibility_mode(fold_ln=fold_ln)
        return built

    first, later, folded = bridge(gain=1, fold_ln=False), bridge(gain=2, fold_ln=False), bridge(gain=1, fold_ln=True)
    assert processing_of(folded).norms_folded is True
    assert processing_of(first).norms_folded is processing_of(later).norms_folded is False
    found = induction_scores([(0, first), (10, later)], TOKENS)
    assert "norms folded" not in found.dataset.attrs["processing"]
    del first.adapter._fold_ln_requested
    assert processing_of(first).norms_folded == "undetermined"
    assert "norms folded or not (undetermined)" in str(processing_of(first))
    assert induction_scores([(0, first), (10, later)], TOKENS).dataset.identical(found.dataset)


def with_biases(model: Any, *, value: float, output: float) -> Any:
    changed = deepcopy(model)
    with torch.no_grad():
        for block in changed.blocks:
            block.attn.b_V.fill_(value)
            block.attn.b_O.fill_(output)
    return changed


@LIBRARY_3
@pytest.mark.parametrize("norms", ["LN", "LNPre", "RMS", None])
def test_value_biases_of_zero_are_never_named_folded(norms: str | None) -> None:
    """Trained without them, as GPT-Neo is."""
    model = with_biases(hooked(normalization_type=norms), value=0.0, output=0.5)
    assert processing_of(model).value_biases_folded == "undetermined"
    assert "value biases folded or not (undetermined)" in str(processing_of(model))
    trained = with_biases(model, value=0.5, output=0.5)
    assert processing_of(trained).value_biases_folded is False
    assert processing_of(with_biases(model, value=0.0, output=0.0)).value_biases_folded is None


@LIBRARY_3
@pytest.mark.parametrize("initial", ["biases", "W_O", "W_U"])
def test_zeros_at_step_0_take_the_state_of_the_later_checkpoints(initial: str) -> None:
    raw = hooked(normalization_type="LN")
    zero = with_biases(raw, value=0.0, output=0.0)
    with torch.no_grad():
        for name, parameter in zero.named_parameters():
            if initial in name:
                parameter.zero_()
    later = deepcopy(raw)
    for each in (zero, later):
        each.process_weights_(fold_ln=False)
    only_output = with_biases(raw, value=0.0, output=0.5)
    processed = "writing centered, unembedding centered, value biases folded"
    for driver in (induction_scores, head_scores):
        # zero biases are no folded ones, and without folded norms only the others of the series say what they are
        for series, expected in (
            ([with_biases(raw, value=0.0, output=0.0), raw], "raw"),
            ([only_output, raw], "raw"),
            ([raw, only_output], "raw"),
            ([with_biases(raw, value=0.0, output=0.0), only_output], "value biases folded or not (undetermined)"),
            ([zero, later], f"{processed} or not (undetermined)"),
        ):
            assert driver(series, TOKENS).dataset.attrs["processing"] == expected
        with pytest.raises(ValueError, match="the model at step 1 is raw, those before are writing centered"):
            driver([later, raw], TOKENS)


def test_states_merge_unless_they_contradict() -> None:
    unknown = Processing(value_biases_folded="undetermined", unembedding_centered=None)
    known = Processing(value_biases_folded=True, unembedding_centered=True)
    assert unknown.merged(known) == known.merged(unknown) == known
    assert Processing().merged(unknown) == Processing(value_biases_folded="undetermined")
    assert known.merged(Processing(unembedding_centered=False)) is None


def test_weights_that_are_not_finite_give_nan_and_leave_the_state_of_their_series() -> None:
    centered = random_model(LLAMA)
    with torch.no_grad():
        centered.W_E.sub_(centered.W_E.mean(dim=1, keepdim=True))
        for head in range(LLAMA.n_heads):
            W_O = head_weights(centered, 0, head)[3]
            W_O.sub_(W_O.mean(dim=-1, keepdim=True))
    diverged = deepcopy(centered)
    with torch.no_grad():
        diverged.W_E[0, 0] = torch.nan
    assert processing_of(centered) == Processing(writing_centered=True)
    for found in (induction_scores([(1, centered), (2, diverged)], TOKENS), head_scores([centered, diverged], TOKENS)):
        assert found.dataset.attrs["processing"] == "writing centered"
        assert measured(found).isel(checkpoint=0).notnull().all()
        assert measured(found).isel(checkpoint=1).isnull().all()


def test_a_first_checkpoint_that_is_not_finite_takes_the_state_of_the_others() -> None:
    centered = random_model(LLAMA)
    with torch.no_grad():
        centered.unembed.weight.sub_(centered.unembed.weight.mean(dim=0))
    for factor in (torch.nan, 1e25):
        diverged = deepcopy(centered)
        with torch.no_grad():
            for weight in diverged.parameters():
                weight.mul_(factor)
        found = induction_scores([(1, diverged), (2, centered)], TOKENS)
        assert found.dataset.attrs["processing"] == "unembedding centered"
        assert found.not_finite() == (1,)


@LIBRARY_3
def test_folding_here_is_folding_there() -> None:
    """Of RMSNorm, where the library folds the gains and centers nothing."""
    model = hooked(**RMS)
    processed = deepcopy(model)
    processed.process_weights_(fold_ln=True, center_writing_weights=False, center_unembed=False)
    ours, theirs, again = (
        induction_scores([(0, each)], TOKENS, norm_gain=gain)
        for each, gain in [(model, "folded"), (processed, "ignored"), (processed, "folded")]
    )
    np.testing.assert_allclose(ours["EP"], theirs["EP"], atol=1e-5)
    np.testing.assert_array_equal(measured(again), measured(theirs))
    assert theirs.dataset.attrs["norm_gain"] == again.dataset.attrs["norm_gain"] == "folded"


def test_gains_of_exactly_one_are_not_folded_ones() -> None:
    """As at step 0: such a checkpoint belongs to the same series as the later ones."""
    built = FAMILIES["LLaMA"].build()
    first = built.bridge()
    with torch.no_grad():
        for block in first.blocks:
            block.ln1.weight.fill_(1.0)
        first.ln_final.weight.fill_(1.0)
    scores = induction_scores([(0, first), (1, built.bridge())], TOKENS, norm_gain="folded")
    assert scores.dataset.attrs["processing"] == "raw" and scores.dataset.attrs["norm_gain"] == "folded"


@pytest.mark.parametrize("cfg", [LLAMA, MODULAR], ids=["llama", "modular"])
def test_the_form_is_the_same_for_our_model_and_the_librarys(cfg: Any) -> None:
    model = random_model(cfg)
    for gain in ("ignored", "folded"):
        ours, theirs = weights_of(model, gain), weights_of(to_hooked_transformer(model), gain)
        for name in ("W_E", "W_U", "W_V", "W_O"):
            torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), msg=name)


def test_grouped_heads_are_repeated_in_order() -> None:
    repeated = per_query_head(torch.tensor([[1.0], [2.0]]), 6)
    assert repeated[:, 0].tolist() == [1, 1, 1, 2, 2, 2]
    with pytest.raises(ValueError, match="5 query heads cannot share 2 key-value heads evenly"):
        per_query_head(torch.zeros(2, 1), 5)


def test_what_has_no_weights_is_refused() -> None:
    model = random_model(LLAMA)
    without = ablated(model, [(0, 0)], "zero")
    tokens = repeated_tokens(n_sequences=3, half=6, alphabet=range(20), seed=0)
    for driver in (induction_scores, head_scores):
        with pytest.raises(ValueError, match="AblatedModel has no W_E, W_U.*an ablation changes activations"):
            driver([(0, without)], tokens)
    assert head_scores([(0, without)], tokens, scores=["previous_token"]).dataset.attrs["processing"] is None
    with pytest.raises(ValueError, match="norm_gain must be 'ignored' or 'folded', got 'fold'"):
        weights_of(model, "fold")


def test_gains_of_norms_on_the_stream_cannot_be_folded() -> None:
    model = FAMILIES["OPT"].build(do_layer_norm_before=False).bridge()
    with pytest.raises(ValueError, match="do_layer_norm_before is False.*take norm_gain='ignored'"):
        weights_of(model, "folded")
    weights_of(model)


# Windows


@pytest.mark.parametrize(
    ("name", "changes", "windows"),
    [
        ("Mistral", dict(sliding_window=4), [4, 4]),
        ("Phi-3", dict(sliding_window=4), [4, 4]),
        ("StarCoder2", dict(sliding_window=4), [4, 4]),
        ("Gemma 2", dict(sliding_window=4), [4, None]),
        ("Gemma 3", dict(sliding_window=4, layer_types=["full_attention", "sliding_attention"]), [None, 4]),
        ("Qwen2", dict(use_sliding_window=True, sliding_window=4, max_window_layers=1), [None, 4]),
        ("Qwen2", dict(sliding_window=4), [None, None]),
        ("LLaMA", {}, [None, None]),
    ],
)
def test_a_window_shorter_than_the_repeat_is_said(name: str, changes: dict[str, Any], windows: list) -> None:
    built = FAMILIES[name].build(**changes)
    model = built.bridge()
    assert attention_windows(model) == windows
    for layer, pattern in enumerate(built.hf(TOKENS, output_attentions=True).attentions):
        farthest = max(query - key for _, _, query, key in pattern.nonzero().tolist())
        assert farthest == (11 if windows[layer] is None else windows[layer] - 1), "the window is what the model does"
    require_warning(model, windows)


@LIBRARY_3
def test_local_attention_of_a_hooked_transformer_is_said() -> None:
    model = hooked(normalization_type="LN", **LOCAL)
    assert attention_windows(model) == [4, None]
    require_warning(model, [4, None])
    pattern = attention_maps(model, TOKENS[0])["pattern"][0].to_numpy()
    assert max(query - key for _, query, key in np.argwhere(pattern)) == 3


def require_warning(model: Any, windows: list[int | None]) -> None:
    short = [layer for layer, window in enumerate(windows) if window]
    if not short:
        induction_scores([(0, model)], TOKENS)  # warnings are errors
        return
    with pytest.warns(UserWarning, match=rf"up to 5 tokens back, and .* less: {short[0]} \(window 4\)"):
        scores = induction_scores([(0, model)], TOKENS)
    assert not scores["Abar"][0, short].to_numpy().any()
    with pytest.warns(UserWarning, match="up to 6 tokens back"):
        head_scores([(0, model)], TOKENS)
    twice = ablated(ablated(model, [(0, 0)], "zero"), [(1, 0)], "zero")
    with pytest.warns(UserWarning, match=rf"up to 5 tokens back, and .* less: {short[0]} \(window 4\)"):
        head_scores([(0, twice)], TOKENS, scores=["prefix_matching"])
    induction_scores([(0, model)], repeated_tokens(n_sequences=2, half=4, alphabet=range(17), seed=0))


# Attention that is fused, or only shown


def test_fused_attention_names_the_remedy_and_the_remedy_works() -> None:
    built = FAMILIES["OPT"].build()
    fused = deepcopy(built.hf)
    fused.set_attn_implementation("sdpa")
    model = Built(built.family, fused).bridge()
    with pytest.raises(ValueError, match=r"fused \('sdpa'\).*original_model.set_attn_implementation\('eager'\)"):
        induction_scores([(0, model)], TOKENS)
    with pytest.raises(ValueError, match=r"fused \('sdpa'\).*original_model.set_attn_implementation\('eager'\)"):
        ablated(model, [(1, 0)], "edges", n_match=1)
    with pytest.raises(ValueError, match=r"fused \('sdpa'\).*original_model.set_attn_implementation\('eager'\)"):
        head_scores(ablated(model, [(0, 0)], "zero"), TOKENS, scores=["previous_token"])
    position_losses([(0, model)], TOKENS)  # needs no pattern
    model.original_model.set_attn_implementation("eager")
    found, expected = (measured(induction_scores([(0, each)], TOKENS)) for each in (model, built.bridge()))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    found, expected = (logits(ablated(each, [(1, 0)], "edges", n_match=1), TOKENS) for each in (model, built.bridge()))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(found, logits(model, TOKENS), atol=1e-3)


def test_edges_are_cut_in_the_librarys_native_models_too() -> None:
    """3.9 shows their patterns and does not read them back, 4.3 does."""
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge import TransformerBridge

    cfg = TransformerBridgeConfig(**{**SIZES, "normalization_type": "LN"})
    model = randomized(TransformerBridge.boot_native(cfg))  # pyright: ignore[reportAttributeAccessIssue]
    tokens = torch.tensor([[1, 2, 3, 1, 2, 5]])
    without = ablated(model, [(1, 1)], "edges", n_match=1)
    assert isinstance(without, ReadOnlyPatternsModel) == (HookedTransformer is not None)
    names = [f"blocks.1.attn.hook_{name}" for name in ("pattern", "v", "z")]
    kept: dict[str, Tensor] = {}
    with torch.no_grad():
        hooks = [(name, lambda x, hook, name=name: kept.update({name: x.clone()})) for name in names]
        before = model.run_with_hooks(tokens, fwd_hooks=hooks)
        pattern, v, z = (kept[name] for name in names)
        constant = model.blocks[1].ln1.bias @ model.W_V[1, 1] + model.b_V[1, 1]
        for query, key in [(3, 1), (4, 2)]:
            z[0, query, 1] -= pattern[0, 1, query, key] * (v[0, key, 1] - constant)
        expected = model.run_with_hooks(tokens, fwd_hooks=[(names[2], lambda x, hook: z)])  # noqa: ARG005
    torch.testing.assert_close(logits(without, tokens), expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(expected, before, atol=1e-3)


# Rows and outputs that a model does not have


def test_rows_longer_than_the_context_are_refused_where_the_model_cannot_read_them() -> None:
    long = torch.randint(0, D_VOCAB, (2, 50), generator=torch.Generator().manual_seed(0))
    learned = FAMILIES["GPT-2"].build().bridge()
    for refused in (position_losses, head_scores):
        with pytest.raises(ValueError, match=r"(49|50) tokens are read, the model's context \(n_ctx\) holds 48"):
            refused([(0, learned)], long)
    rotary = FAMILIES["LLaMA"].build().bridge()
    assert position_losses([(0, rotary)], long)["loss"].notnull().all()


@LIBRARY_3
def test_rows_longer_than_a_hooked_transformers_context_are_refused() -> None:
    model = hooked(normalization_type="LN")
    with pytest.raises(ValueError, match=r"19 tokens are read, the model's context \(n_ctx\) holds 16"):
        position_losses([(0, model)], torch.zeros(2, 20, dtype=torch.int64))


@LIBRARY_3
def test_targets_that_are_no_outputs_are_refused() -> None:
    model = hooked(d_vocab_out=17, normalization_type="LN")
    tokens = torch.tensor([[22, 3, 17]])
    with pytest.raises(ValueError, match=r"outputs of the model, 0 .. 16 \(d_vocab_out\), got token 17"):
        position_losses([(0, model)], tokens)
    position_losses([(0, model)], tokens.clamp(max=16))


@LIBRARY_3
def test_strings_of_tokens_that_are_no_outputs_are_refused() -> None:
    """They would be copied never, whatever the model has learned."""
    model = hooked(d_vocab_out=17, normalization_type="LN")
    options: dict[str, Any] = dict(n_sequences=2, n_prefix=2, n_suffix=1, n_samples=3, separator=0)
    samples = CopyTask(alphabet=tuple(range(15, 21)), **options).sample()
    for analyzer in (copying_accuracy, direct_logit_attribution):
        with pytest.raises(ValueError, match=r"targets must be outputs of the model, 0 .. 16 \(d_vocab_out\)"):
            analyzer([(0, model)], samples)
    with pytest.raises(ValueError, match="targets must be outputs"):
        natural_copying([(0, model)], torch.tensor([[1, 20, 3, 1, 20, 3]]), n=1)


def test_the_library_finds_value_heads_as_we_do() -> None:
    """The whole circuit of a query head is that of its own group: heads 0 and 1 of four share group 0 of two."""
    built = FAMILIES["Mistral"].build()
    W_V = weights_of(built.bridge()).W_V
    assert W_V.shape == (2, N_HEADS, 24, D_HEAD)
    assert torch.equal(W_V[:, 0], W_V[:, 1]) and not torch.equal(W_V[:, 1], W_V[:, 2])
