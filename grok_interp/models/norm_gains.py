"""The gains of a model's norms as the model applies them, on the path from a token through one head to the logits.

    W_E  embedding gain  gain before attention  W_V  W_O  gain after attention  final gain  W_U

A gain is 1 where the model has no such norm, or a norm without parameters. Checkpoints of the Gemma family store a gain
as an offset from 1 and apply 1 + w; `HookedTransformer` adds the 1 when it loads them. Biases and the division by the
standard deviation are not gains, and the norms of queries and keys are not on this path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

# Hugging Face names of norms behind the attention, which TransformerLens 3.9 calls `ln1` in OLMo 2
AFTER_ATTENTION = ("post_attention_layernorm", "post_attention_norm")


@dataclass(frozen=True)
class NormGains:
    """What each feature is multiplied by, in float32 on the CPU; see the module's formula.

    Attributes:
        embedding: of the norm behind the embedding (BLOOM).
        before_attention: of the norm that each layer's heads read through.
        after_attention: of the norm behind each layer's attention (Gemma 2 and 3, OLMo 2).
        final: of the norm before the unembedding.
    """

    embedding: Float[Tensor, " d_model"]
    before_attention: Float[Tensor, "layer d_model"]
    after_attention: Float[Tensor, "layer d_model"]
    final: Float[Tensor, " d_model"]

    @property
    def all_one(self) -> bool:
        """Is nothing left to fold?"""
        parts = (self.embedding, self.before_attention, self.after_attention, self.final)
        return all(bool((part == 1).all()) for part in parts)


def norm_gains(model: Any) -> NormGains:
    """Every gain of a hooked model: `Transformer`, `HookedTransformer` or `TransformerBridge`.

    Args:
        model: a model with `W_O`, and with `blocks` and `ln_final` where it has norms.

    Returns:
        A `NormGains`; all ones for a model without norms.

    Raises:
        ValueError: if the model normalizes the residual stream behind each layer, where the path of one head to the
            logits passes the norms of all later layers.

    Example:
        >>> from grok_interp import Transformer, llama_copier
        >>> model = Transformer(llama_copier(n_layers=2, n_heads=2, d_model=16, d_mlp=32, d_vocab=64, n_ctx=32), seed=0)
        >>> norm_gains(model).before_attention.shape
        torch.Size([2, 16])
    """
    if normalizes_stream(model):
        raise ValueError(
            "gains can be folded where a norm reads the residual stream, and this model normalizes the stream itself "
            "(do_layer_norm_before is False): take norm_gain='ignored'"
        )
    d_model, blocks = model.W_O.shape[-1], list(getattr(model, "blocks", ()))

    def of(norm: Any) -> Tensor:
        return _gain(norm, model, d_model)

    none = torch.ones(0, d_model)
    return NormGains(
        embedding=of(getattr(model, "embed_ln", None)),
        before_attention=torch.stack([of(norm_before_attention(block)) for block in blocks]) if blocks else none,
        after_attention=torch.stack([of(norm_after_attention(block)) for block in blocks]) if blocks else none,
        final=of(final_norm(model)),
    )


def norm_before_attention(block: Any) -> Any:
    """The norm that a layer's heads read through, None if there is none.

    Args:
        block: a layer of the model.
    """
    norm = getattr(block, "ln1", None)
    return None if _is_behind(norm) or _is_on_stream(block) else norm


def norm_after_attention(block: Any) -> Any:
    """The norm between a layer's heads and the residual stream, None if there is none.

    Args:
        block: a layer of the model.
    """
    norm = getattr(block, "ln1", None)
    return norm if _is_behind(norm) else getattr(block, "ln1_post", None)


def final_norm(model: Any) -> Any:
    """The norm that the unembedding reads through, None if there is none.

    Args:
        model: a hooked model.
    """
    norm = getattr(model, "ln_final", None)
    if norm is None and hasattr(model, "project_out"):  # OPT with another embedding width: bridges leave this norm out
        return model.original_model.model.decoder.final_layer_norm
    return norm


def normalizes_stream(model: Any) -> bool:
    """Whether the norms are on the residual stream itself, behind each layer (OPT with do_layer_norm_before=False).

    Args:
        model: a hooked model.
    """
    return any(_is_on_stream(block) for block in getattr(model, "blocks", ()))


def require_linear_path(model: Any) -> None:
    """Raises ValueError where a norm other than the final one is between a head and the logits.

    Args:
        model: a hooked model with `blocks`.
    """
    behind = any(norm_after_attention(block) is not None for block in model.blocks)
    if behind or normalizes_stream(model):
        norm = "a norm behind the attention" if behind else "norms on it (do_layer_norm_before is False)"
        raise ValueError(
            f"the heads of {type(model).__name__} reach the residual stream through {norm}: "
            "their direct contribution to a logit is not defined here; ablate them instead (head_ablation)"
        )


def _is_on_stream(block: Any) -> bool:
    """OPT's word for it; a bridge's block shows what it wraps."""
    return getattr(getattr(block, "original_component", None), "do_layer_norm_before", True) is False


def _is_behind(norm: Any) -> bool:
    return getattr(norm, "name", None) in AFTER_ATTENTION


def _gain(norm: Any, model: Any, d_model: int) -> Float[Tensor, " d_model"]:
    """`w` in TransformerLens and here, `weight` in bridges; plus 1 where a bridge's model applies it so."""
    stored = getattr(norm, "w", None)
    stored = getattr(norm, "weight", None) if stored is None else stored
    if stored is None:
        return torch.ones(d_model)
    return stored.detach().float().cpu() + (1.0 if _is_offset(norm, model) else 0.0)


def _is_offset(norm: Any, model: Any) -> bool:
    """TransformerLens 4 says it of each norm, 3.9 of the model."""
    if not hasattr(norm, "original_component"):
        return False
    of_model = getattr(model.cfg, "rmsnorm_uses_offset", False)
    return bool(getattr(norm, "uses_weight_offset", of_model))
