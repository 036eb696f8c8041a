"""What training costs on this machine: memory and time, measured with the loop's own functions on random tokens.

A micro-batch of n sequences keeps a + n b bytes for its backward pass: b for each sequence, and a once (the rotary
tables; under autocast the weights' bfloat16 copies). Passes over one and two short sequences give a, one over a whole
sequence gives b. Parameters are left out; a storage that several tensors share counts once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from grok_interp.configs import TextConfig, TrainConfig
from grok_interp.training.batches import answer_loss, next_token_loss
from grok_interp.training.loop import TrainingState, add_gradient, loss_share, update_weights

SHORT = 6  # tokens of a short sequence: two examples x y z of modular arithmetic
TIMING_SECONDS = 1.0  # what is quicker is timed again and again for as long
CPU_OPERATIONS = 2e11  # the sequences timed on a CPU cost about as many: seconds on a slow one
GPU_SHARE = 0.8  # the sequences timed on a GPU take at most this share of its free memory


@dataclass(frozen=True, kw_only=True)
class TrainingCosts:
    """Bytes and seconds. Reading text and writing checkpoints are left out."""

    weights: int
    optimizer: int
    kept_once: int  # for the backward pass of a micro-batch
    kept_per_sequence: int  # and for each of its sequences
    logits_per_sequence: int  # where forward turns into backward: the logits in float32, and their gradient
    seconds_per_sequence: float  # forward and backward
    seconds_per_update: float  # clipping and the optimizer
    n_timed: int  # sequences that were timed together

    @property
    def gradients(self) -> int:
        return self.weights

    @property
    def per_sequence(self) -> int:
        return self.kept_per_sequence + self.logits_per_sequence

    def activations(self, micro_batch_size: int) -> int:
        return self.kept_once + micro_batch_size * self.per_sequence

    def memory(self, micro_batch_size: int) -> int:
        """The most that training needs at a time."""
        return self.weights + self.gradients + self.optimizer + self.activations(micro_batch_size)


def training_costs(state: TrainingState, *, compiled: bool = False) -> TrainingCosts:
    """Measured by training `state` on random tokens. The caller's random state stays as it was."""
    model = state.config.model
    logits = 2 * 4 * model.n_ctx * model.d_vocab
    with torch.random.fork_rng():  # attention dropout draws from torch's global generator
        kept_once, kept = _kept_bytes(state)
        update_seconds = _update_seconds(state)
        n_timed = _n_timed(state, kept + logits)
        sequence_seconds = _pass_seconds(state, n_timed, compiled) / n_timed
    return TrainingCosts(
        weights=_n_bytes(state.model.parameters()),
        optimizer=_n_bytes(tensor for moments in _moments(state) for tensor in moments.values()),
        kept_once=kept_once,
        kept_per_sequence=kept,
        logits_per_sequence=logits,
        seconds_per_sequence=sequence_seconds,
        seconds_per_update=update_seconds,
        n_timed=n_timed,
    )


def kept_bytes(state: TrainingState, batch: Int64[Tensor, "batch pos"]) -> int:
    """What the loss of a micro-batch keeps for its backward pass."""
    parameters = {parameter.untyped_storage()._cdata for parameter in state.model.parameters()}
    kept: dict[int, int] = {}  # all are alive until the backward pass, so no two have one address

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss_share(state, batch.to(state.device), _loss(state.config))
    return sum(n_bytes for address, n_bytes in kept.items() if address not in parameters)


def random_batch(config: TrainConfig, n_sequences: int, n_tokens: int | None = None) -> Int64[Tensor, "batch pos"]:
    """Of the shape that is trained on: of text, the token after the context is predicted too."""
    after = 1 if isinstance(config.data, TextConfig) else 0
    shape = (n_sequences, min(n_tokens or config.model.n_ctx, config.model.n_ctx) + after)
    return torch.randint(config.model.d_vocab, shape, generator=torch.Generator().manual_seed(0))


def _loss(config: TrainConfig) -> Callable:
    return next_token_loss if isinstance(config.data, TextConfig) else answer_loss


def _kept_bytes(state: TrainingState) -> tuple[int, int]:
    """(once, for each sequence)."""
    one, two = (kept_bytes(state, random_batch(state.config, n, SHORT)) for n in (1, 2))
    once = 2 * one - two
    return once, kept_bytes(state, random_batch(state.config, 1)) - once


def _n_timed(state: TrainingState, sequence_bytes: int) -> int:
    """As many sequences as show the speed of a whole micro-batch, and as memory and patience allow."""
    config = state.config
    if state.device.type == "cuda":
        enough = GPU_SHARE * torch.cuda.mem_get_info(state.device)[0] / sequence_bytes
    else:  # 6 operations for each parameter and token
        enough = CPU_OPERATIONS / (6 * config.model.n_params * config.model.n_ctx)
    return max(1, min(config.micro_batch_size or config.batch_size, int(enough)))


def _update_seconds(state: TrainingState) -> float:
    batch, began = random_batch(state.config, 1, SHORT).to(state.device), 0.0
    for _ in range(2):  # the first also makes the optimizer's tensors
        add_gradient(state, batch, _loss(state.config))
        began = _now(state)
        update_weights(state, 1.0)
    return _now(state) - began


def _pass_seconds(state: TrainingState, n_sequences: int, compiled: bool) -> float:
    batch, loss = random_batch(state.config, n_sequences).to(state.device), _loss(state.config)
    if compiled:
        loss = torch.compile(loss)
    if compiled or state.device.type != "cpu":
        add_gradient(state, batch, loss)  # the first pass also compiles, or chooses kernels
    began, n_passes = _now(state), 0
    while n_passes == 0 or _now(state) - began < TIMING_SECONDS:
        add_gradient(state, batch, loss)
        n_passes += 1
    return (_now(state) - began) / n_passes


def _now(state: TrainingState) -> float:
    """The time, when the device has done all that it was given."""
    if state.device.type != "cpu":
        torch.accelerator.synchronize(state.device)
    return time.perf_counter()


def _moments(state: TrainingState) -> Iterator[dict[str, Tensor]]:
    for optimizer in state.optimizers:
        yield from optimizer.state.values()


def _n_bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)
