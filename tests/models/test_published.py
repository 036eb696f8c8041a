"""The published checkpoint format: logits of a reference that reads it directly, there and back, and refusals."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from ground_truth import LLAMA, MODULAR, random_model, random_tokens
from torch import Tensor

from grok_interp.configs import ModelConfig, modular_gpt
from grok_interp.models.published import from_published, to_published
from grok_interp.models.transformer import Transformer
from grok_interp.models.weights import canonical_views

QKV, FREQUENCIES = "transformer.h.1.attn.to_qkv.weight", "transformer.h.1.attn.rotary_emb.freqs"
EMBEDDING, HEAD = "transformer.wte.weight", "lm_head.weight"


class Sizes(NamedTuple):
    n_layers: int
    n_heads: int
    d_head: int
    d_mlp: int
    d_vocab: int

    @property
    def d_model(self) -> int:
        return self.n_heads * self.d_head


SIZES = [Sizes(2, 3, 10, 37, 47), Sizes(3, 5, 4, 11, 53), Sizes(1, 2, 22, 13, 31)]
SMALL = SIZES[0]
EVERY_SIZE = pytest.mark.parametrize("sizes", SIZES, ids=str)


def published_state(sizes: Sizes = SMALL, *, seed: int = 0, gated: bool = False) -> dict[str, Tensor]:
    """A state dict in the official code's names and order; matrices, gains and biases are all random."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int, mean: float = 0.0) -> Tensor:
        return mean + 0.2 * torch.randn(*shape, generator=generator)

    d_model, d_mlp = sizes.d_model, sizes.d_mlp
    state = {EMBEDDING: normal(sizes.d_vocab, d_model)}
    for layer in range(sizes.n_layers):
        block = {
            "ln_1.weight": normal(d_model, mean=1.0),
            "ln_1.bias": normal(d_model),
            "attn.to_qkv.weight": normal(3 * d_model, d_model),
            "attn.o.weight": normal(d_model, d_model),
            "attn.rotary_emb.freqs": 1.0 / 10_000 ** (torch.arange(0, sizes.d_head, 2).float() / sizes.d_head),
            "ln_2.weight": normal(d_model, mean=1.0),
            "ln_2.bias": normal(d_model),
        }
        mlp = ("w1", "w2", "w3") if gated else ("c_fc", "c_proj")
        block |= {
            f"mlp.{name}.weight": normal(*((d_model, d_mlp) if name in ("w2", "c_proj") else (d_mlp, d_model)))
            for name in mlp
        }
        state |= {f"transformer.h.{layer}.{name}": tensor for name, tensor in block.items()}
    state["transformer.ln_f.weight"] = normal(d_model, mean=1.0)
    state["transformer.ln_f.bias"] = normal(d_model)
    return state | {HEAD: state[EMBEDDING]}


def reference_logits(state: dict[str, Tensor], tokens: Tensor, sizes: Sizes, act_name: str = "relu") -> Tensor:
    """The decoder that the format means, one head and one statement at a time."""
    x = state["transformer.wte.weight"][tokens]
    for layer in range(sizes.n_layers):
        block = {name.split(".", 3)[3]: t for name, t in state.items() if name.startswith(f"transformer.h.{layer}.")}
        x = x + reference_attention(block, reference_norm(x, block["ln_1.weight"], block["ln_1.bias"]), sizes)
        normed = reference_norm(x, block["ln_2.weight"], block["ln_2.bias"])
        x = x + reference_mlp(block, normed, act_name)
    x = reference_norm(x, state["transformer.ln_f.weight"], state["transformer.ln_f.bias"])
    return x @ state["lm_head.weight"].T


def reference_mlp(block: dict[str, Tensor], x: Tensor, act_name: str) -> Tensor:
    if act_name == "swiglu":
        gate = x @ block["mlp.w1.weight"].T
        return (gate * gate.sigmoid() * (x @ block["mlp.w3.weight"].T)) @ block["mlp.w2.weight"].T
    pre = x @ block["mlp.c_fc.weight"].T
    tanh = 0.5 * pre * (1 + ((2 / torch.pi) ** 0.5 * (pre + 0.044715 * pre**3)).tanh())
    return (pre.clamp(min=0) if act_name == "relu" else tanh) @ block["mlp.c_proj.weight"].T


def reference_norm(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    variance = x.var(dim=-1, keepdim=True, unbiased=False)
    return (x - x.mean(dim=-1, keepdim=True)) / (variance + 1e-5).sqrt() * gain + bias


def reference_attention(block: dict[str, Tensor], x: Tensor, sizes: Sizes) -> Tensor:
    """Rows of to_qkv: all queries, then all keys, then all values; within each, head after head."""
    q, k, v = (x @ rows.T for rows in block["attn.to_qkv.weight"].split(sizes.d_model))
    future = torch.ones(x.shape[1], x.shape[1]).triu(1).bool()
    heads = []
    for head in range(sizes.n_heads):
        own = slice(head * sizes.d_head, (head + 1) * sizes.d_head)
        turned_q, turned_k = (turned(t[..., own], block["attn.rotary_emb.freqs"]) for t in (q, k))
        scores = turned_q @ turned_k.mT / sizes.d_head**0.5
        heads.append(scores.masked_fill(future, -torch.inf).softmax(dim=-1) @ v[..., own])
    return torch.cat(heads, dim=-1) @ block["attn.o.weight"].T


def turned(x: Tensor, frequencies: Tensor) -> Tensor:
    """Features 2i and 2i + 1 are a complex number, turned by position * frequency i."""
    angles = torch.outer(torch.arange(x.shape[1]).float(), frequencies)
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(-2)


def refused(message: str, state: dict[str, Tensor], **options: Any) -> None:
    with pytest.raises(ValueError, match=message):
        from_published(state, **{"n_heads": SMALL.n_heads, **options})


@EVERY_SIZE
def test_a_published_model_gives_the_references_logits(sizes: Sizes) -> None:
    state = published_state(sizes)
    model = from_published(state, n_heads=sizes.n_heads, n_ctx=29)
    tokens = random_tokens(model.cfg, length=29)
    torch.testing.assert_close(model(tokens), reference_logits(state, tokens, sizes), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("act_name", ["relu", "gelu", "swiglu"])
def test_every_activation_gives_the_references_logits_and_goes_back(act_name: str) -> None:
    """The MLP's inputs are large, so that ReLU, both kinds of GELU and SiLU differ."""
    state = published_state(gated=act_name == "swiglu")
    for name in state:
        if name.endswith(("c_fc.weight", "w1.weight")):
            state[name] = 3 * state[name]
    model = from_published(state, n_heads=SMALL.n_heads, act_name=act_name)
    tokens = random_tokens(model.cfg)
    torch.testing.assert_close(model(tokens), reference_logits(state, tokens, SMALL, act_name), atol=1e-4, rtol=1e-4)
    assert all(torch.equal(tensor, state[name]) for name, tensor in to_published(model).items())


def test_an_activation_that_does_not_fit_the_tensors_is_refused() -> None:
    refused(
        "act_name must be relu or gelu for tensors with no gate, got 'swiglu'", published_state(), act_name="swiglu"
    )
    refused("must be swiglu for tensors with a gate, got 'relu'", published_state(gated=True), act_name="relu")
    refused("must be relu or gelu for tensors with no gate, got 'tanh'", published_state(), act_name="tanh")


@EVERY_SIZE
def test_a_model_of_ours_gives_the_references_logits_when_published(sizes: Sizes) -> None:
    shape = dict(n_layers=sizes.n_layers, n_heads=sizes.n_heads, d_model=sizes.d_model)
    model = random_model(modular_gpt(**shape, d_mlp=sizes.d_mlp, d_vocab=sizes.d_vocab, n_ctx=19))
    tokens = random_tokens(model.cfg)
    logits = reference_logits(to_published(model), tokens, sizes)
    torch.testing.assert_close(model(tokens), logits, atol=1e-5, rtol=1e-5)


@EVERY_SIZE
def test_the_config_is_the_modular_papers_in_the_files_sizes(sizes: Sizes) -> None:
    model = from_published(published_state(sizes), n_heads=sizes.n_heads, n_ctx=17)
    shape = dict(n_layers=sizes.n_layers, n_heads=sizes.n_heads, d_model=sizes.d_model)
    assert model.cfg == modular_gpt(**shape, d_mlp=sizes.d_mlp, d_vocab=sizes.d_vocab, n_ctx=17)
    assert not model.training and model.unembed.weight is model.embed.weight


def test_the_defaults_are_the_papers_four_heads_and_96_tokens() -> None:
    cfg = from_published(published_state(Sizes(1, 4, 6, 5, 47))).cfg
    assert (cfg.n_heads, cfg.d_head, cfg.n_ctx, cfg.d_vocab) == (4, 6, 96, 47)


@EVERY_SIZE
def test_there_and_back_keeps_every_bit(sizes: Sizes) -> None:
    state = published_state(sizes)
    back = to_published(from_published(state, n_heads=sizes.n_heads))
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], tensor) and back[name].is_contiguous() for name, tensor in state.items())


def test_back_and_there_keeps_every_bit() -> None:
    model = random_model(MODULAR)
    back = from_published(to_published(model), n_heads=MODULAR.n_heads, n_ctx=MODULAR.n_ctx)
    assert back.cfg == MODULAR
    weights, again = canonical_views(model), canonical_views(back)
    assert all(torch.equal(again[name], weight) for name, weight in weights.items())


def test_a_file_keeps_embedding_and_head_tied(tmp_path: Path) -> None:
    torch.save(to_published(random_model(MODULAR)), tmp_path / "model.pth")
    state = torch.load(tmp_path / "model.pth", weights_only=True)
    assert state[HEAD].data_ptr() == state[EMBEDDING].data_ptr()
    from_published(state, n_heads=MODULAR.n_heads)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod."])
def test_the_wrappers_prefixes_are_dropped(prefix: str) -> None:
    state = published_state()
    model = from_published({prefix + name: tensor for name, tensor in state.items()}, n_heads=SMALL.n_heads)
    assert all(torch.equal(tensor, state[name]) for name, tensor in to_published(model).items())


def test_a_prefix_of_one_name_is_no_wrappers() -> None:
    state = published_state()
    state[f"module.{HEAD}"] = state.pop(HEAD)
    refused(r"missing \['lm_head.weight'\], unknown \['module.lm_head.weight'\]", state)


def test_the_state_dict_is_not_changed_nor_shared() -> None:
    state, untouched = published_state(), published_state()
    model = from_published({f"module.{name}": tensor for name, tensor in state.items()}, n_heads=SMALL.n_heads)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert state.keys() == untouched.keys()
    assert all(torch.equal(tensor, untouched[name]) for name, tensor in state.items())


def test_a_published_copy_shares_no_memory_with_the_model() -> None:
    model, tokens = random_model(MODULAR), random_tokens(MODULAR)
    before = model(tokens)
    for tensor in to_published(model).values():
        tensor.zero_()
    assert torch.equal(model(tokens), before)


def test_reading_draws_nothing_from_torchs_generator() -> None:
    before = torch.get_rng_state()
    from_published(published_state(), n_heads=SMALL.n_heads)
    assert torch.equal(torch.get_rng_state(), before)


def test_half_precision_is_read_as_float32() -> None:
    rounded = {name: tensor.bfloat16() for name, tensor in published_state().items()}
    weights = to_published(from_published(rounded, n_heads=SMALL.n_heads))
    assert all(
        tensor.dtype == torch.float32 and torch.equal(tensor, rounded[name].float())
        for name, tensor in weights.items()
        if not name.endswith("freqs")
    )


@pytest.mark.parametrize("name", published_state().keys())
def test_a_missing_tensor_is_named(name: str) -> None:
    state = published_state()
    del state[name]
    refused(rf"not a published state dict with 2 layers: missing \['{name}'\], unknown \[\]; pass the dict", state)


def test_a_missing_layer_is_named() -> None:
    state = {name: t for name, t in published_state(SIZES[1]).items() if not name.startswith("transformer.h.1.")}
    refused(r"2 layers: missing \['transformer.h.1.attn.*unknown \['transformer.h.2.attn", state)


@pytest.mark.parametrize("name", ["mlp.w3.weight", "attn.to_qkv.bias", "attn.mask"])
def test_an_unknown_tensor_is_named(name: str) -> None:
    refused(
        rf"missing \[\], unknown \['transformer.h.0.{name}'\]",
        published_state() | {f"transformer.h.0.{name}": torch.zeros(3)},
    )


def test_a_dict_around_the_state_dict_is_refused() -> None:
    around: dict[str, Any] = {"model": published_state()}
    refused(r"with 1 layers: missing \['lm_head.weight', .*unknown \['model'\].*with nothing around it", around)


def test_an_empty_state_dict_is_refused() -> None:
    refused(r"with 1 layers: missing \['lm_head.weight', 'transformer.h.0.attn.o.weight'", {})


@pytest.mark.parametrize("name", published_state().keys())
def test_a_tensor_of_another_shape_is_named(name: str) -> None:
    """Whichever tensor is short of a row, something does not fit; when it tells a size, others do not fit it."""
    state = published_state()
    state[name] = state[name][:-1].clone()
    tells_a_size = name in (EMBEDDING, "transformer.h.0.mlp.c_fc.weight", "transformer.h.0.attn.rotary_emb.freqs")
    refused(r"expected \(|n_heads times d_head" if tells_a_size else rf"'{name}: expected \(.*\), got \(", state)


def test_another_shape_is_refused_with_both_shapes() -> None:
    refused(
        r"shapes must fit .*'transformer.h.1.attn.to_qkv.weight: expected \(90, 30\), got \(30, 90\)'",
        published_state() | {QKV: published_state()[QKV].T},
    )


@pytest.mark.parametrize("name", [EMBEDDING, "transformer.h.0.mlp.c_fc.weight"])
def test_a_vector_in_a_matrixs_place_is_refused(name: str) -> None:
    refused(
        rf"{name} must be a matrix, got shape \(7,\): is the file of another model",
        published_state() | {name: torch.zeros(7)},
    )


@pytest.mark.parametrize("n_heads", [0, 1, 4, 5, 6])
def test_n_heads_that_the_model_was_not_trained_with_are_refused(n_heads: int) -> None:
    """4 does not divide d_model 30; 5 and 6 do, but the rotary frequencies tell heads of 10."""
    message = rf"got n_heads {n_heads}, d_head 10 .* and d_model 30: pass the n_heads that the model was trained with"
    refused(message, published_state(), n_heads=n_heads)


def test_a_context_without_tokens_is_refused() -> None:
    refused("n_ctx must be at least 1, got 0", published_state(), n_ctx=0)


def test_rotary_frequencies_of_another_base_are_refused() -> None:
    other = 1.0 / 500 ** (torch.arange(0, SMALL.d_head, 2) / SMALL.d_head)
    refused(
        r"rotary frequencies must have base 10000, got others in \['transformer.h.1.attn.rotary_emb.freqs'\]",
        published_state() | {FREQUENCIES: other},
    )


def test_an_untied_head_is_refused() -> None:
    state = published_state()
    state[HEAD] = state[HEAD].clone()
    from_published(state, n_heads=SMALL.n_heads)  # equal values are tied
    state[HEAD][3, 5:7] += 1.0
    refused(r"lm_head.weight must be tied to transformer.wte.weight, got 2 other values among 1410: only", state)


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        (
            replace(MODULAR, act_fn="gelu"),
            "needs one of relu without a gate, .*, got gelu without a gate: keep",
        ),
        (replace(MODULAR, gated_mlp=True), "silu with a gate, got relu with a gate"),
        (replace(MODULAR, normalization_type="RMS"), "needs normalization_type 'LN', got 'RMS'"),
        (replace(MODULAR, eps=1e-2), "needs eps 1e-05, got 0.01"),
        (replace(MODULAR, rotary_adjacent_pairs=False), "needs rotary_adjacent_pairs True, got False"),
        (replace(MODULAR, rotary_base=50.0), "needs rotary_base 10000.0, got 50.0"),
        (replace(MODULAR, tie_word_embeddings=False), "needs tie_word_embeddings True, got False"),
        (replace(MODULAR, d_head=10), r"needs n_heads \* d_head = d_model, got 2 \* 10 and 28"),
        (LLAMA, "needs normalization_type 'LN', got 'RMS'; eps"),
    ],
    ids=["act", "gate", "norm", "eps", "pairs", "base", "untied", "wide-heads", "llama"],
)
def test_a_model_that_the_format_cannot_hold_is_refused(cfg: ModelConfig, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_published(Transformer(cfg, seed=0))
