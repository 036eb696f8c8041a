"""Edges between heads, and a model without some of them.

An edge leads from a sender to one input (Q, K or V) of a receiver in a later layer. Without it that input is what it
would be if the sender wrote its mean over reference text; all other inputs, and all other receivers, read the sender as
it is:

    k' = k - (w - mean of w) * g / s  W_K         w = z W_O of the sender, g and s gain and scale of the receiver's norm

The scale of the norm is kept as it is (LayerNorm: w is centered, too), so edges add up. This is the direct path alone:
what the sender does through heads and MLPs between the two stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from grok_interp.analysis.ablated_model import AblatedModel, CachingAblatedModel
from grok_interp.analysis.ablation_arguments import Head, named, reference_rows
from grok_interp.analysis.ablation_edits import Edit, Seen
from grok_interp.analysis.copying import Caching
from grok_interp.arguments import checked, heads_of
from grok_interp.data.token_rows import Tokens
from grok_interp.models.activations import HookedModel, in_batches, read, z_name
from grok_interp.models.norm_gains import norm_gains
from grok_interp.models.weights_of import weights_of

Input = Literal["q", "k", "v"]
WEIGHTS: dict[Input, str] = {"q": "W_Q", "k": "W_K", "v": "W_V"}


@dataclass(frozen=True, order=True)
class Edge:
    """From a head to an input of a head in a later layer."""

    sender: Head
    receiver: Head
    through: Input = "k"

    def __str__(self) -> str:
        return f"{named([self.sender])}>{named([self.receiver])}.{self.through.upper()}"


def edge_ablated(model: HookedModel, edges: Sequence[Edge], *, reference: Tokens) -> AblatedModel:
    """The model without some edges; the model itself is not changed.

    Args:
        model: with hooks of its residual stream and of q, k and v before rotation, as `Transformer` and
            `HookedTransformer` have them.
        edges: distinct, one or more.
        reference: rows of tokens over which the mean of a sender is taken.

    Raises:
        ValueError: for edges that lead to no later layer or to heads that are not there, and for models whose heads
            share keys and values, or whose attention another library computes; for reference sequences that the model
            cannot read.
    """
    _require_edges(model, edges)
    edits = _Paths(model, edges, _mean_z(model, edges, reference_rows(model, reference))).edits()
    return (CachingAblatedModel if isinstance(model, Caching) else AblatedModel)(model, edits)


def _require_edges(model: Any, edges: Sequence[Edge]) -> None:
    cfg = model.cfg
    for layer, head in heads_of([head for edge in edges for head in (edge.sender, edge.receiver)], "edges"):
        if not (0 <= layer < cfg.n_layers and 0 <= head < cfg.n_heads):
            raise ValueError(f"no head L{layer}H{head}: the model has {cfg.n_layers} layers of {cfg.n_heads} heads")
    if not edges or len(set(edges)) < len(edges) or any(edge.sender[0] >= edge.receiver[0] for edge in edges):
        raise ValueError(
            f"edges must be distinct, one or more, each to a later layer, got {' '.join(map(str, edges)) or 'none'}"
        )
    if hasattr(model, "original_model") or getattr(cfg, "n_key_value_heads", None) not in (None, cfg.n_heads):
        raise ValueError(
            f"edges of {type(model).__name__} cannot be cut: its heads share keys and values, or another library "
            "computes its attention; take head_ablation"
        )


def _mean_z(model: HookedModel, edges: Sequence[Edge], tokens: Tensor) -> dict[int, Float[Tensor, "head d_head"]]:
    """Of all heads of each sender's layer."""
    layers = sorted({edge.sender[0] for edge in edges})
    reducers = {z_name(layer): lambda z: z.float().sum(dim=(0, 1)) for layer in layers}
    parts = [read(each, part, reducers) for each, part in in_batches(model, tokens, 64)]
    return {layer: torch.stack([part[z_name(layer)] for part in parts]).sum(dim=0) / tokens.numel() for layer in layers}


class _Paths:
    """Edits of one model without some edges; what a forward pass has written so far is kept between them."""

    def __init__(self, model: Any, edges: Sequence[Edge], mean_z: Mapping[int, Tensor]) -> None:
        self.edges, self.mean_z = edges, mean_z
        self.weights, self.gains = weights_of(model), norm_gains(model).before_attention
        kind = getattr(model.cfg, "normalization_type", None) or ""
        self.centered, self.normalizes = kind.startswith("LN"), kind != ""
        self.eps = float(getattr(model.cfg, "eps", 0.0))
        self.written: dict[Head, Tensor] = {}
        self.scale: dict[int, Tensor] = {}

    def edits(self) -> dict[str, Edit]:
        """By hook name."""
        found: dict[str, Edit] = {}
        for edge in self.edges:
            layer = edge.receiver[0]
            found[z_name(edge.sender[0])] = partial(self._keep_written, edge.sender[0])
            found[f"blocks.{layer}.hook_resid_pre"] = partial(self._keep_scale, layer)
            found[f"blocks.{layer}.attn.hook_{edge.through}"] = partial(self._cut, layer, edge.through)
        return found

    def _keep_written(self, layer: int, z: Tensor, seen: Seen) -> Tensor:  # noqa: ARG002 (an Edit's signature)
        """What each sender of a layer writes beyond its mean."""
        for head in {edge.sender[1] for edge in self.edges if edge.sender[0] == layer}:
            beyond = z[:, :, head].float() - self.mean_z[layer][head].to(z.device)
            written = beyond @ self.weights.W_O[layer, head].float()
            self.written[layer, head] = written - written.mean(dim=-1, keepdim=True) if self.centered else written
        return z

    def _keep_scale(self, layer: int, stream: Tensor, seen: Seen) -> Tensor:  # noqa: ARG002
        x = stream.float()
        x = x - x.mean(dim=-1, keepdim=True) if self.centered else x
        if self.normalizes:
            self.scale[layer] = (x.square().mean(dim=-1, keepdim=True) + self.eps).sqrt()
        return stream

    def _cut(self, layer: int, through: Input, given: Tensor, seen: Seen) -> Tensor:  # noqa: ARG002
        edited, weight = given.clone(), getattr(self.weights, WEIGHTS[through])[layer].float()
        for edge in self.edges:
            if edge.receiver[0] == layer and edge.through == through:
                read_by = self.written[edge.sender] * self.gains[layer].to(given.device)
                read_by = read_by / self.scale[layer] if self.normalizes else read_by
                edited[:, :, edge.receiver[1]] -= (read_by @ weight[edge.receiver[1]]).to(given)
        return edited


@checked
def edges_between(senders: Sequence[Head], receivers: Sequence[Head], through: Input = "k") -> list[Edge]:
    """Every edge from one of the senders to one of the receivers in a later layer.

    Args:
        senders: each (layer, head).
        receivers: each (layer, head).
        through: the receivers' input, "q", "k" or "v".
    """
    pairs = [(sender, receiver) for receiver in receivers for sender in senders if sender[0] < receiver[0]]
    return [Edge(sender, receiver, through) for sender, receiver in pairs]


@checked
def random_edges(
    edges: Sequence[Edge], *, n_heads: int, n_draws: int, seed: int, spared: Sequence[Edge] = ()
) -> list[tuple[Edge, ...]]:
    """Sets of other edges, each between the same layers and through the same inputs as `edges`.

    Args:
        edges: the edges that controls are drawn for.
        n_heads: heads of a layer.
        n_draws: sets drawn; fewer where there are fewer distinct ones.
        seed: of the draws.
        spared: edges that are never taken, beside `edges` themselves.
    """
    generator, found = np.random.default_rng(seed), {}
    for _ in range(20 * n_draws):
        taken: list[Edge] = []
        for edge in edges:
            pairs = [(a, b) for a in range(n_heads) for b in range(n_heads)]
            every = [replace(edge, sender=(edge.sender[0], a), receiver=(edge.receiver[0], b)) for a, b in pairs]
            free = [each for each in every if each not in (*edges, *spared, *taken)]
            if free:
                taken.append(free[int(generator.integers(len(free)))])
        if len(taken) == len(edges):
            found[tuple(sorted(taken))] = True
        if len(found) == n_draws:
            break
    return list(found)
