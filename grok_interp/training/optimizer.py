"""AdamW, or Muon on the hidden matrices and AdamW on the rest; the learning rate as a function of the step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from grok_interp.configs import TrainConfig
from grok_interp.training.muon import Muon

FUSED_MATRICES = {"attn.qkv.weight": 3, "mlp.inputs.weight": 2}  # parameter -> matrices in it; one if there is no gate


def build_optimizers(
    named: Iterable[tuple[str, nn.Parameter]], config: TrainConfig, *, stacked: bool = False, half: bool = False
) -> list[torch.optim.Optimizer]:
    """AdamW alone, or [AdamW, Muon]. Matrices (embeddings included) are decayed; norm gains and biases are not.

    Every parameter group has its learning rate at the peak of the schedule as `peak`.

    Args:
        named: (name, parameter) as `Transformer.named_parameters` gives them.
        config: the training run.
        stacked: parameters have the member of an ensemble as an additional first axis.
        half: Newton-Schulz steps in bfloat16.
    """
    named, axes = list(named), 3 if stacked else 2
    hidden = {name: p for name, p in named if config.optimizer == "muon" and is_hidden_matrix(name, p.dim(), axes)}
    optimizers: list[torch.optim.Optimizer] = [_adamw([p for name, p in named if name not in hidden], config, axes)]
    if hidden:
        slices = {p: n_matrices(name, gated=config.model.gated_mlp) for name, p in hidden.items()}
        dtype = torch.bfloat16 if half else torch.float32
        rate, momentum = config.muon_learning_rate or 0.0, config.muon_momentum
        optimizers.append(Muon(slices, lr=rate, momentum=momentum, weight_decay=config.weight_decay, dtype=dtype))
    for group in (group for optimizer in optimizers for group in optimizer.param_groups):
        group["peak"] = group["lr"]
        if group["params"][0].is_cuda:
            group["lr"] = torch.tensor(group["peak"], device=group["params"][0].device)
    return optimizers


def is_hidden_matrix(name: str, n_axes: int, axes_of_matrices: int = 2) -> bool:
    """A matrix inside a block: neither an embedding nor a gain or bias.

    Args:
        name: of the parameter.
        n_axes: of the parameter.
        axes_of_matrices: of a matrix: 2, and one more where it is stacked for all members of an ensemble.
    """
    return name.startswith("blocks.") and n_axes == axes_of_matrices


def n_matrices(name: str, *, gated: bool) -> int:
    """How many of the model's matrices one parameter holds, as equal row slices.

    Args:
        name: of a parameter of the model.
        gated: whether the MLP has a gate.
    """
    fused = next((n for suffix, n in FUSED_MATRICES.items() if name.endswith(suffix)), 1)
    return 1 if name.endswith("mlp.inputs.weight") and not gated else fused


def _adamw(parameters: Sequence[nn.Parameter], config: TrainConfig, axes_of_matrices: int) -> torch.optim.AdamW:
    matrices = [p for p in parameters if p.dim() >= axes_of_matrices]
    vectors = [p for p in parameters if p.dim() < axes_of_matrices]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        groups,
        lr=config.learning_rate,
        betas=config.betas,
        eps=config.adam_eps,
        weight_decay=0.0,
        fused=True,
        capturable=parameters[0].is_cuda,  # by a CUDA graph
    )


def schedule_factor(config: TrainConfig, step: int) -> float:
    """The learning rate of update number `step` (0 is the first), as a multiple of its peak.

    With w = warmup_steps, n = n_steps, f0 = warmup_start_factor, f1 = final_factor:
    f0 + (1 - f0) (step + 1) / w below w, then f1 + (1 - f1) (1 + cos(pi (step - w) / (n - w))) / 2.

    Args:
        config: of the run.
        step: from 0.
    """
    warmup, n_steps = config.warmup_steps, config.n_steps
    if step < warmup:
        return config.warmup_start_factor + (1 - config.warmup_start_factor) * (step + 1) / warmup
    progress = (step - warmup) / max(1, n_steps - warmup)
    return config.final_factor + (1 - config.final_factor) * (1 + math.cos(math.pi * progress)) / 2


def set_learning_rates(optimizers: Sequence[torch.optim.Optimizer], factor: float) -> None:
    """`factor` times the peak rates. On a GPU they are in tensors, which a CUDA graph reads anew each time.

    Args:
        optimizers: of `build_optimizers`.
        factor: of the schedule.
    """
    for group in (group for optimizer in optimizers for group in optimizer.param_groups):
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(group["peak"] * factor)
        else:
            group["lr"] = group["peak"] * factor


def take_step(optimizers: Sequence[torch.optim.Optimizer]) -> None:
    """Update with the gradients as they are; then drop the gradients.

    Args:
        optimizers: of `build_optimizers`.
    """
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def clip_each(weights: Sequence[nn.Parameter], max_norm: float | None) -> Float[Tensor, " member"]:
    """As torch.nn.utils.clip_grad_norm_, for each member by itself; the norms before.

    Args:
        weights: stacked, the member as the first axis; their gradients are scaled in place.
        max_norm: the largest norm of a member's gradient; None for no limit.
    """
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)
    if max_norm is not None:
        factors = (max_norm / (norms + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(factors.view(-1, *[1] * (gradient.dim() - 1)))
    return norms
