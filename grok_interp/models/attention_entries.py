"""Attention at given (query, key) entries of every layer, read while a model runs and without its patterns.

An entry is exp(q.k / sqrt(d_head) - lse), two terms in float32 that are rounded apart from each other: its relative
error is that of the scores, about 2^-24 of their size. Up to `LARGEST_SCORE` that is 1e-5. Where scores may be larger,
the rows of the entries are normalized here, in float64 and some queries at a time. So entries are in [0, 1], and those
of a row sum to 1, within 1e-4, however large the scores are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

LARGEST_SCORE = 128.0  # of which the rounding may be neglected
ENTRIES_AT_ONCE = 64  # of which whole rows are normalized


def weights_from_lse(
    q: Float[Tensor, "batch entry head d_head"],
    k: Float[Tensor, "batch entry head d_head"],
    lse: Float[Tensor, "batch head entry"],
) -> Float[Tensor, "batch head entry"]:
    """exp(q.k / sqrt(d_head) - lse): the weight that each query, whose log-sum-exp is given, has for its key.

    At most 1: what is cut off is the rounding of scores up to `LARGEST_SCORE`.
    """
    scores = (q.to(lse.dtype) * k).sum(dim=-1) / math.sqrt(q.shape[-1])
    return (scores.transpose(1, 2) - lse).exp().clamp(max=1.0)


def weights_of_rows(
    q: Float[Tensor, "batch entry head d_head"],
    k: Float[Tensor, "batch pos head d_head"],
    queries: Int[Tensor, " entry"],
    keys: Int[Tensor, " entry"],
) -> Float[Tensor, "batch head entry"]:
    """The same for scores of any size: each entry's row of scores is normalized as a whole, in float64.

    In float32 on devices without float64.
    """
    exact = torch.float64 if q.device.type in ("cpu", "cuda") else torch.float32
    at, k, found = torch.arange(k.shape[1], device=k.device), k.to(exact), []
    parts = (each.split(ENTRIES_AT_ONCE) for each in (q.movedim(1, 0), queries.to(k.device), keys.to(k.device)))
    for q_part, query, key in zip(*parts, strict=True):
        scores = torch.einsum("ebhd,bkhd->bhek", q_part.to(exact), k) / math.sqrt(k.shape[-1])
        rows = scores.masked_fill_(at > query[:, None], -torch.inf).softmax(dim=-1)
        found.append(rows.gather(-1, key[:, None].expand(*rows.shape[:-1], 1))[..., 0])
    return torch.cat(found, dim=-1)


def largest_score(
    q: Float[Tensor, "batch entry head d_head"], k: Float[Tensor, "batch pos head d_head"]
) -> Float[Tensor, ""]:
    """A bound: the largest |q| times the largest |k|, of any head, over sqrt(d_head)."""
    longest = [torch.linalg.vector_norm(each.float(), dim=-1).max() for each in (q, k)]
    return longest[0] * longest[1] / math.sqrt(q.shape[-1])


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
        self._k = k

    def _read_lse(self, lse: Float[Tensor, "batch head query"]) -> None:
        if largest_score(self._q, self._k) <= LARGEST_SCORE:
            weights = weights_from_lse(self._q, self._k[:, self.keys], lse[:, :, self.queries])
        else:
            weights = weights_of_rows(self._q, self._k, self.queries, self.keys).to(lse.dtype)
        del self._q, self._k
        to_the_future = (self.keys > self.queries).to(weights.device)
        self.layers.append(weights.masked_fill(to_the_future, 0.0))


def _listener(read: Callable[[Tensor], None]) -> Callable[..., None]:
    def listen(activation: Tensor, hook: object) -> None:  # noqa: ARG001 (TransformerLens' signature)
        read(activation)

    return listen
