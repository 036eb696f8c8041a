"""The ranges of numbers that callers give: in their range, or refused with the range and what came."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Int64
from torch import Tensor

from grok_interp.arguments import whole_number
from grok_interp.data.modular import SPLITS
from grok_interp.models.activations import HookedModel


def require_count(n: object, name: str, *, most: int | None = None) -> None:
    """Raises ValueError for no whole number, for fewer than 1 and for more than there are."""
    if (n := whole_number(n, name)) < 1 or (most is not None and n > most):
        raise ValueError(f"{name} must be {'1 or more' if most is None else f'from 1 to {most}'}, got {n!r}")


def require_head(layer: int, head: int, *, n_layers: int, n_heads: int) -> None:
    """Raises ValueError for a head that the model does not have."""
    if not (0 <= layer < n_layers and 0 <= head < n_heads):
        raise ValueError(f"no head L{layer}H{head}: the model has {n_layers} layers of {n_heads} heads")


def require_layer(layer: int) -> None:
    """Raises ValueError for a layer below 0, which the names of hooks do not have."""
    if layer < 0:
        raise ValueError(f"layer must be 0 or more, got {layer}: layers are counted from 0, the last is n_layers - 1")


def require_splits(splits: object) -> None:
    """Raises ValueError for none, for one twice, and for what is no split."""
    listed = splits if isinstance(splits, Sequence) and not isinstance(splits, str) else ()
    if not listed or len(set(listed)) < len(listed) or not set(listed) <= set(SPLITS):
        raise ValueError(f"splits must be a list of one or more of {', '.join(SPLITS)}, each once, got {splits!r}")


def require_outputs(model: HookedModel, targets: Int64[Tensor, "*batch pos"]) -> None:
    """Raises ValueError for targets that the model has no logit for.

    Args:
        model: its cfg says how many logits it has.
        targets: tokens that are predicted.
    """
    n_outputs = getattr(model.cfg, "d_vocab_out", model.cfg.d_vocab)
    if n_outputs > 0 and (largest := int(targets.max())) >= n_outputs:
        raise ValueError(
            f"targets must be outputs of the model, 0 .. {n_outputs - 1} (d_vocab_out), got token {largest}: output i "
            "is token i"
        )
