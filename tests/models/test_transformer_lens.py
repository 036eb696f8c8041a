"""Ours against TransformerLens' own model with the same weights, on whichever version is installed."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from grok_interp.configs import ModelConfig, llama_copier, modular_gpt
from grok_interp.models.transformer import Transformer
from grok_interp.models.transformer_lens import to_hooked_transformer, transformer_lens_config
from grok_interp.models.weights import canonical_views

LLAMA = llama_copier(n_layers=2, n_heads=3, d_model=30, d_mlp=52, d_vocab=41, n_ctx=19)
MODULAR = modular_gpt(n_layers=3, n_heads=2, d_model=28, d_vocab=37, n_ctx=17)
CONFIGS = {
    "llama": LLAMA,
    "llama-tied": replace(LLAMA, tie_word_embeddings=True, rotary_base=500.0, act_fn="gelu"),
    "llama-adjacent": replace(LLAMA, rotary_adjacent_pairs=True, n_layers=1),
    "modular": MODULAR,
    "modular-gelu": replace(MODULAR, act_fn="gelu_new", n_layers=1),
    "modular-untied": replace(MODULAR, tie_word_embeddings=False, rotary_adjacent_pairs=False, eps=1e-3),
}


@pytest.fixture(params=CONFIGS.values(), ids=CONFIGS.keys())
def model(request: pytest.FixtureRequest) -> Transformer:
    """Weights far from their small initialization, so that a wrong convention shows."""
    ours = Transformer(request.param, seed=3).eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.15)
    return ours


def random_tokens(cfg: ModelConfig) -> Tensor:
    return torch.randint(0, cfg.d_vocab, (5, 13), generator=torch.Generator().manual_seed(7))


def scalar_loss(logits: Tensor) -> Tensor:
    return logits.float().log_softmax(-1)[..., 3].mean()


def test_logits_are_theirs(model: Transformer) -> None:
    tokens = random_tokens(model.cfg)
    torch.testing.assert_close(to_hooked_transformer(model)(tokens), model(tokens), atol=2e-5, rtol=2e-5)


def test_gradients_are_theirs(model: Transformer) -> None:
    tokens, theirs = random_tokens(model.cfg), to_hooked_transformer(model)
    for each in (model, theirs):
        scalar_loss(each(tokens)).backward()
    ours = canonical_views(model, of_gradients=True)
    for layer in range(model.cfg.n_layers):
        for name, gradient in head_gradients(theirs, layer, model.cfg).items():
            torch.testing.assert_close(gradient, ours[f"blocks.{layer}.attn.{name}"], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(embedding_gradient(theirs, model.cfg), ours["embed.W_E"], atol=1e-5, rtol=1e-4)


def head_gradients(theirs: torch.nn.Module, layer: int, cfg: ModelConfig) -> dict[str, Tensor]:
    """Gradients of the value and output maps, head first, from either of the library's classes."""
    attention = theirs.blocks[layer].attn
    if hasattr(theirs, "original_model"):
        v, o = (linear.original_component.weight.grad for linear in (attention.v, attention.o))
        return {
            "W_V": v.unflatten(0, (cfg.n_heads, cfg.d_head)).mT,
            "W_O": o.T.unflatten(0, (cfg.n_heads, cfg.d_head)),
        }
    return {name: getattr(attention, name).grad for name in ("W_Q", "W_K", "W_V", "W_O")}


def embedding_gradient(theirs: torch.nn.Module, cfg: ModelConfig) -> Tensor:
    """3.x unties a tied embedding, so there the two gradients add up to ours."""
    if hasattr(theirs, "original_model"):
        return theirs.original_model.get_input_embeddings().weight.grad
    untied = theirs.embed.W_E.grad
    return untied + theirs.unembed.W_U.grad.T if cfg.tie_word_embeddings else untied


def test_editing_the_pattern_changes_the_output_as_it_does_there(model: Transformer) -> None:
    tokens, theirs = random_tokens(model.cfg), to_hooked_transformer(model)
    edit = [("blocks.0.attn.hook_pattern", look_at_the_first_token)]
    ours = model.run_with_hooks(tokens, fwd_hooks=edit)
    assert (ours - model(tokens)).abs().max() > 1e-2
    torch.testing.assert_close(theirs.run_with_hooks(tokens, fwd_hooks=edit), ours, atol=2e-5, rtol=2e-5)


def look_at_the_first_token(pattern: Tensor, hook: object) -> Tensor:  # noqa: ARG001
    edited = torch.zeros_like(pattern)
    edited[:, 1:, :, 0] = 1.0
    edited[:, :1] = pattern[:, :1]
    return edited


def test_patterns_are_theirs(model: Transformer) -> None:
    tokens, theirs = random_tokens(model.cfg), to_hooked_transformer(model)
    for layer in range(model.cfg.n_layers):
        name, seen = f"blocks.{layer}.attn.hook_pattern", []
        for each in (model, theirs):
            each.run_with_hooks(tokens, fwd_hooks=[(name, lambda pattern, hook: seen.append(pattern.clone()))])  # noqa: B023
        torch.testing.assert_close(*seen, atol=1e-5, rtol=1e-4)


def test_the_config_is_the_librarys_own() -> None:
    config = transformer_lens_config(LLAMA)
    assert type(config).__name__ in ("HookedTransformerConfig", "TransformerBridgeConfig")
    assert (config.n_layers, config.d_head, config.normalization_type, config.gated_mlp) == (2, 10, "RMS", True)


def test_a_rotary_base_that_the_library_would_cut_off_is_refused() -> None:
    with pytest.raises(ValueError, match="whole rotary bases only, got rotary_base 10.5"):
        transformer_lens_config(replace(LLAMA, rotary_base=10.5))
