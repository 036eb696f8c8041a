"""The processing state of a model: what TransformerLens has folded into its weights or subtracted from them.

`HookedTransformer.from_pretrained` and a bridge's `enable_compatibility_mode` change the weights and keep the outputs:

    norms_folded           the gains of the norms are in W_Q, W_K, W_V and W_U
    writing_centered       W_E and W_O have mean 0 over d_model
    unembedding_centered   W_U has mean 0 over the vocabulary
    value_biases_folded    b_V is 0, its part W_O b_V is in b_O

Scores of weights differ between states by more than training changes them in thousands of steps, so they are compared
within one state only. The state is read from the model: from its norms and its bridge, and from the weights themselves,
because no version of the library keeps a record of it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from grok_interp.models.activations import has_finite_weights
from grok_interp.models.norm_gains import norm_gains
from grok_interp.models.value_biases import has_output_biases, has_value_biases
from grok_interp.models.weights_of import weights_of

CENTERED = 2e-3  # of the root mean square: rounding of bfloat16 stays below, uncentered weights above


@dataclass(frozen=True, kw_only=True)
class Processing:
    """What was done to the weights; `str` of a model as trained is "raw"."""

    norms_folded: bool = False
    writing_centered: bool = False
    unembedding_centered: bool = False
    value_biases_folded: bool = False

    def __str__(self) -> str:
        done = [field.name.replace("_", " ") for field in fields(self) if getattr(self, field.name)]
        return ", ".join(done) or "raw"


def processing_of(model: Any) -> Processing:
    """The processing state of the weights of a hooked model.

    Args:
        model: a `Transformer`, `HookedTransformer` or `TransformerBridge` with `W_E`, `W_O` and `W_U`.

    Returns:
        A `Processing`. Norms that never had parameters count as folded where the library has no other word for them
        (`normalization_type` "LNPre" and "RMSPre").

    Raises:
        ValueError: if the model has no weights to read (see `weights_of`).

    Example:
        >>> from grok_interp import Transformer, llama_copier
        >>> model = Transformer(llama_copier(n_layers=2, n_heads=2, d_model=16, d_mlp=32, d_vocab=64, n_ctx=32), seed=0)
        >>> print(processing_of(model))
        raw
    """
    weights = weights_of(model)
    return Processing(
        norms_folded=_norms_folded(model),
        writing_centered=_is_centered(weights.W_E, dim=1) and _is_centered(weights.W_O[0], dim=-1),
        unembedding_centered=_is_centered(weights.W_U, dim=1),
        value_biases_folded=_value_biases_folded(model),
    )


def require_same_processing(first: Processing | None, model: Any, step: int) -> Processing:
    """The state of a series, given the state of the checkpoints before this one.

    Args:
        first: the state of the checkpoints before, None at the first.
        model: the model at this checkpoint.
        step: its step, for the message.

    Returns:
        The state of `model`; that of the checkpoints before where its weights are NaN or infinite, which hide it.

    Raises:
        ValueError: if it is not that of the checkpoints before.
    """
    if first is not None and not has_finite_weights(model):
        return first
    found = processing_of(model)
    if first is not None and found != first:
        raise ValueError(
            f"all checkpoints need the same weight processing: the model at step {step} is {found}, those before are "
            f"{first}; load all of them with the same options (raw: from_pretrained_no_processing, or a bridge "
            "without enable_compatibility_mode)"
        )
    return found


def _norms_folded(model: Any) -> bool:
    """A bridge keeps its norms and sets their gains to 1; a gain of 1 in a bridge that was not processed is trained."""
    if hasattr(model, "_weights_processed"):
        if not model._weights_processed:
            return False
        gains = norm_gains(model)
        return bool((gains.before_attention == 1).all() and (gains.final == 1).all())
    return str(getattr(model.cfg, "normalization_type", None)).endswith("Pre")


def _value_biases_folded(model: Any) -> bool:
    """Zero with an output bias beside them: a model without either has nothing to fold."""
    if not getattr(model, "_weights_processed", True):
        return False
    return has_output_biases(model) and not has_value_biases(model)


def _is_centered(weight: Tensor, *, dim: int) -> bool:
    """Is the mean over a dimension zero everywhere? A weight that is zero itself was not centered."""
    with torch.no_grad():
        weight = weight.float()
        scale = torch.linalg.vector_norm(weight) / max(1, weight.numel()) ** 0.5
        return bool(scale > 0) and bool(weight.mean(dim=dim).abs().max() <= CENTERED * scale)
