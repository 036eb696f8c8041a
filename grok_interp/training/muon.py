"""Muon (Jordan et al. 2024): momentum whose every update is replaced by a nearly orthogonal matrix.

    M <- mu M + (1 - mu) G;    U = mu M + (1 - mu) G;    W <- (1 - lr wd) W - lr sqrt(max(1, out / in)) NS(U)

NS is five Newton-Schulz steps towards U (U^T U)^(-1/2), whose singular values are all 1. The equations are those of
`torch.optim.Muon`. That class takes a parameter for one matrix, but `Transformer` keeps W_Q, W_K and W_V in one
parameter, and W_gate and W_in in another. Here each such row slice is orthogonalized alone. Slices of equal shape, from
all layers, share one batched matrix product.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic polynomial, chosen by Jordan et al. for its slope at 0
N_ITERATIONS = 5
SMALLEST_NORM = 1e-7


class Muon(torch.optim.Optimizer):
    """Muon on matrices of shape [*, out, in]; leading axes (the members of an ensemble) are further matrices.

    Args:
        slices: parameter -> the number of equal row slices that are orthogonalized alone.
        lr: the learning rate, before the factor sqrt(max(1, out / in)) of each slice.
        momentum: mu, in [0, 1).
        weight_decay: wd, decoupled as in AdamW.
        dtype: of the Newton-Schulz steps; torch.optim.Muon takes bfloat16.
    """

    def __init__(
        self,
        slices: Mapping[nn.Parameter, int],
        *,
        lr: float,
        momentum: float,
        weight_decay: float,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        by_number: dict[int, list[nn.Parameter]] = defaultdict(list)
        for parameter, n_slices in slices.items():
            by_number[n_slices].append(parameter)
        groups = [{"params": parameters, "n_slices": n_slices} for n_slices, parameters in by_number.items()]
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.dtype = dtype

    @torch.no_grad()
    def step(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] (the loop makes the gradient itself)
        """One update with the gradients as they are."""
        wide: dict[torch.Size, list[tuple[nn.Parameter, dict[str, Any], Tensor]]] = defaultdict(list)
        for group in self.param_groups:
            for parameter, update in self._updates(group):
                slices = _wide(update.unflatten(-2, (group["n_slices"], -1)))
                wide[slices.shape[-2:]].append((parameter, group, slices))
        for entries in wide.values():
            self._apply(entries)

    def _updates(self, group: dict[str, Any]) -> list[tuple[nn.Parameter, Tensor]]:
        """(parameter, Nesterov momentum) of each parameter with a gradient."""
        updates = []
        for parameter in (p for p in group["params"] if p.grad is not None):
            state = self.state[parameter]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(parameter)
            buffer = state["momentum_buffer"]
            buffer.lerp_(parameter.grad, 1 - group["momentum"])
            updates.append((parameter, parameter.grad.lerp(buffer, group["momentum"])))
        return updates

    def _apply(self, entries: list[tuple[nn.Parameter, dict[str, Any], Tensor]]) -> None:
        """One update of parameters whose slices have one shape, turned so that they are at least as wide as high."""
        flat = [slices.flatten(0, -3) for _, _, slices in entries]
        directions = orthogonalized(torch.cat(flat).to(self.dtype)).split([len(part) for part in flat])
        for (parameter, group, slices), direction in zip(entries, directions, strict=True):
            rows, columns = parameter.shape[-2] // group["n_slices"], parameter.shape[-1]
            whole = direction.view(slices.shape)
            whole = (whole.mT if rows > columns else whole).flatten(-3, -2)
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            rate = group["lr"] * max(1.0, rows / columns) ** 0.5
            parameter.sub_(whole * rate) if isinstance(rate, Tensor) else parameter.sub_(whole, alpha=rate)


def _wide(matrices: Float[Tensor, "*of out in"]) -> Tensor:
    return matrices.mT if matrices.shape[-2] > matrices.shape[-1] else matrices


def orthogonalized(matrices: Float[Tensor, "matrix row column"]) -> Float[Tensor, "matrix row column"]:
    """Newton-Schulz steps on matrices at least as wide as high; singular values are then roughly 0.7 to 1.2.

    Args:
        matrices: of any scale.
    """
    a, b, c = COEFFICIENTS
    x = matrices / matrices.norm(dim=(-2, -1), keepdim=True).clamp(min=SMALLEST_NORM)
    for _ in range(N_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x
