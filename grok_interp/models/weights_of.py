"""The weights of any hooked model in one form: per query head, with the gains of its norms as they are or folded in.

Every score of weights reads a model through `weights_of`, so what differs between families is said here once:

    grouped-query attention   W_K and W_V are repeated for the query heads that share them
    gains                     see `norm_gains`
    a narrower embedding      the maps to and from the residual stream are in W_E and W_U (opt-350m)
    another output vocabulary W_U has d_vocab_out columns; output i is token i
    processing                see `processing`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from grok_interp.models.norm_gains import norm_gains
from grok_interp.models.unreadable import require_values
from grok_interp.models.value_biases import per_query_head

NormGain = Literal["ignored", "folded"]
NEEDED = ("W_E", "W_U", "W_Q", "W_K", "W_V", "W_O")


@dataclass(frozen=True)
class HeadWeights:
    """Weights in HookedTransformer's shapes, one W_K and W_V per query head; never trained through."""

    W_E: Float[Tensor, "d_vocab d_model"]
    W_U: Float[Tensor, "d_model d_vocab_out"]
    W_Q: Float[Tensor, "layer head d_model d_head"]
    W_K: Float[Tensor, "layer head d_model d_head"]
    W_V: Float[Tensor, "layer head d_model d_head"]
    W_O: Float[Tensor, "layer head d_head d_model"]

    @property
    def n_tokens(self) -> int:
        """Tokens that are inputs and outputs alike: the OV circuit of these is square and has eigenvalues."""
        return min(self.W_E.shape[0], self.W_U.shape[1])


def weights_of(model: Any, norm_gain: NormGain = "ignored") -> HeadWeights:
    """The weights of a hooked model per query head.

    Args:
        model: a `Transformer`, `HookedTransformer` or `TransformerBridge`, raw or processed.
        norm_gain: "ignored" takes the weights as they are. "folded" multiplies every gain on the path of a head into
            the weight beside it: before attention into W_Q, W_K and W_V, after attention into W_O, of the embedding
            into W_E and the final one into W_U. Folding a model whose gains are folded already changes nothing.

    Returns:
        A `HeadWeights` that may share the model's memory.

    Raises:
        ValueError: if the model has no such weights (an ablated model, a bare Hugging Face model), if some layers have
            no attention, if the weights are on the meta device, or if `norm_gain` is neither of the two.

    Example:
        >>> from grok_interp import Transformer, llama_copier
        >>> model = Transformer(llama_copier(n_layers=2, n_heads=2, d_model=16, d_mlp=32, d_vocab=64, n_ctx=32), seed=0)
        >>> weights_of(model, "folded").W_V.shape
        torch.Size([2, 2, 16, 8])
    """
    if norm_gain not in ("ignored", "folded"):
        raise ValueError(f"norm_gain must be 'ignored' or 'folded', got {norm_gain!r}")
    found = {name: getattr(model, name, None) for name in NEEDED}
    if missing := [name for name, weight in found.items() if weight is None]:
        raise ValueError(
            f"a score of weights needs a model with {', '.join(NEEDED)}, and {type(model).__name__} has no "
            f"{', '.join(missing)}: pass the model itself (an ablation changes activations, not weights), a "
            "TransformerBridge over a Hugging Face model, or a TorchAdapter with weights= (and hooks= for patterns)"
        )
    require_values(model)
    with torch.no_grad():
        W_E, W_U, W_Q, W_K, W_V, W_O = (weight.detach() for weight in found.values() if weight is not None)
        if len(W_Q) != model.cfg.n_layers:
            raise ValueError(
                f"every layer needs attention heads with weights, got them in {len(W_Q)} of {model.cfg.n_layers} layers"
            )
        W_K, W_V = (_per_query_head(weight, W_Q.shape[1]) for weight in (W_K, W_V))
        weights = HeadWeights(*_of_the_stream(model, W_E, W_U), W_Q, W_K, W_V, W_O)
        return _folded(weights, model) if norm_gain == "folded" else weights


def _of_the_stream(model: Any, W_E: Tensor, W_U: Tensor) -> tuple[Tensor, Tensor]:
    """W_E and W_U times the maps between a narrower embedding and the residual stream, where a bridge has these."""
    if not hasattr(model, "project_in"):
        return W_E, W_U
    return W_E @ model.project_in.weight.detach().T, model.project_out.weight.detach().T @ W_U


def _per_query_head(weight: Tensor, n_heads: int) -> Tensor:
    return per_query_head(weight.transpose(0, 1), n_heads).transpose(0, 1)


def _folded(weights: HeadWeights, model: Any) -> HeadWeights:
    gains = norm_gains(model)
    before, after = gains.before_attention[:, None, :, None], gains.after_attention[:, None, None, :]
    return HeadWeights(
        W_E=_times(weights.W_E, gains.embedding),
        W_U=_times(weights.W_U, gains.final[:, None]),
        W_Q=_times(weights.W_Q, before),
        W_K=_times(weights.W_K, before),
        W_V=_times(weights.W_V, before),
        W_O=_times(weights.W_O, after),
    )


def _times(weight: Tensor, gain: Tensor) -> Tensor:
    """In float32 or better; the weight itself where the gain is 1."""
    if bool((gain == 1).all()):
        return weight
    return weight * gain.to(weight.device, torch.promote_types(weight.dtype, torch.float32))
