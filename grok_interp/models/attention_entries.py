"""Attention at given (query, key) entries of every layer, read while a model runs and without its patterns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

from jaxtyping import Float, Int
from torch import Tensor


def weights_from_lse(
    q: Float[Tensor, "batch entry head d_head"],
    k: Float[Tensor, "batch entry head d_head"],
    lse: Float[Tensor, "batch head entry"],
) -> Float[Tensor, "batch head entry"]:
    """exp(q.k / sqrt(d_head) - lse): the weight that each query, whose log-sum-exp is given, has for its key.

    At most 1: where scores are in the thousands, the rounding of the two float32 terms would show as 1.002.
    """
    scores = (q.to(lse.dtype) * k).sum(dim=-1) / math.sqrt(q.shape[-1])
    return (scores.transpose(1, 2) - lse).exp().clamp(max=1.0)


class EntryReader:
    """Hooks that read the attention of queries[i] to keys[i], one layer after the other, into `layers`.

    Raises ValueError for positions outside a context of n_tokens, and unless there are as many queries as keys.
    """

    def __init__(self, queries: Int[Tensor, " entry"], keys: Int[Tensor, " entry"], *, n_tokens: int) -> None:
        if queries.dim() != 1 or queries.shape != keys.shape:
            raise ValueError(
                f"entries need one key for each query, got queries of shape {tuple(queries.shape)} and keys of shape "
                f"{tuple(keys.shape)}"
            )
        if outside := [p for p in (*queries.tolist(), *keys.tolist()) if not 0 <= p < n_tokens]:
            raise ValueError(f"entries need positions among the {n_tokens} tokens, got {outside[0]}")
        self.queries, self.keys = queries, keys
        self.layers: list[Float[Tensor, "batch head entry"]] = []
        self._q: Tensor
        self._k: Tensor

    def hooks(self, shows_pattern: Iterable[bool]) -> Iterator[tuple[str, Callable[..., None]]]:
        """Told of each layer whether it builds its pattern anyway: then the entries are read from that."""
        from_pattern = {"pattern": self._read_pattern}
        from_lse = {"rot_q": self._read_q, "rot_k": self._read_k, "lse": self._read_lse}
        for layer, shown in enumerate(shows_pattern):
            for name, read in (from_pattern if shown else from_lse).items():
                yield f"blocks.{layer}.attn.hook_{name}", _listener(read)

    def _read_pattern(self, pattern: Float[Tensor, "batch head query key"]) -> None:
        self.layers.append(pattern[:, :, self.queries, self.keys])

    def _read_q(self, q: Float[Tensor, "batch pos head d_head"]) -> None:
        self._q = q[:, self.queries]

    def _read_k(self, k: Float[Tensor, "batch pos head d_head"]) -> None:
        self._k = k[:, self.keys]

    def _read_lse(self, lse: Float[Tensor, "batch head query"]) -> None:
        weights = weights_from_lse(self._q, self._k, lse[:, :, self.queries])
        del self._q, self._k
        to_the_future = (self.keys > self.queries).to(weights.device)
        self.layers.append(weights.masked_fill(to_the_future, 0.0))


def _listener(read: Callable[[Tensor], None]) -> Callable[..., None]:
    def listen(activation: Tensor, hook: object) -> None:  # noqa: ARG001 (TransformerLens' signature)
        read(activation)

    return listen
