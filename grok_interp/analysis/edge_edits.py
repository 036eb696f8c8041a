"""Cutting the edges of a head: what it attends to at some keys no longer reaches its output.

With A the pattern, v the values and c their constant (see `value_constants`), the sum over the cut keys k of
A[q, k] (v[k] - c) is taken from z[q]. The rows' other weights stay. The constant stays too, whatever is cut: it says
nothing about the keys, and a model whose value biases are folded into b_O keeps it as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch.nn.functional as F
from einops import einsum
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grok_interp.analysis.ablation_edits import Edit, Seen
from grok_interp.models.activations import pattern_name, z_name


def induction_edges(tokens: Int[Tensor, "batch pos"], n_match: int) -> Bool[Tensor, "batch pos pos"]:
    """Kernel: batch x query x key, true where the key is an induction target of the query (see `ablated_model`)."""
    equal = tokens[:, :, None] == tokens[:, None, :]
    match = equal
    for _ in range(n_match - 1):
        match = equal & F.pad(match[:, :-1, :-1], (1, 0, 1, 0), value=False)
    return F.pad(match[:, :, :-1], (1, 0), value=False).tril()


@dataclass
class EdgeCut:
    """The induction edges of some heads of one layer.

    Attributes:
        layer: the layer.
        heads: its heads whose edges are cut.
        n_match: how many tokens must match, 1 or more.
        constant: of the values of these heads, head x d_head.
        lost: batch x head x query, the attention cut in the forward pass that is running.
    """

    layer: int
    heads: Sequence[int]
    n_match: int
    constant: Float[Tensor, "head d_head"]
    lost: Tensor | None = field(default=None, repr=False)

    def edits(self) -> dict[str, Edit]:
        """For a model that reads the pattern back: by hook name."""
        edits: dict[str, Edit] = {pattern_name(self.layer): self._cut}
        return edits | {z_name(self.layer): self._with_constant} if self.constant.any() else edits

    def subtracting(
        self, pattern: Float[Tensor, "batch head query key"], v: Float[Tensor, "batch key group d_head"]
    ) -> dict[str, Edit]:
        """The same for a model that only shows its pattern, given pattern and values of these tokens."""
        values = v.repeat_interleave(pattern.shape[1] // v.shape[2], dim=2)[:, :, self.heads]
        values = values - self.constant.to(values)

        def without(z: Tensor, seen: Seen) -> Tensor:
            cut = pattern[:, self.heads] * self._edges(pattern, seen)
            removed = einsum(cut, values, "batch head query key, batch key head d_head -> batch query head d_head")
            edited = z.clone()
            edited[:, :, self.heads] -= removed.to(z)
            return edited

        return {z_name(self.layer): without}

    def _edges(self, pattern: Tensor, seen: Seen) -> Tensor:
        return induction_edges(seen.tokens.to(pattern.device), self.n_match)[:, None, -pattern.shape[2] :]

    def _cut(self, pattern: Tensor, seen: Seen) -> Tensor:
        edges, edited = self._edges(pattern, seen), pattern.clone()
        self.lost = (pattern[:, self.heads] * edges).sum(dim=-1)
        edited[:, self.heads] = pattern[:, self.heads].masked_fill(edges, 0.0)
        return edited

    def _with_constant(self, z: Tensor, seen: Seen) -> Tensor:  # noqa: ARG002 (an Edit's signature)
        assert self.lost is not None, "a model runs its pattern before its z"
        edited = z.clone()
        edited[:, :, self.heads] += (self.lost.mT[..., None] * self.constant.to(self.lost)).to(z)
        return edited
