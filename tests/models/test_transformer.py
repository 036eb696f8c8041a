"""The body: fused and explicit forms agree, hooks stand where TransformerLens has them, the future is not seen."""

import math
from dataclasses import replace

import ground_truth
import pytest
import torch
from ground_truth import LLAMA, MODULAR, random_model, random_tokens
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from grok_interp.configs import ModelConfig
from grok_interp.models.transformer import Transformer
from grok_interp.models.weights import canonical_views

FAMILIES = pytest.mark.parametrize("cfg", [LLAMA, MODULAR], ids=["llama", "modular"])


@st.composite
def small_configs(draw: st.DrawFn) -> ModelConfig:
    """Both families and everything between them."""
    return replace(
        draw(st.sampled_from([LLAMA, MODULAR])),
        n_layers=draw(st.integers(1, 3)),
        n_heads=draw(st.integers(1, 4)),
        d_model=draw(st.integers(2, 13)),
        d_head=2 * draw(st.integers(1, 4)),
        d_mlp=draw(st.integers(1, 9)),
        rotary_adjacent_pairs=draw(st.booleans()),
        tie_word_embeddings=draw(st.booleans()),
        act_fn=draw(st.sampled_from(["silu", "relu", "gelu"])),
    )


def keep(activation: Tensor, hook: object) -> None:
    """Listens, changes nothing: the explicit forms run."""


def listening_everywhere(model: Transformer) -> list:
    return [(name, keep) for name in model.hook_dict]


@FAMILIES
def test_listening_does_not_change_the_logits(cfg: ModelConfig) -> None:
    model, tokens = random_model(cfg), random_tokens(cfg)
    explicit = model.run_with_hooks(tokens, fwd_hooks=listening_everywhere(model))
    torch.testing.assert_close(model(tokens), explicit, atol=2e-5, rtol=2e-5)


@settings(deadline=None, max_examples=25)
@given(cfg=small_configs(), seed=st.integers(0, 99), length=st.integers(1, 13))
def test_listening_changes_nothing_whatever_the_config(cfg: ModelConfig, seed: int, length: int) -> None:
    """In float64: the norm of a stream of two features makes much of float32's rounding."""
    model, tokens = random_model(cfg, seed=seed).double(), random_tokens(cfg, n_sequences=2, length=length, seed=seed)
    explicit = model.run_with_hooks(tokens, fwd_hooks=listening_everywhere(model))
    torch.testing.assert_close(model(tokens), explicit, atol=1e-9, rtol=1e-7)


@settings(deadline=None, max_examples=15)
@given(cfg=small_configs(), seed=st.integers(0, 99))
def test_listening_does_not_change_the_gradients(cfg: ModelConfig, seed: int) -> None:
    model, tokens = random_model(cfg, seed=seed).double(), random_tokens(cfg, n_sequences=2, length=7, seed=seed)
    fused = gradients(model, model(tokens))
    explicit = gradients(model, model.run_with_hooks(tokens, fwd_hooks=listening_everywhere(model)))
    torch.testing.assert_close(fused, explicit, atol=1e-8, rtol=1e-6)


def gradients(model: Transformer, logits: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    logits.log_softmax(dim=-1)[..., 3].mean().backward()
    return {name: gradient.clone() for name, gradient in canonical_views(model, of_gradients=True).items()}


@FAMILIES
def test_later_tokens_do_not_change_earlier_logits(cfg: ModelConfig) -> None:
    model, tokens = random_model(cfg), random_tokens(cfg)
    changed = tokens.clone()
    changed[:, 5] = (tokens[:, 5] + 1) % cfg.d_vocab
    before, after = model(tokens), model(changed)
    torch.testing.assert_close(after[:, :5], before[:, :5])
    assert (after[:, 5:] - before[:, 5:]).abs().amax(dim=(0, 2)).min() > 1e-3, "and all later ones do change"


@FAMILIES
def test_positions_count_only_by_their_distance(cfg: ModelConfig) -> None:
    """Rotary scores depend on the distance of key and query: after a shift of both they are the same."""
    model, tokens = random_model(cfg), random_tokens(cfg, length=3)
    shifted = torch.cat([random_tokens(cfg, length=7), tokens], dim=1)
    name = "blocks.0.attn.hook_attn_scores"
    (_, here), (_, there) = (model.run_with_cache(each, names_filter=name) for each in (tokens, shifted))
    torch.testing.assert_close(there[name][:, :, 7:, 7:], here[name], atol=2e-5, rtol=2e-5)
    assert not torch.equal(here[name][:, :, 1, 0], here[name][:, :, 2, 0])


# Hook points


@FAMILIES
def test_activations_have_the_librarys_names_and_shapes(cfg: ModelConfig) -> None:
    _, cache = random_model(cfg).run_with_cache(random_tokens(cfg))
    residual, per_head = (5, 13, cfg.d_model), (5, 13, cfg.n_heads, cfg.d_head)
    square = (5, cfg.n_heads, 13, 13)
    in_block = {
        **dict.fromkeys(("hook_resid_pre", "hook_resid_mid", "hook_resid_post"), residual),
        **dict.fromkeys(("hook_attn_out", "hook_mlp_out", "ln1.hook_normalized", "ln2.hook_normalized"), residual),
        **dict.fromkeys(("ln1.hook_scale", "ln2.hook_scale"), (5, 13, 1)),
        **dict.fromkeys((f"attn.hook_{name}" for name in ("q", "k", "v", "rot_q", "rot_k", "z")), per_head),
        **dict.fromkeys(("attn.hook_attn_scores", "attn.hook_pattern"), square),
        "attn.hook_lse": (5, cfg.n_heads, 13),
        "attn.hook_result": (5, 13, cfg.n_heads, cfg.d_model),
        **dict.fromkeys(("mlp.hook_pre", "mlp.hook_post"), (5, 13, cfg.d_mlp)),
        **({"mlp.hook_pre_linear": (5, 13, cfg.d_mlp)} if cfg.gated_mlp else {}),
    }
    expected = {f"blocks.{layer}.{name}": shape for layer in range(cfg.n_layers) for name, shape in in_block.items()}
    expected |= {"hook_embed": residual, "ln_final.hook_scale": (5, 13, 1), "ln_final.hook_normalized": residual}
    assert {name: tuple(activation.shape) for name, activation in cache.items()} == expected


@FAMILIES
def test_the_residual_stream_is_the_sum_of_what_is_written_into_it(cfg: ModelConfig) -> None:
    _, cache = random_model(cfg).run_with_cache(random_tokens(cfg))
    total = cache["hook_embed"]
    for layer in range(cfg.n_layers):
        torch.testing.assert_close(cache[f"blocks.{layer}.hook_resid_pre"], total)
        total = total + cache[f"blocks.{layer}.attn.hook_result"].sum(dim=2)
        torch.testing.assert_close(cache[f"blocks.{layer}.hook_resid_mid"], total, atol=1e-5, rtol=1e-5)
        total = total + cache[f"blocks.{layer}.hook_mlp_out"]
        torch.testing.assert_close(cache[f"blocks.{layer}.hook_resid_post"], total, atol=1e-5, rtol=1e-5)


@FAMILIES
def test_editing_a_heads_result_is_editing_its_z(cfg: ModelConfig) -> None:
    def silence_head_one(activation: Tensor, hook: object) -> Tensor:
        return activation.index_fill(2, torch.tensor([1]), 0.0)

    model, tokens = random_model(cfg), random_tokens(cfg)
    by_result, by_z = (
        model.run_with_hooks(tokens, fwd_hooks=[(f"blocks.0.attn.hook_{name}", silence_head_one)])
        for name in ("result", "z")
    )
    torch.testing.assert_close(by_result, by_z, atol=2e-5, rtol=2e-5)
    assert (by_z - model(tokens)).abs().max() > 1e-2


# Cache of keys and values


@settings(deadline=None, max_examples=20)
@given(cfg=small_configs(), cuts=st.lists(st.integers(1, 12), max_size=3, unique=True).map(sorted))
def test_reading_in_parts_gives_the_logits_of_the_whole(cfg: ModelConfig, cuts: list[int]) -> None:
    model, tokens = random_model(cfg).double(), random_tokens(cfg)
    cache, parts = model.empty_cache(), tokens.tensor_split(cuts, dim=1)
    logits = torch.cat([model(part, cache=cache) for part in parts], dim=1)
    torch.testing.assert_close(logits, model(tokens), atol=1e-9, rtol=1e-7)
    assert cache.n_tokens == 13


@FAMILIES
def test_branches_grow_from_one_prefix_without_disturbing_each_other(cfg: ModelConfig) -> None:
    model, tokens = random_model(cfg), random_tokens(cfg)
    prefix, continuations = tokens[:, :8], (tokens[:, 8:], random_tokens(cfg, length=3, seed=11))
    shared = model.empty_cache()
    model(prefix, cache=shared)
    for continuation in (*continuations, continuations[0]):
        whole = model(torch.cat([prefix, continuation], dim=1))[:, 8:]
        torch.testing.assert_close(model(continuation, cache=shared.branch()), whole, atol=2e-5, rtol=2e-5)
    assert shared.n_tokens == 8


def test_hooks_see_all_keys_of_a_continued_sequence() -> None:
    model, tokens = random_model(LLAMA), random_tokens(LLAMA)
    name, seen = "blocks.1.attn.hook_pattern", []
    model.run_with_hooks(tokens, fwd_hooks=[(name, lambda pattern, hook: seen.append(pattern))])
    cache = model.empty_cache()
    model(tokens[:, :9], cache=cache)
    model.run_with_hooks(tokens[:, 9:], cache=cache, fwd_hooks=[(name, lambda pattern, hook: seen.append(pattern))])
    torch.testing.assert_close(seen[1], seen[0][:, :, 9:], atol=1e-5, rtol=1e-5)


def test_more_tokens_than_the_context_holds_are_refused() -> None:
    model = random_model(LLAMA)
    assert model(random_tokens(LLAMA, length=19)).shape == (5, 19, 37)
    with pytest.raises(ValueError, match="20 tokens do not fit a context of 19: shorten the input"):
        model(random_tokens(LLAMA, length=20))
    cache = model.empty_cache()
    model(random_tokens(LLAMA, length=17), cache=cache)
    with pytest.raises(ValueError, match="20 tokens do not fit a context of 19"):
        model(random_tokens(LLAMA, length=3), cache=cache)


# Attention dropout


def test_attention_dropout_acts_only_while_training() -> None:
    model = random_model(replace(LLAMA, attn_dropout=0.5))
    tokens = random_tokens(LLAMA)
    without = random_model(LLAMA)(tokens)
    assert torch.equal(model(tokens), without)
    model.train()
    first, second = model(tokens), model(tokens)
    assert not torch.equal(first, second) and not torch.equal(first, without)


@pytest.mark.parametrize("also_listened_to", [(), ("blocks.0.attn.hook_pattern",)], ids=["fused", "explicit"])
def test_dropout_is_on_the_pattern(also_listened_to: tuple[str, ...]) -> None:
    """Uniform attention over n keys to values of 1: each of the n weights is 0 or 1 / (n keep), so z n keep counts."""
    model, counts = random_model(replace(LLAMA, attn_dropout=0.25)).train(), []
    n_keys, kept = torch.arange(1, 14).view(1, 13, 1, 1), 0.75
    hooks = [
        ("blocks.0.attn.hook_q", lambda q, hook: torch.zeros_like(q)),
        ("blocks.0.attn.hook_v", lambda v, hook: torch.ones_like(v)),
        ("blocks.0.attn.hook_z", lambda z, hook: counts.append(z * n_keys * kept)),
        *((name, keep) for name in also_listened_to),
    ]
    torch.manual_seed(0)
    model.run_with_hooks(random_tokens(LLAMA, n_sequences=53), fwd_hooks=hooks)
    torch.testing.assert_close(counts[0], counts[0].round(), atol=1e-4, rtol=0)
    assert (counts[0] / n_keys).mean().item() == pytest.approx(kept, abs=0.03)


def test_listeners_see_the_pattern_before_dropout() -> None:
    model = random_model(replace(LLAMA, attn_dropout=0.5)).train()
    _, cache = model.run_with_cache(random_tokens(LLAMA), names_filter="blocks.0.attn.hook_pattern")
    sums = cache["blocks.0.attn.hook_pattern"].sum(dim=-1)
    torch.testing.assert_close(sums, torch.ones_like(sums))


# Initialization


def test_matrices_start_normal_with_the_configured_spread_and_norms_as_the_identity() -> None:
    cfg = replace(LLAMA, d_vocab=211, d_mlp=97, initializer_range=0.05)
    for name, weight in canonical_views(Transformer(cfg, seed=0)).items():
        if name.endswith(".w"):
            assert torch.equal(weight, torch.ones(cfg.d_model)), name
        else:
            error = 4 / math.sqrt(2 * weight.numel())  # four standard errors of a standard deviation
            assert weight.std().item() == pytest.approx(0.05, rel=error), name
            assert abs(weight.mean().item()) < 0.05 * 4 / math.sqrt(weight.numel()), name


def test_layer_norm_biases_start_at_zero() -> None:
    views = canonical_views(Transformer(MODULAR, seed=0))
    biases = [view for name, view in views.items() if name.endswith(".b")]
    assert len(biases) == 7 and not any(bias.any() for bias in biases)


def test_depth_scaling_divides_only_the_mlp_output_by_the_root_of_twice_the_depth() -> None:
    scaled, plain = (
        canonical_views(Transformer(replace(MODULAR, depth_scaled_mlp_out=choice), seed=0)) for choice in (True, False)
    )
    for name, weight in plain.items():
        factor = math.sqrt(2 * 3) if name.endswith("W_out") else 1.0
        torch.testing.assert_close(scaled[name] * factor, weight)


@FAMILIES
def test_a_seed_decides_the_weights_and_leaves_the_global_generator_alone(cfg: ModelConfig) -> None:
    before = torch.get_rng_state()
    first, same, other = (Transformer(cfg, seed=seed).W_Q for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, same) and not torch.equal(first, other)


def test_without_a_seed_the_global_generator_draws_the_weights() -> None:
    models = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        models.append(Transformer(LLAMA).W_E)
    assert torch.equal(models[0], models[1]) and not torch.equal(models[0], models[2])


@FAMILIES
def test_the_config_counts_the_parameters(cfg: ModelConfig) -> None:
    for tied in (True, False):
        counted = replace(cfg, tie_word_embeddings=tied)
        assert sum(p.numel() for p in Transformer(counted, seed=0).parameters()) == counted.n_params


# The circuit written by hand


def test_the_hand_written_circuit_goes_on_with_what_followed_the_first_time() -> None:
    tokens = ground_truth.repeated_distinct_tokens()
    predicted = ground_truth.induction_circuit()(tokens).argmax(dim=-1)
    assert torch.equal(predicted[:, 19:-1], tokens[:, 20:])


def test_the_norms_of_the_circuit_give_back_what_they_get() -> None:
    circuit = ground_truth.induction_circuit()
    _, cache = circuit.run_with_cache(ground_truth.repeated_distinct_tokens())
    for layer, block in enumerate(circuit.blocks):
        stream = cache[f"blocks.{layer}.hook_resid_pre"]
        torch.testing.assert_close(block.ln1(stream), stream, atol=1e-4, rtol=0)
