"""Logits of many models of one shape at once, from their stacked weights.

The same computation as `Transformer`, without hooks: every weight has the member as its first axis and every map is one
batched matrix product. Attention, norms and rotary positions have no weights that differ in shape, so members join the
batch there.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from grok_interp.configs import ModelConfig
from grok_interp.models.attention_kernels import attention_input, fused_attention
from grok_interp.models.layers import ACTIVATIONS
from grok_interp.models.rotary import Rotary

Weights = Mapping[str, Tensor]
Residual = Float[Tensor, "member batch pos d_model"]


def ensemble_logits(
    cfg: ModelConfig, weights: Weights, rotary: Rotary, tokens: Int[Tensor, "member batch pos"]
) -> Float[Tensor, "member batch pos d_vocab"]:
    """Each member's logits of its own tokens. `weights` are `Transformer`'s parameters, stacked under their names."""
    x = _embedded(weights["embed.weight"], tokens)
    for layer in range(cfg.n_layers):
        of_block = partial(_named, weights, f"blocks.{layer}.")
        x = x + _attention(cfg, of_block("attn."), rotary, _norm(cfg, of_block("ln1."), x))
        x = x + _mlp(cfg, of_block("mlp."), _norm(cfg, of_block("ln2."), x))
    unembed = weights["embed.weight" if cfg.tie_word_embeddings else "unembed.weight"]
    return _linear(_norm(cfg, _named(weights, "ln_final."), x), unembed)


def _named(weights: Weights, *prefixes: str) -> dict[str, Tensor]:
    prefix = "".join(prefixes)
    return {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}


def _embedded(table: Float[Tensor, "member d_vocab d_model"], tokens: Tensor) -> Residual:
    """One look-up in the tables laid end to end."""
    n_members, d_vocab, _ = table.shape
    first = d_vocab * torch.arange(n_members, device=tokens.device).view(-1, 1, 1)
    return F.embedding(tokens + first, table.flatten(0, 1))


def _linear(x: Float[Tensor, "member *of d_in"], weight: Float[Tensor, "member d_out d_in"]) -> Tensor:
    return (x.flatten(1, -2) @ weight.mT).unflatten(1, x.shape[1:-1])


def _norm(cfg: ModelConfig, weights: Weights, x: Residual) -> Residual:
    gain = weights["w"][:, None, None]
    if cfg.normalization_type == "LN":
        return F.layer_norm(x, x.shape[-1:], eps=cfg.eps) * gain + weights["b"][:, None, None]
    return F.rms_norm(x, x.shape[-1:], eps=cfg.eps) * gain


def _attention(cfg: ModelConfig, weights: Weights, rotary: Rotary, x: Residual) -> Residual:
    qkv = attention_input(_linear(x, weights["qkv.weight"])).flatten(0, 1)  # members join the batch
    q, k, v = qkv.unflatten(-1, (3, cfg.n_heads, cfg.d_head)).unbind(dim=2)
    z = fused_attention(*(t.transpose(1, 2) for t in (rotary(q, 0), rotary(k, 0), v)), dropout=0.0)
    return _linear(z.transpose(1, 2).flatten(2).unflatten(0, x.shape[:2]), weights["o.weight"])


def _mlp(cfg: ModelConfig, weights: Weights, x: Residual) -> Residual:
    act, inputs = ACTIVATIONS[cfg.act_fn], _linear(x, weights["inputs.weight"])
    if not cfg.gated_mlp:
        return _linear(act(inputs), weights["out.weight"])
    gate, value = inputs.chunk(2, dim=-1)
    return _linear(act(gate) * value, weights["out.weight"])
