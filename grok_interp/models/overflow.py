"""Weights that cannot be computed with: NaN, infinite, or finite and too large.

A norm divides a residual stream whose squares overflow by infinity: its output is 0, the logits are equal, and every
score would be what chance gives. A NaN in the embedding of a token that is not read changes no score at all. Either
checkpoint is damaged, so its weights are read as NaN throughout: every result names its step.

Of finite weights only those above `HARMLESS` are tried, on a few tokens: products of smaller ones do not come near the
largest number.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from grok_interp.models.activations import logits, read

HARMLESS = 1e3
TOKENS = 32  # that are tried


def overflows(model: Any) -> bool:
    """Whether the residual stream or the logits of a model with finite weights are too large for their numbers.

    Args:
        model: a hooked model.

    Example:
        >>> from grok_interp import Transformer, preset
        >>> model = Transformer(preset("copier-tiny"), seed=0)
        >>> overflows(model)
        False
        >>> _ = model.ln_final.w.data.fill_(3e38)
        >>> overflows(model)
        True
    """
    return HARMLESS < largest_weight(model) < math.inf and not _computes(model)


def undefined_if_not_finite(model: Any) -> Any:
    """The model; where a weight is not finite or it overflows, a copy whose weights are NaN, as all its scores are.

    Args:
        model: a hooked model, which is not changed.
    """
    largest = largest_weight(model)
    if largest <= HARMLESS or (largest < math.inf and _computes(model)):
        return model
    undefined = copy.deepcopy(model)
    with torch.no_grad():
        for weight in undefined.parameters():
            weight.fill_(torch.nan)
    return undefined


def largest_weight(model: Any) -> float:
    """The largest absolute value among all weights, NaN if one is; 0 of a model without weights. One pass.

    Args:
        model: has `parameters()`.
    """
    ends = [end.float().cpu() for weight in model.parameters() if weight.numel() for end in weight.detach().aminmax()]
    return float(torch.stack(ends).abs().max()) if ends else 0.0


def _computes(model: Any) -> bool:
    """Whether the sums of squares of the stream and the logits are finite, on a few tokens."""
    tokens = torch.arange(min(TOKENS, model.cfg.n_ctx, model.cfg.d_vocab))[None]
    try:
        found = read(model, tokens, dict.fromkeys(stream_names(model.cfg.n_layers), has_finite_squares))
    except ValueError:  # a model that shows no stream
        found = {}
    return all(bool(each) for each in found.values()) and bool(logits(model, tokens).isfinite().all())


def stream_names(n_layers: int) -> list[str]:
    """The hooks of the residual stream before each layer and after the last.

    Args:
        n_layers: of the model.
    """
    return [*(f"blocks.{layer}.hook_resid_pre" for layer in range(n_layers)), f"blocks.{n_layers - 1}.hook_resid_post"]


def has_finite_squares(stream: Float[Tensor, "batch pos d_model"]) -> Bool[Tensor, ""]:
    """Whether the sums of squares that a norm takes are finite.

    Args:
        stream: of residuals, in the precision of the model.
    """
    return stream.float().square().sum(dim=-1).isfinite().all()
