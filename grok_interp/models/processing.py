"""The processing state of a model: what TransformerLens has folded into its weights or subtracted from them.

`HookedTransformer.from_pretrained` and a bridge's `enable_compatibility_mode` change the weights and keep the outputs:

    norms_folded           the gains of the norms are in W_Q, W_K, W_V and W_U
    writing_centered       W_E and W_O have mean 0 over d_model
    unembedding_centered   W_U has mean 0 over the vocabulary
    value_biases_folded    b_V is 0, its part W_O b_V is in b_O

Scores of weights differ between states by more than training changes them in thousands of steps, so they are compared
within one state only. The state is read from the model: from its norms and its bridge, and from the weights themselves,
because no version of the library keeps a record of it. Zeros show no state: biases of 0 are the same folded or not, and
so are weights of 0 centered or not (a model at step 0). Such a checkpoint takes the state of the others in its series.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from grok_interp.models.activations import has_finite_weights
from grok_interp.models.norm_gains import final_norm, norm_gains, normalizes_stream
from grok_interp.models.value_biases import has_output_biases, has_value_biases
from grok_interp.models.weights_of import weights_of

CENTERED = 2e-3  # of the root mean square: rounding of bfloat16 stays below, uncentered weights above

Undetermined = Literal["undetermined"]
UNDETERMINED: Undetermined = "undetermined"


@dataclass(frozen=True, kw_only=True)
class Processing:
    """What was done to the weights; `str` of a model as trained is "raw".

    A part is None where there is nothing to process (biases of 0, weights of 0 or NaN), and "undetermined" where the
    weights could be either: value biases of 0 beside output biases are folded ones, or were never trained; gains of 1
    in a processed bridge are folded ones, or those of step 0.
    """

    norms_folded: bool | Undetermined | None = False
    writing_centered: bool | None = False
    unembedding_centered: bool | None = False
    value_biases_folded: bool | Undetermined | None = None

    def __str__(self) -> str:
        words = {True: "{}", UNDETERMINED: "{} or not (undetermined)"}
        parts = [words[done].format(name.replace("_", " ")) for name, done in asdict(self).items() if done]
        return ", ".join(parts) or "raw"

    def merged(self, other: Processing) -> Processing | None:
        """The state of weights that are both: what is undetermined in one is as in the other. None if they contradict.

        Args:
            other: the state of another checkpoint of the same series.
        """
        pairs = {name: (done, getattr(other, name)) for name, done in asdict(self).items()}
        if any(isinstance(a, bool) and isinstance(b, bool) and a != b for a, b in pairs.values()):
            return None
        return Processing(**{name: a if isinstance(a, bool) or b is None else b for name, (a, b) in pairs.items()})


def processing_of(model: Any) -> Processing:
    """The processing state of the weights of a hooked model.

    Args:
        model: a `Transformer`, `HookedTransformer` or `TransformerBridge` with `W_E`, `W_O` and `W_U`.

    Returns:
        A `Processing`. Norms that never had parameters count as folded where the library has no other word for them
        (`normalization_type` "LNPre" and "RMSPre"). What zeros do not show is None or "undetermined".

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
        writing_centered=_are_centered(weights.W_E, weights.W_O[0]),
        unembedding_centered=_are_centered(weights.W_U),
        value_biases_folded=_value_biases_folded(model),
    )


def require_same_processing(first: Processing | None, model: Any, step: int) -> Processing:
    """The state of a series, given the state of the checkpoints before this one.

    Args:
        first: the state of the checkpoints before, None at the first.
        model: the model at this checkpoint.
        step: its step, for the message.

    Returns:
        The state of `model` and of those before: each determines what the zeros of others leave open. Weights that are
        NaN or infinite hide a state, and leave it as it was.

    Raises:
        ValueError: if it is not that of the checkpoints before.
    """
    if not has_finite_weights(model):
        return first or Processing(norms_folded=None, writing_centered=None, unembedding_centered=None)
    found = processing_of(model)
    merged = first.merged(found) if first is not None else found
    if merged is None:
        raise ValueError(
            f"all checkpoints need the same weight processing: the model at step {step} is {found}, those before are "
            f"{first}; load all of them with the same options (raw: from_pretrained_no_processing, or a bridge "
            "without enable_compatibility_mode)"
        )
    return merged


def _norms_folded(model: Any) -> bool | Undetermined:
    """A bridge keeps its norms and sets their gains to 1; a gain of 1 in a bridge that was not processed is trained.

    A gain of 1 in a processed bridge is folded only if `fold_ln` was on, as its adapter remembers (3.9 and 4.3).
    """
    if not hasattr(model, "_weights_processed"):
        return _is_without_parameters(model, "LNPre", "RMSPre")
    if not model._weights_processed or normalizes_stream(model):
        return False
    gains = norm_gains(model)
    if not (gains.before_attention == 1).all() or not (gains.final == 1).all():
        return False
    return getattr(getattr(model, "adapter", None), "_fold_ln_requested", UNDETERMINED)


def _value_biases_folded(model: Any) -> bool | Undetermined | None:
    if has_value_biases(model) or not getattr(model, "_weights_processed", True):
        return False
    if not has_output_biases(model):
        return None
    return True if _was_processed(model) else UNDETERMINED


def _was_processed(model: Any) -> bool:
    """A processed bridge says so; folding a LayerNorm leaves weights behind it whose mean over d_model is 0."""
    return getattr(model, "_weights_processed", False) or (
        _is_without_parameters(model, "LNPre") and _are_centered(model.W_V[0], dim=-2) is True
    )


def _is_without_parameters(model: Any, *types: str) -> bool:
    """Whether the norms are of these types. Folding a model changes its config, which others may share unfolded."""
    return getattr(model.cfg, "normalization_type", None) in types and not hasattr(final_norm(model), "w")


def _are_centered(*weights: Tensor, dim: int = -1) -> bool | None:
    """Is the mean over a dimension zero everywhere? None where a weight is zero itself and the others are centered."""
    found = [_is_centered(weight, dim) for weight in weights]
    return False if False in found else None if None in found else True


def _is_centered(weight: Tensor, dim: int) -> bool | None:
    with torch.no_grad():
        largest = weight.abs().max().float()
        if not largest > 0:
            return None
        weight = weight.float() / largest  # its squares must not overflow
        scale = torch.linalg.vector_norm(weight) / weight.numel() ** 0.5
        return bool(weight.mean(dim=dim).abs().max() <= CENTERED * scale)
