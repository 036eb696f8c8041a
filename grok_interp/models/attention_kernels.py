"""Causal attention in memory linear in the context, with each query's log-sum-exp if requested.

    lse[query] = log sum over keys of exp(q.k / sqrt(d_head));    A[query, key] = exp(q.k / sqrt(d_head) - lse[query])

So with one number a query every weight is known exactly, and fused kernels find that number on their way.

Tensors are batch head pos d_head; the queries are the last of the keys' positions.
"""

from __future__ import annotations

import math
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

QUERIES_AT_ONCE = 64  # in the form in plain torch, whose largest matrix is QUERIES_AT_ONCE x keys


def causal_mask(q: Tensor, k: Tensor) -> Bool[Tensor, "query key"]:
    """True where a query may look."""
    n_queries, n_keys = q.shape[2], k.shape[2]
    return torch.ones(n_queries, n_keys, dtype=torch.bool, device=q.device).tril(n_keys - n_queries)


def attention_input(qkv: Tensor) -> Tensor:
    """In float32 under autocast on a CPU, whose bfloat16 attention is slow; otherwise as they are."""
    return qkv.float() if _autocast_on_cpu(qkv) else qkv


def fused_attention(q: Tensor, k: Tensor, v: Tensor, *, dropout: float) -> Float[Tensor, "batch head query d_head"]:
    whole = q.shape[2] == k.shape[2]
    mask = None if whole else causal_mask(q, k)
    attention = partial(F.scaled_dot_product_attention, attn_mask=mask, is_causal=whole, dropout_p=dropout)
    if _autocast_on_cpu(q):
        with torch.autocast("cpu", enabled=False):
            return attention(q, k, v)
    return attention(q, k, v)


def _autocast_on_cpu(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and torch.is_autocast_enabled("cpu")


def attention_with_lse(
    q: Tensor, k: Tensor, v: Tensor, *, dropout: float
) -> tuple[Float[Tensor, "batch head query d_head"], Float[Tensor, "batch head query"]]:
    """The same values and each query's lse, in float32 or more and without gradient."""
    if _cpu_kernel_takes(q, k, dropout):  # the one that `F.scaled_dot_product_attention` itself takes
        z, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, is_causal=True)
    else:
        z, lse = attention_by_some_queries(q, k, v, dropout=dropout)
    return z, lse.detach()


def _cpu_kernel_takes(q: Tensor, k: Tensor, dropout: float) -> bool:
    known = hasattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu")
    return known and q.device.type == "cpu" and q.shape[2] == k.shape[2] and dropout == 0


def attention_by_some_queries(
    q: Tensor, k: Tensor, v: Tensor, *, dropout: float
) -> tuple[Float[Tensor, "batch head query d_head"], Float[Tensor, "batch head query"]]:
    """On any device, for any shape: the explicit form for some queries at a time, against the keys up to the last."""
    z, lse, n_seen = [], [], k.shape[2] - q.shape[2]
    exact = torch.promote_types(q.dtype, torch.float32)
    for queries in (q.to(exact) / math.sqrt(q.shape[-1])).split(QUERIES_AT_ONCE, dim=2):
        n_seen += queries.shape[2]
        keys, values = k[:, :, :n_seen], v[:, :, :n_seen]
        scores = (queries @ keys.to(exact).transpose(-1, -2)).masked_fill_(~causal_mask(queries, keys), -torch.inf)
        lse.append(scores.logsumexp(dim=-1))
        pattern = (scores - lse[-1].unsqueeze(-1)).exp()
        z.append(F.dropout(pattern, dropout).to(v.dtype) @ values)
    return torch.cat(z, dim=2), torch.cat(lse, dim=2)
