"""The heads that each condition of an ablation leaves out, draw by draw."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from grok_interp.analysis.ablation_arguments import Head
from grok_interp.analysis.ablation_controls import (
    attention_entropies,
    entropy_controls,
    n_control_sets,
    random_controls,
)
from grok_interp.data.copying import CopySamples
from grok_interp.models.activations import HookedModel

CONTROLS = ["random", "entropy"]
CONDITIONS = ["intact", "ablated", *CONTROLS]
Cell = tuple[tuple[Head, ...], int] | None  # heads, seed of their donors; None where controls are missing


def cells(conditions: Sequence[Sequence[tuple[Head, ...] | None]], *, resampled: bool, seed: int) -> list[list[Cell]]:
    """condition x draw. Under resample the donors differ by draw."""
    return [
        [
            None if heads is None else (heads, seed + draw if heads and resampled else seed)
            for draw, heads in enumerate(draws)
        ]
        for draws in conditions
    ]


def drawn_conditions(
    model: HookedModel, samples: CopySamples, heads: Sequence[Head], *, n_draws: int, seed: int, spared: Sequence[Head]
) -> Sequence[Sequence[tuple[Head, ...] | None]]:
    """condition x draw: the heads to ablate; None where too few are left."""
    intact_and_ablated = [[()] * n_draws, [tuple(heads)] * n_draws]
    n_layers, n_heads = model.cfg.n_layers, model.cfg.n_heads
    if not n_control_sets(heads, spared, n_heads, n_layers):
        return [*intact_and_ablated, [None] * n_draws, [None] * n_draws]
    random = random_controls(heads, n_heads=n_heads, n_draws=n_draws, seed=seed, spared=spared, n_layers=n_layers)
    tokens = torch.cat([samples.context, samples.query(samples.task.queries[0])], dim=1)
    nearest = entropy_controls(heads, attention_entropies(model, tokens), spared=spared)
    return [*intact_and_ablated, random, [nearest] * n_draws]
