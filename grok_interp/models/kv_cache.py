"""Keys and values of tokens read before, and how continuations share them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

KeysAndValues = tuple[Tensor, Tensor]  # each batch head pos d_head


class KVCache:
    """Keys and values of the tokens read so far, layer by layer.

    `model(tokens, cache=cache)` reads and extends it. A `branch` goes on from the same tokens without copying them, so
    that many continuations grow from one prefix that was run once. It may have more sequences, a multiple of those
    before: consecutive ones then share one.
    """

    def __init__(self, shared: Mapping[int, Sequence[KeysAndValues]] | None = None) -> None:
        self.shared = dict(shared or {})  # of the caches that this one branched from, the earliest tokens first
        self.own: dict[int, KeysAndValues] = {}

    def parts(self, layer: int) -> list[KeysAndValues]:
        """Consecutive stretches of tokens; the later may have more sequences.

        Args:
            layer: from 0.
        """
        return [*self.shared.get(layer, ()), *([self.own[layer]] if layer in self.own else [])]

    def n_tokens_at(self, layer: int) -> int:
        """How many tokens a layer has keys and values of.

        Args:
            layer: from 0.
        """
        return sum(k.shape[2] for k, _ in self.parts(layer))

    @property
    def n_tokens(self) -> int:
        return self.n_tokens_at(0)

    def branch(self) -> KVCache:
        """One that grows apart from this one and shares what is there."""
        return self.truncated(self.n_tokens)

    def truncated(self, n_tokens: int) -> KVCache:
        """A branch of the first tokens only. Raises ValueError for more than there are.

        Args:
            n_tokens: how many are kept, from 0.
        """
        if not 0 <= n_tokens <= self.n_tokens:
            raise ValueError(f"the cache holds {self.n_tokens} tokens: its first {n_tokens} were asked for")
        return KVCache({layer: _first(n_tokens, self.parts(layer)) for layer in {**self.shared, **self.own}})

    def extend(self, layer: int, k: Tensor, v: Tensor) -> list[KeysAndValues]:
        """All parts of the layer, the new keys and values at the end of the last.

        Args:
            layer: counted from 0.
            k: keys of the new tokens, batch x head x pos x d_head.
            v: values of the new tokens, of the same shape.

        Raises:
            ValueError: for a number of sequences that is no multiple of those shared.
        """
        for shared, _ in self.shared.get(layer, ()):
            if len(k) % len(shared):
                raise ValueError(
                    f"{len(k)} sequences cannot share a cache of {len(shared)}: a multiple of it is needed"
                )
        if layer in self.own:
            past_k, past_v = self.own[layer]
            k, v = torch.cat([past_k, k], dim=2), torch.cat([past_v, v], dim=2)
        self.own[layer] = k.contiguous(), v.contiguous()  # once, not in the products of every branch
        return self.parts(layer)


def _first(n_tokens: int, parts: Sequence[KeysAndValues]) -> list[KeysAndValues]:
    kept = []
    for k, v in parts:
        if n_tokens > 0:
            kept.append((k[:, :, :n_tokens], v[:, :, :n_tokens]))
        n_tokens -= k.shape[2]
    return kept


def shared_product(
    rows: Float[Tensor, "batch head query inner"], shared: Float[Tensor, "shared_batch head inner outer"]
) -> Float[Tensor, "batch head query outer"]:
    """Each row's matrix product with the one that it shares with its neighbors.

    Args:
        rows: consecutive rows share one matrix: batch is a multiple of shared_batch.
        shared: the matrices.
    """
    n_sharing = len(rows) // len(shared)
    grouped = rows.unflatten(0, (len(shared), n_sharing)).transpose(1, 2).flatten(2, 3)
    return (grouped @ shared).unflatten(2, (n_sharing, -1)).transpose(1, 2).flatten(0, 1)
