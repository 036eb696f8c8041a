"""Attention maps: the pattern of every head on one sequence, or of some heads at several checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from grok_interp.analysis.ablation_arguments import Head, named
from grok_interp.analysis.arguments import require_head
from grok_interp.analysis.checkpoints_of import (
    EACH_HEAD,
    Checkpoints,
    Model,
    checkpoints_of,
    require_model,
    require_readable,
)
from grok_interp.arguments import checked
from grok_interp.data.token_rows import Tokens, token_rows
from grok_interp.models.activations import pattern_name, read, rotates_any_position
from grok_interp.models.overflow import undefined_if_not_finite
from grok_interp.results.result import Measure, Result


class AttentionMaps(Result):
    """Attention weights; each query's row sums to 1 over the keys up to it."""

    name = "attention"
    dims = ("layer", "head", "query", "key")
    measures: ClassVar = {"pattern": Measure("attention weight", "fraction")}

    @checked
    def of(self, layer: int, head: int) -> xr.DataArray:
        """query x key of one head. Raises ValueError for a head that the model does not have.

        Args:
            layer: from 0.
            head: within the layer, from 0.
        """
        require_head(layer, head, n_layers=self.dataset.sizes["layer"], n_heads=self.dataset.sizes["head"])
        return self["pattern"].isel(layer=layer, head=head)

    def __str__(self) -> str:
        sizes = self.dataset.sizes
        warning = "" if np.isfinite(self["pattern"]).all() else "; NOT FINITE"
        return f"attention of {sizes['layer']} x {sizes['head']} heads over {sizes['query']} tokens{warning}"


class HeadPatterns(Result):
    """Attention weights of some heads at several checkpoints; the coordinate `head` holds names such as L1H3."""

    name = "head_patterns"
    dims = ("checkpoint", "head", "query", "key")
    measures: ClassVar = {"pattern": Measure("attention weight", "fraction")}

    def maps(self, *, n_layers: int, n_heads: int) -> Iterator[tuple[int, AttentionMaps]]:
        """(step, maps of all heads of the model), NaN for those that are not here.

        Args:
            n_layers: of the model.
            n_heads: of each layer.
        """
        places = tuple(zip(*map(_place, self.dataset["head"].values), strict=True))
        for step in self.dataset["checkpoint"].values.tolist():
            here = self.at(step)["pattern"]
            patterns = np.full((n_layers, n_heads, *here.shape[1:]), np.nan, dtype=here.dtype)
            patterns[places] = here.to_numpy()
            yield step, AttentionMaps.of_arrays({"pattern": patterns}, {})

    def __str__(self) -> str:
        sizes = self.dataset.sizes
        return (
            f"attention of {sizes['head']} heads over {sizes['query']} tokens at {sizes['checkpoint']} checkpoints"
            f"{self.warning()}"
        )


def head_patterns(checkpoints: Checkpoints, tokens: Tokens, *, heads: Sequence[Head]) -> HeadPatterns:
    """The patterns of some heads on one sequence of tokens, at every checkpoint.

    Args:
        checkpoints: a run, one model, or any iterable of (step, model), as `checkpoints_of` takes them.
        tokens: one sequence, of integers.
        heads: (layer, head), one or more.

    Returns:
        Weights between 0 and 1, with dims (checkpoint, head, query, key).

    Raises:
        ValueError: for a head that the model does not have, and as `attention_maps`.

    Example:
        >>> from grok_interp import load_reference
        >>> import torch
        >>> run = load_reference("copier-mini")
        >>> print(head_patterns(run.at(run.steps[-2:]), torch.arange(5), heads=[(2, 1), (0, 3)]))
        attention of 2 heads over 5 tokens at 2 checkpoints
    """
    steps, rows = [], []
    for step, model in checkpoints_of(checkpoints, same=EACH_HEAD):
        maps = attention_maps(model, tokens)
        steps.append(step)
        rows.append(np.stack([maps.of(*head).to_numpy() for head in heads]))
    coords = {"checkpoint": steps, "head": named(heads).split()}
    return HeadPatterns.of_arrays({"pattern": np.stack(rows)}, coords)


def _place(name: str) -> Head:
    layer, head = name.removeprefix("L").split("H")
    return int(layer), int(head)


def attention_maps(model: Model, tokens: Tokens) -> AttentionMaps:
    """The patterns of all heads on one sequence of tokens.

    Args:
        model: any hooked model.
        tokens: token indices of one sequence: pos, or 1 x pos.

    Returns:
        Attention with dims (layer, head, query, key), between 0 and 1.

    Raises:
        ValueError: for a model without hooks, for several sequences, and for tokens that the model cannot read.

    Example:
        >>> from grok_interp import Transformer, preset
        >>> maps = attention_maps(Transformer(preset("copier-tiny"), seed=0), [1, 2, 3, 1])
        >>> dict(maps.dataset.sizes)
        {'layer': 2, 'head': 2, 'query': 4, 'key': 4}
    """
    require_model(model)
    rows = token_rows(tokens)
    if len(rows) > 1:
        raise ValueError(f"attention maps are of one sequence, got {len(rows)}: give one row, tokens[0]")
    require_readable(rows, model.cfg, n_read=0 if rotates_any_position(model) else None)
    names = [pattern_name(layer) for layer in range(model.cfg.n_layers)]
    found = read(undefined_if_not_finite(model), rows, dict.fromkeys(names, _first_in_batch))
    patterns = torch.stack([found[name] for name in names])
    coords = {dim: np.arange(size) for dim, size in zip(AttentionMaps.dims, patterns.shape, strict=True)}
    return AttentionMaps.of_arrays({"pattern": patterns}, coords)


def _first_in_batch(pattern: Tensor) -> Tensor:
    return pattern[0].float().cpu()
