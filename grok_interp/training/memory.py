"""What training keeps in memory, counted with the loop's own functions on tensors that have shapes and no contents."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from jaxtyping import Int64
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from grok_interp.configs import TextConfig, TrainConfig
from grok_interp.models.transformer import Transformer
from grok_interp.training.batches import next_token_loss, open_batches
from grok_interp.training.loop import TrainingState, loss_part
from grok_interp.training.optimizer import take_step

batches_of = lru_cache(maxsize=2)(open_batches)  # of data other than text, which may be large and far away


def bytes_of_training(config: TrainConfig, device: str) -> dict[str, int]:
    """Of weights and moments, and what a micro-batch keeps for its backward pass, as `TrainingPlan` names them."""
    batches = [random_batch(config, n_sequences) for n_sequences in (1, 2)]
    with FakeTensorMode(allow_non_fake_inputs=True), torch.device(device):
        state = TrainingState(config, device=device, model=Transformer(config.model, initialize=False))
        one, two = (kept_bytes(state, batch) for batch in batches)
        for parameter in state.model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        take_step(state.optimizers)
        weights = sum(parameter.nbytes for parameter in state.model.parameters())
        moments = [moment.nbytes for of in state.optimizers for own in of.state.values() for moment in own.values()]
    logits = 2 * 4 * config.model.n_ctx * config.model.d_vocab
    kept = dict(kept_once=2 * one - two, kept_per_sequence=two - one, logits_per_sequence=logits)
    return dict(weights=weights, optimizer=sum(moments), **kept)


def kept_bytes(state: TrainingState, batch: Int64[Tensor, "batch pos"]) -> int:
    """What the loss of a micro-batch keeps for its backward pass, besides parameters; shared storages count once."""
    kept: dict[int, int] = {}  # all are alive until the backward pass, so no two have one address

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss_part(state, batch.to(state.device), loss_of(state.config))
    parameters = {parameter.untyped_storage()._cdata for parameter in state.model.parameters()}
    return sum(n_bytes for storage, n_bytes in kept.items() if storage not in parameters)


def random_batch(config: TrainConfig, n_sequences: int) -> Int64[Tensor, "batch pos"]:
    """Of the shape that is trained on: of text, the token after the context is predicted too."""
    of_text, device = isinstance(config.data, TextConfig), torch.device("cpu")
    n_tokens = config.model.n_ctx + 1 if of_text else batches_of(config).batch(0, device).shape[1]
    generator = torch.Generator().manual_seed(0)
    return torch.randint(config.model.d_vocab, (n_sequences, n_tokens), generator=generator)


def loss_of(config: TrainConfig) -> Callable:
    return next_token_loss if isinstance(config.data, TextConfig) else batches_of(config).loss
