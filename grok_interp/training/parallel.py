"""The gradient of a micro-batch in parts, each on a thread of its own.

torch's own threads share each operation, and wait for each other after it. The operations of a small model are so short
that a second thread gains a fifth, and costs ten times on a busy machine. Here each thread does the whole forward and
backward pass of its part of the sequences, and they wait for each other once a step. The parts are added in a fixed
order, so a run gives the same bits however the threads are scheduled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, reduce

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from grok_interp.configs import TrainConfig
from grok_interp.device import choose_threads, is_small


def choose_parts(config: TrainConfig, device: torch.device) -> int:
    """2 for small models on a CPU where torch may use several threads and $OMP_NUM_THREADS is not set, otherwise 1.

    Two whatever the number of cores, because the number of parts decides how sums are rounded. Dropout draws from one
    random state in the order of the sequences, so with it they are computed whole.
    """
    shared = torch.get_num_threads() > 1 and choose_threads(config.model.n_params) == 1
    whole = device.type != "cpu" or config.model.attn_dropout > 0 or config.sequences_at_once < 2
    return 2 if shared and is_small(config.model.n_params) and not whole else 1


def add_gradient(
    loss_of: Callable[[Int64[Tensor, "part pos"]], Float[Tensor, ""]],
    parts: Sequence[Int64[Tensor, "part pos"]],
    weights: Sequence[nn.Parameter],
) -> Float[Tensor, ""]:
    """Add the gradient of the summed losses of the parts to the weights' gradients; the sum of the losses.

    Args:
        loss_of: a part's share of the loss; it is called on several threads at once.
        parts: of one micro-batch; one part is computed on the caller's thread alone.
        weights: that the loss depends on.
    """

    def gradient(part: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        loss = loss_of(part)
        return loss.detach(), torch.autograd.grad(loss, weights)

    if len(parts) == 1:
        loss = loss_of(parts[0])
        loss.backward()
        return loss.detach()
    others = [_threads().submit(gradient, part) for part in parts[1:]]
    losses, gradients = zip(gradient(parts[0]), *(other.result() for other in others), strict=True)
    for weight, own in zip(weights, zip(*gradients, strict=True), strict=True):
        total = reduce(torch.add, own)
        weight.grad = total if weight.grad is None else weight.grad.add_(total)
    return torch.stack(losses).sum()


@cache
def _threads() -> ThreadPoolExecutor:
    """Of this process, for the parts after the first."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="gradient")
