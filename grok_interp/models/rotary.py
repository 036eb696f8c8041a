"""Rotary positions (Su et al. 2021): each pair of features is turned by an angle proportional to the position.

    (a, b) -> (a cos - b sin, b cos + a sin)

The tables hold every head, all of them alike: products then run over long rows, several times as fast on a CPU. Both
kinds map `batch pos head d_head` to the same; the first position is `offset`.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from grok_interp.configs import ModelConfig

Heads = Float[Tensor, "batch pos head d_head"]


def rotary(cfg: ModelConfig) -> Rotary:
    """The kind that the config names."""
    return (AdjacentRotary if cfg.rotary_adjacent_pairs else HalfSplitRotary)(cfg)


class HalfSplitRotary(nn.Module):
    """Pairs (i, i + d_head/2), as in LLaMA: x cos + (x moved by d_head/2) sin, with the sine's sign in its table."""

    cos: Tensor
    sin: Tensor

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        cos, sin = _angles(cfg).cos(), _angles(cfg).sin()
        self.register_buffer("cos", _for_heads(torch.cat([cos, cos], dim=-1), cfg), persistent=False)
        self.register_buffer("sin", _for_heads(torch.cat([-sin, sin], dim=-1), cfg), persistent=False)

    def forward(self, x: Heads, offset: int) -> Heads:
        cos, sin = (table[offset : offset + x.shape[1]] for table in (self.cos, self.sin))
        if torch.compiler.is_compiling():  # which makes one loop of the formula, but none of a roll
            (a, b), cos, sin = x.chunk(2, dim=-1), cos.chunk(2, dim=-1)[0], sin.chunk(2, dim=-1)[1]
            return torch.cat(_turned(a, b, cos, sin), dim=-1).to(x.dtype)
        turned = torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, dims=-1), sin)
        return turned.to(x.dtype)  # under autocast the angles stay in float32


class AdjacentRotary(nn.Module):
    """Pairs (2i, 2i + 1): (a + ib) (cos + i sin), in one pass over x."""

    turns: Tensor  # cos and sin alternate: complex numbers, kept as the real ones that every dtype knows

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        turns = torch.stack([_angles(cfg).cos(), _angles(cfg).sin()], dim=-1).flatten(-2)
        self.register_buffer("turns", _for_heads(turns, cfg), persistent=False)

    def forward(self, x: Heads, offset: int) -> Heads:
        exact = torch.promote_types(x.dtype, torch.float32)
        turns, pairs = (t.to(exact).unflatten(-1, (-1, 2)) for t in (self.turns[offset : offset + x.shape[1]], x))
        turned = _product(pairs, turns) if torch.compiler.is_compiling() else _complex_product(pairs, turns)
        return turned.flatten(-2).to(x.dtype)


Rotary = HalfSplitRotary | AdjacentRotary


def _complex_product(x: Tensor, y: Tensor) -> Tensor:
    return torch.view_as_real(torch.view_as_complex(x) * torch.view_as_complex(y))


def _product(x: Tensor, y: Tensor) -> Tensor:
    """The same written out: the compiler cannot fuse complex numbers."""
    return torch.stack(_turned(*x.unbind(-1), *y.unbind(-1)), dim=-1)


def _turned(a: Tensor, b: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    return a * cos - b * sin, b * cos + a * sin


def _angles(cfg: ModelConfig) -> Float64[Tensor, "pos pair"]:
    frequencies = cfg.rotary_base ** -(torch.arange(0, cfg.d_head, 2, dtype=torch.float64) / cfg.d_head)
    return torch.outer(torch.arange(cfg.n_ctx, dtype=torch.float64), frequencies)


def _for_heads(table: Float64[Tensor, "pos d_head"], cfg: ModelConfig) -> Float[Tensor, "pos head d_head"]:
    return table.float().unsqueeze(1).repeat(1, cfg.n_heads, 1)
