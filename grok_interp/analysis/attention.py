"""Attention maps: the pattern of every head on one sequence."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from grok_interp.activations import pattern_name, read, rotates_any_position
from grok_interp.analysis.arguments import require_head
from grok_interp.analysis.checkpoints_of import Model, require_model, require_readable
from grok_interp.data.token_rows import Tokens, token_rows
from grok_interp.results.result import LabelledResult


class AttentionMaps(LabelledResult):
    """Attention weights; each query's row sums to 1 over the keys up to it."""

    name = "attention"
    dims = ("layer", "head", "query", "key")

    def of(self, layer: int, head: int) -> xr.DataArray:
        """query x key of one head. Raises ValueError for a head that the model does not have."""
        require_head(layer, head, n_layers=self.array.sizes["layer"], n_heads=self.array.sizes["head"])
        return self.array.isel(layer=layer, head=head)

    def __str__(self) -> str:
        sizes = self.array.sizes
        return f"attention of {sizes['layer']} x {sizes['head']} heads over {sizes['query']} tokens"


def attention_maps(model: Model, tokens: Tokens) -> AttentionMaps:
    """The patterns of all heads on one sequence of tokens.

    Raises ValueError for a model without hooks, for several sequences, and for tokens that the model cannot read.
    """
    require_model(model)
    rows = token_rows(tokens)
    if len(rows) > 1:
        raise ValueError(f"attention maps are of one sequence, got {len(rows)}: give one row, tokens[0]")
    require_readable(rows, model.cfg, n_read=0 if rotates_any_position(model) else None)
    names = [pattern_name(layer) for layer in range(model.cfg.n_layers)]
    found = read(model, rows, dict.fromkeys(names, _first_in_batch))
    patterns = torch.stack([found[name] for name in names]).numpy()
    coords = {dim: np.arange(size) for dim, size in zip(AttentionMaps.dims, patterns.shape, strict=True)}
    return AttentionMaps(xr.DataArray(patterns, dims=AttentionMaps.dims, coords=coords))


def _first_in_batch(pattern: Tensor) -> Tensor:
    return pattern[0].float().cpu()
