"""What every query head writes whatever it reads: its value bias, and what the bias of the norm before it becomes.

A head reads gain * normalized + bias, so its values are W_V^T (gain * normalized) + c with the constant

    c = b_V + W_V^T bias        d_head

Rows of a pattern sum to 1, so c is part of z at every position. TransformerLens folds W_O^T c into b_O by default.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from grok_interp.models.norm_gains import norm_before_attention


def value_constants(model: Any) -> Float[Tensor, "layer head d_head"]:
    """c of every query head, in float32 or better on the model's device.

    Args:
        model: a hooked model with `W_V` and `blocks`; grouped heads share their constant.

    Example:
        >>> from grok_interp import Transformer, llama_copier
        >>> model = Transformer(llama_copier(n_layers=2, n_heads=2, d_model=16, d_mlp=32, d_vocab=64, n_ctx=32), seed=0)
        >>> value_constants(model).shape, bool(value_constants(model).any())
        (torch.Size([2, 2, 8]), False)
    """
    constants = []
    with torch.no_grad():
        for block, W_V in zip(model.blocks, model.W_V, strict=True):
            W_V = W_V.to(torch.promote_types(W_V.dtype, torch.float32))
            norm, b_V = norm_before_attention(block), getattr(block.attn, "b_V", None)
            bias = getattr(norm, "b", None)
            constant = W_V.new_zeros(len(W_V), W_V.shape[-1]) if bias is None else bias.to(W_V) @ W_V
            constants.append(constant if b_V is None else constant + b_V.to(W_V).reshape(constant.shape))
    return torch.stack([per_query_head(constant, model.cfg.n_heads) for constant in constants])


def has_value_biases(model: Any) -> bool:
    """Is b_V other than 0 anywhere?

    Args:
        model: a hooked model.
    """
    return _any_bias(model, "b_V")


def has_output_biases(model: Any) -> bool:
    """Is b_O, which is added to what a layer's heads write, other than 0 anywhere?

    Args:
        model: a hooked model.
    """
    return _any_bias(model, "b_O")


def _any_bias(model: Any, name: str) -> bool:
    biases = [getattr(getattr(block, "attn", None), name, None) for block in getattr(model, "blocks", ())]
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
