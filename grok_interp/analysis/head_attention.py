"""Attention on targets: of the attention that a head could give to the keys of one kind, how much does it give?

    mean over queries that have a target of  sum over their targets of  A[query, key], between 0 and 1

Queries without a target are left out, so a perfect head scores 1. TransformerLens' `detect_head` divides by the
attention of all queries instead: on one sequence its number is this one times the fraction of queries with a target.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor


def previous_token_targets(tokens: Int64[Tensor, "batch pos"]) -> Bool[Tensor, "batch query key"]:
    """True one key before each query; the first query has no target."""
    n_tokens = tokens.shape[1]
    one_before = torch.ones(n_tokens, n_tokens, dtype=torch.bool).tril(-1).triu(-1)
    return one_before.repeat(len(tokens), 1, 1)


def duplicate_token_targets(
    tokens: Int64[Tensor, "batch pos"], attention_mask: Bool[Tensor, "batch pos"] | None = None
) -> Bool[Tensor, "batch query key"]:
    """True at the earlier keys that hold the query's own token; never at or from a pad, where a mask marks tokens."""
    targets = (tokens[:, :, None] == tokens[:, None, :]).tril(-1)
    return targets if attention_mask is None else between_tokens(targets, attention_mask)


def prefix_targets(tokens: Int64[Tensor, "batch pos"]) -> Bool[Tensor, "batch query key"]:
    """True at the keys that follow an earlier occurrence of the query's token, the query itself among them."""
    return F.pad(duplicate_token_targets(tokens)[:, :, :-1], (1, 0))


def between_tokens(
    targets: Bool[Tensor, "batch query key"], real: Bool[Tensor, "batch pos"]
) -> Bool[Tensor, "batch query key"]:
    """The targets whose query and key are both real tokens, and not pads."""
    return targets & real[:, :, None] & real[:, None, :]


def n_queries_with_target(targets: Bool[Tensor, "batch query key"]) -> int:
    """The score's denominator. Raises ValueError when it is 0."""
    n_queries = int(targets.any(dim=-1).sum())
    if n_queries == 0:
        raise ValueError("no query has a target: take tokens that come again, from repeated_tokens")
    return n_queries


def attention_on_targets(
    pattern: Float[Tensor, "batch head query key"], targets: Float[Tensor, "batch score query key"]
) -> Float[Tensor, "head score"]:
    """The numerators of several scores: the attention on all targets (1, or 0), summed over queries and batch."""
    on_target = targets.to(pattern.device).flatten(2)
    return (pattern.float().flatten(2) @ on_target.mT).sum(dim=0)


def attention_score(
    pattern: Float[Tensor, "batch head query key"], targets: Bool[Tensor, "batch query key"]
) -> Float[Tensor, " head"]:
    """Kernel: the mean above. Raises ValueError when no query has a target."""
    return attention_on_targets(pattern, targets[:, None].float())[:, 0] / n_queries_with_target(targets)


def uniform_attention(targets: Bool[Tensor, "batch query key"]) -> float:
    """Closed form of the score of a head that looks equally at all keys so far: each of them gets 1 / (query + 1).

    Raises ValueError when no query has a target.
    """
    n_visible = torch.arange(1, targets.shape[1] + 1, dtype=torch.float64)
    return float((targets.sum(dim=-1) / n_visible).sum()) / n_queries_with_target(targets)
