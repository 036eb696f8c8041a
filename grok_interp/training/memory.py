"""What training keeps in memory, counted with the loop's own functions on tensors that have shapes and no contents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch
from jaxtyping import Int64
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from grok_interp.configs import TextConfig, TrainConfig
from grok_interp.configs.data import Batches
from grok_interp.models.transformer import Transformer
from grok_interp.training.batches import next_token_loss, open_batches
from grok_interp.training.loop import TrainingState, loss_part
from grok_interp.training.optimizer import take_step


def bytes_of_training(config: TrainConfig, device: str) -> list[int]:
    """Of weights, of moments, and what a micro-batch of one and of two sequences keeps for its backward pass."""
    batches = [random_batch(config, n_sequences) for n_sequences in (1, 2)]
    with without_contents(config, device) as state:
        kept = [kept_bytes(state, batch) for batch in batches]
        return [sum(parameter.nbytes for parameter in state.model.parameters()), _moments(state), *kept]


@contextmanager
def without_contents(config: TrainConfig, device: str) -> Iterator[TrainingState]:
    """A state whose tensors take no memory; nor do those that are computed from them meanwhile."""
    with FakeTensorMode(allow_non_fake_inputs=True), torch.device(device):
        yield TrainingState(config, device=device, model=Transformer(config.model, initialize=False))


def kept_bytes(state: TrainingState, batch: Int64[Tensor, "batch pos"]) -> int:
    """What the loss of a micro-batch keeps for its backward pass, besides parameters; shared storages count once."""
    kept: dict[int, int] = {}  # all are alive until the backward pass, so no two have one address

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss_part(state, batch.to(state.device), loss_of(state.config))
    for parameter in state.model.parameters():
        kept.pop(parameter.untyped_storage()._cdata, None)
    return sum(kept.values())


def _moments(state: TrainingState) -> int:
    """Bytes that the optimizers keep from one update to the next."""
    for parameter in state.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    take_step(state.optimizers)
    states = [own for optimizer in state.optimizers for own in optimizer.state.values()]
    return sum(moment.nbytes for own in states for moment in own.values())


def random_batch(config: TrainConfig, n_sequences: int) -> Int64[Tensor, "batch pos"]:
    """Of the shape that is trained on: of text, the token after the context is predicted too."""
    of_text, device = isinstance(config.data, TextConfig), torch.device("cpu")
    n_tokens = config.model.n_ctx + 1 if of_text else batches_of(config).batch(0, device).shape[1]
    generator = torch.Generator().manual_seed(0)
    return torch.randint(config.model.d_vocab, (n_sequences, n_tokens), generator=generator)


def loss_of(config: TrainConfig) -> Callable:
    return next_token_loss if isinstance(config.data, TextConfig) else batches_of(config).loss


@lru_cache(maxsize=2)
def batches_of(config: TrainConfig) -> Batches:
    """Of data other than text, which may be large and far away."""
    return open_batches(config)
