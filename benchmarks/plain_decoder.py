"""A decoder in plain torch, as a user would write it for speed: no hooks, fused attention, QKV one matrix product.

Both papers' families; its parameters have the names of our `Transformer`, so that `load_state_dict` takes its weights.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from grok_interp.configs import ModelConfig

ACTIVATIONS = {"silu": F.silu, "relu": F.relu, "gelu": F.gelu}


def norm(cfg: ModelConfig) -> nn.Module:
    return nn.LayerNorm(cfg.d_model, cfg.eps) if cfg.normalization_type == "LN" else nn.RMSNorm(cfg.d_model, cfg.eps)


def rotary_tables(cfg: ModelConfig) -> tuple[Tensor, Tensor]:
    frequencies = cfg.rotary_base ** -(torch.arange(0, cfg.d_head, 2) / cfg.d_head)
    angles = torch.outer(torch.arange(cfg.n_ctx), frequencies)
    return angles.cos(), angles.sin()  # pos d_head/2


def turned(x: Tensor, cos: Tensor, sin: Tensor, *, adjacent: bool) -> Tensor:
    """x: batch head pos d_head."""
    cos, sin = cos[: x.shape[2]], sin[: x.shape[2]]
    a, b = (x[..., 0::2], x[..., 1::2]) if adjacent else x.chunk(2, dim=-1)
    pair = a * cos - b * sin, b * cos + a * sin
    return (torch.stack(pair, dim=-1).flatten(-2) if adjacent else torch.cat(pair, dim=-1)).to(x.dtype)


class Attention(nn.Module):
    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.qkv = nn.Linear(cfg.d_model, 3 * cfg.n_heads * cfg.d_head, bias=False)
        self.o = nn.Linear(cfg.n_heads * cfg.d_head, cfg.d_model, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, pos, _ = x.shape
        q, k, v = self.qkv(x).view(batch, pos, 3, self.cfg.n_heads, self.cfg.d_head).permute(2, 0, 3, 1, 4)
        q, k = (turned(t, cos, sin, adjacent=self.cfg.rotary_adjacent_pairs) for t in (q, k))
        z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o(z.transpose(1, 2).reshape(batch, pos, -1))


class MLP(nn.Module):
    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.gated, self.act = cfg.gated_mlp, ACTIVATIONS[cfg.act_fn]
        self.inputs = nn.Linear(cfg.d_model, (2 if cfg.gated_mlp else 1) * cfg.d_mlp, bias=False)
        self.out = nn.Linear(cfg.d_mlp, cfg.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if not self.gated:
            return self.out(self.act(self.inputs(x)))
        gate, value = self.inputs(x).chunk(2, dim=-1)
        return self.out(self.act(gate) * value)


class Block(nn.Module):
    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.ln1, self.attn, self.ln2, self.mlp = norm(cfg), Attention(cfg), norm(cfg), MLP(cfg)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attn(self.ln1(x), cos, sin)
        return x + self.mlp(self.ln2(x))


class PlainDecoder(nn.Module):
    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.embed = nn.Embedding(cfg.d_vocab, cfg.d_model)
        self.blocks = nn.ModuleList(Block(cfg) for _ in range(cfg.n_layers))
        self.ln_final = norm(cfg)
        self.unembed = nn.Linear(cfg.d_model, cfg.d_vocab, bias=False)
        if cfg.tie_word_embeddings:
            self.unembed.weight = self.embed.weight
        cos, sin = rotary_tables(cfg)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        return self.unembed(self.ln_final(x))


def plain_copy(model: nn.Module, cfg: ModelConfig) -> PlainDecoder:
    """With a copy of the weights of one of our models."""
    names = {".w": ".weight", ".b": ".bias"}
    weights = {
        name[:-2] + names[name[-2:]] if name[-2:] in names else name: value
        for name, value in model.state_dict().items()
    }
    plain = PlainDecoder(cfg).to(next(model.parameters()).device)
    plain.load_state_dict(weights)
    return plain
