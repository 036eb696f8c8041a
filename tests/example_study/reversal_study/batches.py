"""What a step trains on: a function of (seed, step)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from grok_interp.configs import TrainConfig
from grok_interp.training.batches import next_token_loss
from reversal_study.study import ReversalConfig


def sequences(n_sequences: int, data: ReversalConfig, *, seed: int) -> Tensor:
    """batch x pos: a string, the separator, the string reversed."""
    generator = torch.Generator().manual_seed(seed)
    strings = torch.randint(data.n_symbols, (n_sequences, data.length), generator=generator)
    separator = torch.full((n_sequences, 1), data.n_symbols)
    return torch.cat([strings, separator, strings.flip(1)], dim=1)


class ReversalBatches:
    def __init__(self, config: TrainConfig) -> None:
        assert isinstance(config.data, ReversalConfig)
        self.config, self.data = config, config.data
        self.hash = f"reversal of {self.data.length} of {self.data.n_symbols}"
        self.description = f"strings of {self.data.length} of {self.data.n_symbols} symbols, reversed"

    def batch(self, step: int, device: torch.device) -> Tensor:
        seed = self.config.data_seed * self.config.n_steps + step
        return sequences(self.config.batch_size, self.data, seed=seed).to(device)

    def loss(self, model: nn.Module, batch: Tensor) -> Tensor:
        return next_token_loss(model, batch)
