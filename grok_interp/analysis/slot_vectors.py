"""What a model holds at the x, y or z of a slot: one vector for each of the p^2 pairs (see data/slot.py).

Models are taken to be causal: tokens after the last position asked for are not run, and those before the slot, the same
in all sequences, are run once by a model with a KV cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from grok_interp.analysis.arguments import require_head
from grok_interp.analysis.prefixes import after_shared_tokens
from grok_interp.data.token_rows import batches_of
from grok_interp.models.activations import HookedModel, Reducer, read


@runtime_checkable
class WritingHeads(HookedModel, Protocol):
    """A model that tells the weights by which its heads write: layer x head x d_head x d_model."""

    @property
    def W_O(self) -> Tensor: ...


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
    return _read_in_batches(model, tokens, name, lambda found: found, positions, batch_size)


def head_outputs(
    model: WritingHeads,
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
    require_head(layer, head, n_layers=model.cfg.n_layers, n_heads=model.cfg.n_heads)
    name = f"blocks.{layer}.attn.hook_z"  # batch pos head d_head
    z = _read_in_batches(model, tokens, name, lambda found: found[:, :, head], positions, batch_size)
    return z @ model.W_O[layer, head].detach().float().cpu()


def _read_in_batches(
    model: HookedModel, tokens: Tensor, name: str, part_of: Reducer, positions: Sequence[int], batch_size: int
) -> Tensor:
    """What `part_of` makes of the activation at these positions."""
    continuing, n_read = after_shared_tokens(model, tokens, before=min(positions))
    rest, at = tokens[:, n_read : max(positions) + 1], [position - n_read for position in positions]

    def reducer(found: Tensor) -> Tensor:
        return part_of(found[:, at]).float().cpu()

    return torch.cat([read(continuing, part, {name: reducer})[name] for part in batches_of(rest, batch_size)])
