"""Attention windows that are too short for what a score looks at: its heads score 0 whatever they have learned."""

from __future__ import annotations

import warnings

import torch
from jaxtyping import Bool
from torch import Tensor

from grok_interp.models.activations import HookedModel
from grok_interp.models.attention_windows import attention_windows


def nearest_target(targets: Bool[Tensor, "batch query key"]) -> int:
    """Over all queries that have a target, the largest distance to the nearest one; 0 if no query has a target."""
    keys = torch.arange(targets.shape[-1])
    latest = torch.where(targets, keys, -1).amax(dim=-1)
    distances = (keys - latest)[latest >= 0]
    return int(distances.max()) if distances.numel() else 0


def warn_of_short_windows(model: HookedModel, distance: int) -> None:
    """Warn when some layers cannot attend over a distance, so that their heads have no attention there."""
    windows = attention_windows(model)
    if short := {layer: window for layer, window in enumerate(windows) if window is not None and window <= distance}:
        layers = ", ".join(f"{layer} (window {window})" for layer, window in short.items())
        warnings.warn(
            f"targets are up to {distance} tokens back, and these layers see less: {layers}; their heads have no "
            "attention there, whatever they have learned: take repeated tokens with shorter halves to measure them",
            stacklevel=3,
        )
