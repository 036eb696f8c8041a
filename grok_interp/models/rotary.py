"""Rotary positions (Su et al. 2021): each pair of features is turned by an angle proportional to the position.

    (a, b) -> (a cos - b sin, b cos + a sin)

A pair is (i, i + d_head/2), as in LLaMA, or (2i, 2i + 1) with `rotary_adjacent_pairs`. Feature for feature that is
x cos + partner(x) sin, with the sign of the sine in its table.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from grok_interp.configs import ModelConfig


class Rotary(nn.Module):
    """The tables hold every head, all of them alike: products then run over long rows, several times as fast on a CPU."""

    cos: Tensor
    sin: Tensor

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.adjacent = cfg.rotary_adjacent_pairs
        frequencies = cfg.rotary_base ** -(torch.arange(0, cfg.d_head, 2, dtype=torch.float64) / cfg.d_head)
        angles = torch.outer(torch.arange(cfg.n_ctx, dtype=torch.float64), frequencies)
        for name, pair in {"cos": (angles.cos(), angles.cos()), "sin": (-angles.sin(), angles.sin())}.items():
            table = torch.stack(pair, dim=-1 if self.adjacent else -2).flatten(-2).float()
            heads = table.unsqueeze(1).repeat(1, cfg.n_heads, 1)  # pos head d_head
            self.register_buffer(name, heads, persistent=False)

    def forward(self, x: Float[Tensor, "batch pos head d_head"], offset: int) -> Float[Tensor, "batch pos head d_head"]:
        cos, sin = (table[offset : offset + x.shape[1]] for table in (self.cos, self.sin))
        if self.adjacent and not torch.compiler.is_compiling():  # which cannot fuse complex numbers
            return _turned_as_complex(x, cos, sin)
        partner = _neighbour(x) if self.adjacent else x.roll(x.shape[-1] // 2, dims=-1)
        return torch.addcmul(x * cos, partner, sin).to(x.dtype)  # under autocast the angles stay in float32


def _neighbour(x: Tensor) -> Tensor:
    return torch.stack((x[..., 1::2], x[..., 0::2]), dim=-1).flatten(-2)


def _turned_as_complex(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """(a + ib) (cos + i sin), in one pass over x: three times as fast as feature for feature."""
    exact = torch.promote_types(x.dtype, torch.float32)
    turn = torch.complex(cos[..., 0::2].to(exact), sin[..., 1::2].to(exact))
    pairs = torch.view_as_complex(x.to(exact).unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turn).flatten(-2).to(x.dtype)
