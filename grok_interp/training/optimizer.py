"""AdamW with two parameter groups, and the learning rate as a function of the step."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from grok_interp.configs import TrainConfig


def build_optimizer(
    parameters: Iterable[nn.Parameter], config: TrainConfig, *, stacked: bool = False
) -> torch.optim.AdamW:
    """Matrices (embeddings included) are decayed; norm gains and biases are not.

    `stacked` parameters have the member of an ensemble as an axis more.
    """
    parameters, axes_of_matrices = list(parameters), 3 if stacked else 2
    matrices = [p for p in parameters if p.dim() >= axes_of_matrices]
    vectors = [p for p in parameters if p.dim() < axes_of_matrices]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        groups, lr=config.learning_rate, betas=config.betas, eps=config.adam_eps, weight_decay=0.0, fused=True
    )


def learning_rate(config: TrainConfig, step: int) -> float:
    """The learning rate of update number `step` (0 is the first).

    With w = warmup_steps, n = n_steps, f0 = warmup_start_factor, f1 = final_factor, as multiples of the peak:
    f0 + (1 - f0) (step + 1) / w below w, then f1 + (1 - f1) (1 + cos(pi (step - w) / (n - w))) / 2.
    """
    peak, warmup, n_steps = config.learning_rate, config.warmup_steps, config.n_steps
    if step < warmup:
        return peak * (config.warmup_start_factor + (1 - config.warmup_start_factor) * (step + 1) / warmup)
    progress = (step - warmup) / max(1, n_steps - warmup)
    return peak * (config.final_factor + (1 - config.final_factor) * (1 + math.cos(math.pi * progress)) / 2)
