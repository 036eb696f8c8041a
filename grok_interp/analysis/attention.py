"""Attention maps: the pattern of every head on one sequence."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from jaxtyping import Int64
from torch import Tensor

from grok_interp.activations import HookedModel, pattern_name, read
from grok_interp.results import LabelledResult


class AttentionMaps(LabelledResult):
    """Attention weights; each query's row sums to 1 over the keys up to it."""

    name = "attention"
    dims = ("layer", "head", "query", "key")

    def of(self, layer: int, head: int) -> xr.DataArray:
        """query x key of one head. Raises ValueError for a head that the model does not have."""
        n_layers, n_heads = self.array.sizes["layer"], self.array.sizes["head"]
        if not (0 <= layer < n_layers and 0 <= head < n_heads):
            raise ValueError(f"no head L{layer}H{head}: the model has {n_layers} layers of {n_heads} heads")
        return self.array.isel(layer=layer, head=head)

    def __str__(self) -> str:
        sizes = self.array.sizes
        return f"attention of {sizes['layer']} x {sizes['head']} heads over {sizes['query']} tokens"


def attention_maps(model: HookedModel, tokens: Int64[Tensor, " pos"]) -> AttentionMaps:
    """The patterns of all heads on one sequence of tokens."""
    names = [pattern_name(layer) for layer in range(model.cfg.n_layers)]
    found = read(model, tokens.unsqueeze(0), dict.fromkeys(names, _first_in_batch))
    patterns = torch.stack([found[name] for name in names]).numpy()
    coords = {dim: np.arange(size) for dim, size in zip(AttentionMaps.dims, patterns.shape, strict=True)}
    return AttentionMaps(xr.DataArray(patterns, dims=AttentionMaps.dims, coords=coords))


def _first_in_batch(pattern: Tensor) -> Tensor:
    return pattern[0].float().cpu()
