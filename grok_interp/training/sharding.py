"""Weights, gradients and moments divided among the processes of a run, with torch's FSDP2 (`fully_shard`).

Each process keeps a part of every tensor. The weights of a block are gathered while it computes, and the gradients of
each micro-batch are added up in parts. What is written is whole, with the names and shapes of one process: it is
gathered tensor by tensor into the memory of the first process. All processes must call these functions, in one order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, distributed, nn

from grok_interp.configs import TrainConfig
from grok_interp.models.transformer import Transformer


def require_shardable(config: TrainConfig, *, own_optimizer: bool) -> None:
    """Raises ValueError for what needs whole weights on each process.

    Args:
        config: of the run.
        own_optimizer: does an optimizer of the caller's update the weights?
    """
    needs_whole = {
        "Muon": config.optimizer == "muon",
        "an own optimizer": own_optimizer,
        "interventions": bool(config.intervene),
        "float16 with its loss scaling": config.precision == "float16",
    }
    if found := [name for name, is_used in needs_whole.items() if is_used]:
        raise ValueError(
            f"a model that is divided among processes cannot be trained with {', '.join(found)}: train it without "
            "sharding, which keeps all weights on every process, or with AdamW in float32 or bfloat16"
        )


def shard(model: nn.Module) -> None:
    """Divide a model's parameters among all processes of the group, block by block."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    device = next(model.parameters()).device
    mesh = init_device_mesh(device.type, (distributed.get_world_size(),))
    for part in (*cast(Iterable[nn.Module], model.blocks), model):
        fully_shard(part, mesh=mesh, reshard_after_forward=True)


def has_finite_parts(model: nn.Module) -> bool:
    """Is no weight NaN or infinite, on any process?"""
    parts = [cast(Any, weight).to_local() for weight in model.parameters()]
    wrong = torch.stack([(~part.isfinite()).any() for part in parts]).sum()
    distributed.all_reduce(wrong)
    return not wrong


def whole(state: Any, *, keep: bool) -> Any:
    """A state whose tensors are whole and on the CPU.

    Args:
        state: tensors that are divided, others, and containers of them.
        keep: False where this process only gives its parts: it gets None in place of each tensor.
    """

    def gathered(tensor: Tensor) -> Tensor | None:
        full = cast(Any, tensor).full_tensor() if hasattr(tensor, "full_tensor") else tensor
        return full.cpu() if keep else None

    return _mapped(gathered, state)


def outline(state: Any) -> Any:
    """What the other processes need of a whole state to get their parts of it: shapes for tensors, and all else."""
    return _mapped(lambda tensor: tensor.to("meta") if tensor.dim() else tensor, state)


def divided(state: Mapping[str, Any], model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, Any]:
    """The part of this process in a training state that the first process has whole, and the others in outline."""
    own = model.state_dict()
    weights = {name: _part(tensor, own[name]) for name, tensor in state["model"].items()}
    parts = [_moments(saved, optimizer) for saved, optimizer in zip(state["optimizers"], optimizers, strict=True)]
    return {**state, "model": weights, "optimizers": parts}


def _moments(saved: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Of one optimizer: they are divided as the parameter is that they belong to."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]

    def parts(number: int, moments: Mapping[str, Any]) -> dict[str, Any]:
        like = parameters[number]
        return {name: _part(value, like) if _has_axes(value) else value for name, value in moments.items()}

    return {**saved, "state": {number: parts(number, moments) for number, moments in saved["state"].items()}}


def _has_axes(value: object) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0


def _part(tensor: Tensor, like: Any) -> Tensor:
    """Of the tensor that the first process has, this process's part, divided as `like` is."""
    from torch.distributed.tensor import distribute_tensor

    given = torch.empty_like(tensor, device=like.device) if tensor.is_meta else tensor.to(like.device)
    return distribute_tensor(given, like.device_mesh, like.placements)


def whole_model(config: TrainConfig, model: nn.Module, *, keep: bool) -> Transformer | None:
    """A copy on the CPU; None where this process only gives its parts."""
    weights = whole(model.state_dict(), keep=keep)
    if not keep:
        return None
    copied = Transformer(config.model, initialize=False)
    copied.load_state_dict(weights)
    return copied


def _mapped(change: Callable[[Tensor], Any], value: Any) -> Any:
    """The same containers, each tensor changed."""
    if isinstance(value, Mapping):
        return {key: _mapped(change, each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_mapped(change, each) for each in value)
    return change(value) if isinstance(value, Tensor) else value
