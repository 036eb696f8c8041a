"""Value biases per query head. Rows of a pattern sum to 1, so b_V adds the constant W_O b_V to a head's output."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def value_biases(model: Any) -> Float[Tensor, "layer head d_head"] | None:
    """b_V of every query head; None for a model that has none.

    Args:
        model: a hooked model; a bias of grouped heads is repeated for the query heads that read it.
    """
    biases = [getattr(getattr(block, "attn", None), "b_V", None) for block in getattr(model, "blocks", ())]
    if not biases or any(bias is None for bias in biases):
        return None
    n_heads, d_head = model.cfg.n_heads, model.cfg.d_head
    return torch.stack([per_query_head(bias.detach().reshape(-1, d_head), n_heads) for bias in biases])


def output_bias(model: Any) -> bool:
    """Does any layer add a bias b_O, other than 0, to what its heads write?"""
    biases = [getattr(getattr(block, "attn", None), "b_O", None) for block in getattr(model, "blocks", ())]
    return any(bias is not None and bool(bias.any()) for bias in biases)


def per_query_head(weight: Float[Tensor, "group ..."], n_heads: int) -> Float[Tensor, "head ..."]:
    """A weight of grouped heads, repeated for the query heads that read it: head h reads group h // (heads / groups).

    Args:
        weight: one entry per group of heads.
        n_heads: query heads, a multiple of the groups.

    Raises:
        ValueError: if `n_heads` is no multiple of the number of groups.
    """
    n_groups = len(weight)
    if n_heads % n_groups:
        raise ValueError(f"{n_heads} query heads cannot share {n_groups} key-value heads evenly")
    return weight.repeat_interleave(n_heads // n_groups, dim=0) if n_groups < n_heads else weight
