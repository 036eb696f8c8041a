"""Weights under TransformerLens' names: views that share memory, and a load that is all or nothing."""

from dataclasses import replace

import pytest
import torch
from ground_truth import LLAMA, MODULAR, random_model, random_tokens
from torch import Tensor

from grok_interp.configs import ModelConfig
from grok_interp.models.transformer import Transformer
from grok_interp.models.weights import canonical_views, load_canonical

CONFIGS = {"llama": LLAMA, "llama-tied": replace(LLAMA, tie_word_embeddings=True), "modular": MODULAR}
FAMILIES = pytest.mark.parametrize("cfg", CONFIGS.values(), ids=CONFIGS.keys())


def cloned(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: weight.clone() for name, weight in weights.items()}


def test_a_llamas_weights_have_the_librarys_names_and_shapes() -> None:
    views = canonical_views(Transformer(replace(LLAMA, n_layers=1, d_head=14), seed=0))
    assert {name: tuple(view.shape) for name, view in views.items()} == {
        "embed.W_E": (37, 30),
        "blocks.0.ln1.w": (30,),
        "blocks.0.attn.W_Q": (3, 30, 14),
        "blocks.0.attn.W_K": (3, 30, 14),
        "blocks.0.attn.W_V": (3, 30, 14),
        "blocks.0.attn.W_O": (3, 14, 30),
        "blocks.0.ln2.w": (30,),
        "blocks.0.mlp.W_gate": (30, 17),
        "blocks.0.mlp.W_in": (30, 17),
        "blocks.0.mlp.W_out": (17, 30),
        "ln_final.w": (30,),
        "unembed.W_U": (30, 37),
    }


def test_a_tied_plain_model_has_biases_and_neither_gate_nor_unembedding() -> None:
    views = canonical_views(Transformer(replace(MODULAR, n_layers=1), seed=0))
    norms = [f"{norm}.{name}" for norm in ("blocks.0.ln1", "blocks.0.ln2", "ln_final") for name in ("w", "b")]
    matrices = ["attn.W_Q", "attn.W_K", "attn.W_V", "attn.W_O", "mlp.W_in", "mlp.W_out"]
    assert set(views) == {"embed.W_E", *norms, *(f"blocks.0.{name}" for name in matrices)}


@FAMILIES
def test_the_views_cover_every_parameter_once(cfg: ModelConfig) -> None:
    model = random_model(cfg)
    for view in canonical_views(model).values():
        view.add_(1.0)
    for parameter, before in zip(model.parameters(), random_model(cfg).parameters(), strict=True):
        torch.testing.assert_close(parameter.detach(), before.detach() + 1.0)


@FAMILIES
def test_the_views_of_gradients_are_those_of_the_parameters(cfg: ModelConfig) -> None:
    """Of a loss that is half the sum of squared weights, each gradient is the weight itself."""
    model = random_model(cfg)
    (sum(parameter.square().sum() for parameter in model.parameters()) / 2).backward()
    weights, gradients = canonical_views(model), canonical_views(model, of_gradients=True)
    assert weights.keys() == gradients.keys()
    assert all(torch.equal(gradients[name], weight) for name, weight in weights.items())


@FAMILIES
def test_stacked_weights_are_the_views_layer_by_layer(cfg: ModelConfig) -> None:
    model = random_model(cfg)
    views = canonical_views(model)
    for name in ("W_Q", "W_K", "W_V", "W_O"):
        stacked = getattr(model, name)
        assert len(stacked) == cfg.n_layers
        assert all(torch.equal(stacked[layer], views[f"blocks.{layer}.attn.{name}"]) for layer in range(cfg.n_layers))
    assert torch.equal(model.W_U, views.get("unembed.W_U", views["embed.W_E"].T))


def test_q_k_and_v_are_the_products_of_the_stream_with_their_weights() -> None:
    model = random_model(LLAMA)
    _, cache = model.run_with_cache(random_tokens(LLAMA))
    normalized = cache["blocks.1.ln1.hook_normalized"] * model.blocks[1].ln1.w
    for name in "QKV":
        expected = torch.einsum("bpd,hdk->bphk", normalized, getattr(model, f"W_{name}")[1])
        found = cache[f"blocks.1.attn.hook_{name.lower()}"]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@FAMILIES
def test_loaded_weights_make_another_model_equal(cfg: ModelConfig) -> None:
    source, target = random_model(cfg), Transformer(cfg, seed=5).eval()
    tokens = random_tokens(cfg)
    assert not torch.allclose(target(tokens), source(tokens))
    load_canonical(target, cloned(canonical_views(source)))
    assert torch.equal(target(tokens), source(tokens))


def without_one(weights: dict[str, Tensor]) -> None:
    del weights["blocks.1.attn.W_K"]


def with_a_bias(weights: dict[str, Tensor]) -> None:
    weights["blocks.0.attn.b_Q"] = torch.zeros(3, 10)


def transposed(weights: dict[str, Tensor]) -> None:
    weights["embed.W_E"] = weights["embed.W_E"].T


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without_one, r"missing \['blocks.1.attn.W_K'\], unknown \[\], shapes \[\]"),
        (with_a_bias, r"missing \[\], unknown \['blocks.0.attn.b_Q'\]"),
        (transposed, r"embed.W_E: expected \(37, 30\), got \(30, 37\)"),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_nothing_is_written(damage, message: str) -> None:
    model = Transformer(LLAMA, seed=0)
    before, weights = cloned(canonical_views(model)), cloned(canonical_views(random_model(LLAMA)))
    damage(weights)
    with pytest.raises(ValueError, match=message):
        load_canonical(model, weights)
    assert all(torch.equal(view, before[name]) for name, view in canonical_views(model).items())
