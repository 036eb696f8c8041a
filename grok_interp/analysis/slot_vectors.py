"""What a model holds at the x, y or z of a slot: one vector for each of the p^2 pairs (see data/slot.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from grok_interp.activations import HookedModel, Reducer, read


def activations_at(
    model: HookedModel,
    tokens: Int64[Tensor, "pair pos"],
    name: str,
    *,
    positions: Sequence[int],
    batch_size: int,
) -> Float[Tensor, "pair position feature"]:
    """The activation of a hook name (batch x pos x feature) at some positions, in float32 on the CPU.

    Raises ValueError for a hook that the model does not have.
    """
    return _read_in_batches(model, tokens, name, lambda found: found[:, list(positions)].float().cpu(), batch_size)


def head_outputs(
    model: Any,
    tokens: Int64[Tensor, "pair pos"],
    *,
    layer: int,
    head: int,
    positions: Sequence[int],
    batch_size: int,
) -> Float[Tensor, "pair position d_model"]:
    """What one head writes into the residual stream: its z times its W_O; a bias of the layer belongs to no head.

    Raises ValueError for a head that the model does not have.
    """
    n_layers, n_heads = model.cfg.n_layers, model.cfg.n_heads
    if not (0 <= layer < n_layers and 0 <= head < n_heads):
        raise ValueError(f"no head L{layer}H{head}: the model has {n_layers} layers of {n_heads} heads")
    name = f"blocks.{layer}.attn.hook_z"  # batch pos head d_head
    z = _read_in_batches(model, tokens, name, lambda found: found[:, list(positions), head].float().cpu(), batch_size)
    return z @ model.W_O[layer, head].detach().float().cpu()


def _read_in_batches(model: HookedModel, tokens: Tensor, name: str, reducer: Reducer, batch_size: int) -> Tensor:
    return torch.cat([read(model, part, {name: reducer})[name] for part in tokens.split(batch_size)])
