"""Families of language models: how to build a tiny one, and where its weights are; the table of the documentation.

Weights are random and large, gains and biases too, so that a wrong convention shows. Everything but the bridge itself
names Hugging Face's modules and knows nothing of TransformerLens.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from typing import Any

import torch
import transformers
from torch import Tensor

D_VOCAB, D_MODEL, N_LAYERS, N_HEADS, D_HEAD, N_CTX = 23, 24, 2, 4, 6, 48
NO_TOKENS = dict(bos_token_id=None, eos_token_id=None, pad_token_id=None)
SIZES = dict(
    vocab_size=D_VOCAB,
    hidden_size=D_MODEL,
    num_hidden_layers=N_LAYERS,
    num_attention_heads=N_HEADS,
    intermediate_size=20,
    max_position_embeddings=N_CTX,
    **NO_TOKENS,
)
GPT = dict(vocab_size=D_VOCAB, n_embd=D_MODEL, n_layer=N_LAYERS, n_head=N_HEADS, n_positions=N_CTX, **NO_TOKENS)
TWO_GROUPS = dict(num_key_value_heads=2)
ANALYZERS = ("copying", "losses", "attention", "induction", "head scores", "ablation")
VERSIONS = ("3.9", "4.3")


def rows(weight: Tensor) -> Tensor:
    """Output features of a linear map, head after head: head x d_model x d_head."""
    return weight.unflatten(0, (-1, D_HEAD)).mT


def separate(attention: Any) -> tuple[Tensor, ...]:
    projections = attention.q_proj, attention.k_proj, attention.v_proj
    return tuple(rows(each.weight) for each in projections)


def one_after_another(attention: Any) -> tuple[Tensor, ...]:
    """All queries, then the keys and the values of two groups."""
    return rows(attention.qkv_proj.weight).split([N_HEADS, 2, 2])


def conv1d(attention: Any) -> tuple[Tensor, ...]:
    return rows(attention.c_attn.weight.T).split(N_HEADS)


def query_key_value_of_each_head(attention: Any) -> tuple[Tensor, ...]:
    fused = rows(attention.query_key_value.weight).unflatten(0, (N_HEADS, 3))
    return fused.unbind(dim=1)


def one_key_and_value(attention: Any) -> tuple[Tensor, ...]:
    """Falcon with multi_query: all queries, one key, one value."""
    return rows(attention.query_key_value.weight).split([N_HEADS, 1, 1])


VALUES_FROM: dict[Callable, str] = {
    separate: "v_proj",
    one_after_another: "qkv_proj",
    conv1d: "c_attn",
    query_key_value_of_each_head: "query_key_value",
    one_key_and_value: "query_key_value",
}
VALUE_BIAS: dict[Callable, Callable[[Any], Tensor | None]] = {
    separate: lambda attention: attention.v_proj.bias,
    one_after_another: lambda attention: None,  # noqa: ARG005
    conv1d: lambda attention: attention.c_attn.bias.chunk(3)[2],
    query_key_value_of_each_head: lambda attention: attention.query_key_value.bias.view(N_HEADS, 3, D_HEAD)[:, 2],
    one_key_and_value: lambda attention: None,  # noqa: ARG005
}


@dataclass(frozen=True, kw_only=True)
class Family:
    """One architecture: names of Hugging Face modules, and the words of the documentation's table.

    Attributes:
        config: the class of its config; the model's class has the same prefix unless `model` names it.
        fields: the config of a tiny model.
        heads: which key and value heads there are.
        norms: which norms there are and how their gains apply.
        positions: how positions enter, and what else the attention does.
        layers, attention, before, after, embedding_norm, final, qkv, o: where modules are; see `Built`.
    """

    config: str
    heads: str
    norms: str
    positions: str
    model: str = ""
    fields: dict[str, Any] = field(default_factory=lambda: {**SIZES, **TWO_GROUPS})
    layers: str = "model.layers"
    attention: str = "self_attn"
    qkv: Callable[[Any], tuple[Tensor, ...]] = separate
    o: str = "o_proj"
    before: str | None = "input_layernorm"
    after: str | None = None
    embedding_norm: str | None = None
    final: str = "model.norm"

    def build(self, **changes: Any) -> Built:
        """A random model; `changes` are fields of its config."""
        config = getattr(transformers, self.config)(**{**self.fields, **changes})
        config._attn_implementation = "eager"
        torch.manual_seed(0)
        model = getattr(transformers, self.model or self.config.replace("Config", "ForCausalLM"))(config).eval()
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.25)
        return Built(self, model)


@dataclass
class Built:
    """A tiny model, its bridge, and its weights as Hugging Face has them."""

    family: Family
    hf: Any

    def bridge(self) -> Any:
        """A new bridge over a copy."""
        from transformer_lens.model_bridge.sources import build_bridge_from_module

        copied = deepcopy(self.hf)
        return build_bridge_from_module(copied, type(copied).__name__, hf_config=copied.config).eval()

    @cached_property
    def bridged(self) -> Any:
        """One bridge, which no test may change."""
        return self.bridge()

    @cached_property
    def processed(self) -> Any:
        """One bridge with TransformerLens' default processing of weights, which no test may change."""
        processed = self.bridge()
        processed.enable_compatibility_mode(disable_warnings=True)
        return processed

    @property
    def layers(self) -> list[Any]:
        return list(attrgetter(self.family.layers)(self.hf))

    def attention(self, layer: int) -> Any:
        return attrgetter(self.family.attention)(self.layers[layer])

    def o(self, layer: int) -> Any:
        return getattr(self.attention(layer), self.family.o)

    def W_QKVO(self, layer: int, head: int) -> tuple[Tensor, ...]:
        """In float64; query heads share keys and values group by group."""
        W_Q, W_K, W_V = (each.detach().double() for each in self.family.qkv(self.attention(layer)))
        group = head * len(W_K) // N_HEADS
        W_O = self.o(layer).weight.detach().double()
        W_O = W_O if self.family.qkv is conv1d else W_O.T
        return W_Q[head], W_K[group], W_V[group], W_O[head * D_HEAD : (head + 1) * D_HEAD]

    def values(self, layer: int, head: int, x: Tensor) -> Tensor:
        """v of what the attention reads."""
        return x.double() @ self.W_QKVO(layer, head)[2] + self.b_V(layer, head)

    def b_V(self, layer: int, head: int) -> Tensor:
        bias = VALUE_BIAS[self.family.qkv](self.attention(layer))
        if bias is None:
            return torch.zeros(D_HEAD, dtype=torch.float64)
        by_group = bias.detach().double().reshape(-1, D_HEAD)
        return by_group[head * len(by_group) // N_HEADS]

    def constant(self, layer: int, head: int) -> Tensor:
        """v of a LayerNorm's output for an input that it makes 0: one that does not vary over the features."""
        bias = torch.zeros(D_MODEL)
        if self.family.before and "LayerNorm" in self.family.norms:
            with torch.no_grad():
                bias = attrgetter(self.family.before)(self.layers[layer])(torch.ones(1, 1, D_MODEL))[0, 0]
        return self.values(layer, head, bias)

    @property
    def W_E(self) -> Tensor:
        return self.hf.get_input_embeddings().weight.detach().double()

    @property
    def W_U(self) -> Tensor:
        return self.hf.get_output_embeddings().weight.detach().double().T

    def gain(self, place: str, layer: int | None = None) -> Tensor:
        """What a norm multiplies by, measured: a centered vector and its negative pass it, which cancels its bias."""
        name = getattr(self.family, place)
        if name is None:
            return torch.ones(D_MODEL, dtype=torch.float64)
        norm = deepcopy(attrgetter(name)(self.hf if layer is None else self.layers[layer])).double()
        x = torch.randn(D_MODEL, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        x = 1000 * (x - x.mean()) / x.std(correction=0)
        with torch.no_grad():
            return (norm(x[None, None]) - norm(-x[None, None]))[0, 0] / 2 / (x / 1000)


RMS, GEMMA = "RMSNorm", "RMSNorm, applied as 1 + w"
ROTARY = "rotary"
FAMILIES: dict[str, Family] = {
    "LLaMA": Family(config="LlamaConfig", heads="grouped", norms=RMS, positions=ROTARY),
    "Mistral": Family(config="MistralConfig", heads="grouped", norms=RMS, positions=f"{ROTARY}, sliding window"),
    "Qwen2": Family(config="Qwen2Config", heads="grouped", norms=RMS, positions=f"{ROTARY}; biases of q, k, v"),
    "Qwen3": Family(
        config="Qwen3Config",
        fields={**SIZES, **TWO_GROUPS, "head_dim": D_HEAD},
        heads="grouped",
        norms=f"{RMS}; also of q and k",
        positions=ROTARY,
    ),
    "Gemma 1": Family(
        config="GemmaConfig",
        fields={**SIZES, "num_key_value_heads": 1, "head_dim": D_HEAD},
        heads="one key and value head",
        norms=GEMMA,
        positions=f"{ROTARY}; scaled embedding",
    ),
    "Gemma 2": Family(
        config="Gemma2Config",
        fields={**SIZES, **TWO_GROUPS, "head_dim": D_HEAD, "query_pre_attn_scalar": D_HEAD},
        heads="grouped",
        norms=f"{GEMMA}; also after attention",
        positions=f"{ROTARY}, sliding window in every second layer, soft caps",
        after="post_attention_layernorm",
    ),
    "Gemma 3": Family(
        config="Gemma3TextConfig",
        model="Gemma3ForCausalLM",
        fields={**SIZES, **TWO_GROUPS, "head_dim": D_HEAD, "query_pre_attn_scalar": D_HEAD},
        heads="grouped",
        norms=f"{GEMMA}; also after attention, of q and k",
        positions=f"{ROTARY}, sliding window in five of six layers",
        after="post_attention_layernorm",
    ),
    "Phi-3": Family(config="Phi3Config", heads="grouped", norms=RMS, positions=ROTARY, qkv=one_after_another),
    "OLMo": Family(config="OlmoConfig", heads="grouped", norms="LayerNorm without parameters", positions=ROTARY),
    "OLMo 2": Family(
        config="Olmo2Config",
        heads="grouped",
        norms=f"{RMS} after attention only; also of q and k",
        positions=ROTARY,
        before=None,
        after="post_attention_layernorm",
    ),
    "StarCoder2": Family(
        config="Starcoder2Config",
        heads="grouped",
        norms="LayerNorm",
        positions=f"{ROTARY}, sliding window; biases of q, k, v, o",
        fields={**SIZES, **TWO_GROUPS, "sliding_window": None},
    ),
    "GPT-NeoX": Family(
        config="GPTNeoXConfig",
        fields=SIZES,
        heads="one per query head",
        norms="LayerNorm",
        positions=f"{ROTARY}; attention beside the MLP; biases of q, k, v, o",
        layers="gpt_neox.layers",
        attention="attention",
        qkv=query_key_value_of_each_head,
        o="dense",
        final="gpt_neox.final_layer_norm",
    ),
    "GPT-2": Family(
        config="GPT2Config",
        model="GPT2LMHeadModel",
        fields=GPT,
        heads="one per query head",
        norms="LayerNorm",
        positions="learned; biases of q, k, v, o",
        layers="transformer.h",
        attention="attn",
        qkv=conv1d,
        o="c_proj",
        before="ln_1",
        final="transformer.ln_f",
    ),
    "GPT-J": Family(
        config="GPTJConfig",
        fields={**GPT, "rotary_dim": 4},
        heads="one per query head",
        norms="LayerNorm",
        positions=f"{ROTARY}; attention beside the MLP",
        layers="transformer.h",
        attention="attn",
        o="out_proj",
        before="ln_1",
        final="transformer.ln_f",
    ),
    "BLOOM": Family(
        config="BloomConfig",
        fields=dict(vocab_size=D_VOCAB, hidden_size=D_MODEL, n_layer=N_LAYERS, n_head=N_HEADS, **NO_TOKENS),
        heads="one per query head",
        norms="LayerNorm; also of the embedding",
        positions="ALiBi; biases of q, k, v, o",
        layers="transformer.h",
        attention="self_attention",
        qkv=query_key_value_of_each_head,
        o="dense",
        embedding_norm="transformer.word_embeddings_layernorm",
        final="transformer.ln_f",
    ),
    "OPT": Family(
        config="OPTConfig",
        fields={**SIZES, "ffn_dim": 20, "word_embed_proj_dim": D_MODEL},
        heads="one per query head",
        norms="LayerNorm",
        positions="learned; biases of q, k, v, o",
        layers="model.decoder.layers",
        o="out_proj",
        before="self_attn_layer_norm",
        final="model.decoder.final_layer_norm",
    ),
    "Falcon": Family(
        config="FalconConfig",
        fields={**SIZES},
        heads="one key and value head",
        norms="LayerNorm",
        positions=f"{ROTARY}; attention beside the MLP",
        layers="transformer.h",
        attention="self_attention",
        qkv=one_key_and_value,
        o="dense",
        final="transformer.ln_f",
    ),
}


def table() -> str:
    """Families x analyzers, in Markdown: every cell is a test of `test_families.py` on both versions."""
    header = ["family", "key and value heads", "norms", "positions and more", *ANALYZERS]
    cell = ", ".join(VERSIONS)
    lines = [header, ["---"] * len(header)]
    lines += [
        [name, each.heads, each.norms, each.positions, *[cell] * len(ANALYZERS)] for name, each in FAMILIES.items()
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
