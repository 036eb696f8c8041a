"""Two algorithms for in-context modular arithmetic (B.4 of "Learning to grok"), exact over Z_p.

Given k examples (x_i, y_i, z_i) of one task, and a query (x, y):

Ratio Matching      if some c and i have c (x_i, y_i) = (x, y), answer c z_i. Solves the lines through the origin that
                    the examples lie on: 1 + (p - 1) * (number of distinct lines) of the p^2 queries.
Modular Regression  if sum_i c_i (x_i, y_i) = (x, y), answer sum_i c_i z_i. Solves every query once two examples are not
                    parallel, and before that what Ratio Matching solves.

c runs over 0 .. p - 1, so (0, 0) is solved by any example; Modular Regression solves it by the empty sum even without
one. With examples that contradict each other the answer is the earliest example's (Ratio Matching), or that of the
first two examples that are not parallel (Modular Regression).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from grok_interp.configs.modular import is_prime


@dataclass(frozen=True)
class Solution:
    """`solved[..., x, y]`: does the algorithm answer this query? `answer[..., x, y]`: what; 0 where it does not."""

    solved: Bool[Tensor, "*context x y"]
    answer: Int64[Tensor, "*context x y"]


def ratio_matching(examples: Int64[Tensor, "*context k 3"], p: int) -> Solution:
    """Every query of every context. Raises ValueError when p is no prime or an example is outside Z_p."""
    _require_examples(examples, p)
    k = examples.shape[-2]
    c = torch.arange(p, device=examples.device)
    multiples = examples.unsqueeze(-1) * c % p  # *context k 3 c
    cell = (multiples[..., 0, :] * p + multiples[..., 1, :]).flatten(-2)
    unsolved = k * p
    order = torch.arange(unsolved, device=examples.device).expand(cell.shape)
    first = torch.full((*cell.shape[:-1], p * p), unsolved, device=examples.device)
    first = first.scatter_reduce(-1, cell, order, reduce="amin")  # the earliest example, then the smallest c
    solved = first < unsolved
    answer = multiples[..., 2, :].flatten(-2).gather(-1, first.clamp(max=max(unsolved - 1, 0))) if k else first * 0
    return Solution(solved.unflatten(-1, (p, p)), torch.where(solved, answer, 0).unflatten(-1, (p, p)))


def modular_regression(examples: Int64[Tensor, "*context k 3"], p: int) -> Solution:
    """Every query of every context. Raises ValueError when p is no prime or an example is outside Z_p."""
    _require_examples(examples, p)
    u = _first(examples, (examples[..., :2] != 0).any(dim=-1))
    v = _first(examples, _cross(u.unsqueeze(-2), examples) % p != 0)
    line = ratio_matching(u.unsqueeze(-2), p)  # all that can be said when the examples are parallel
    grid = torch.cartesian_prod(*[torch.arange(p, device=examples.device)] * 2).unflatten(0, (p, p))
    u, v = u[..., None, None, :], v[..., None, None, :]
    determinant = _cross(u, v) % p
    c_u, c_v = (numerator * _inverse(determinant, p) for numerator in (_cross(grid, v), _cross(u, grid)))
    by_both = (c_u * u[..., 2] + c_v * v[..., 2]) % p
    independent = determinant != 0
    return Solution(independent | line.solved, torch.where(independent, by_both, line.answer))


def _cross(u: Tensor, v: Tensor) -> Tensor:
    """The determinant of two (x, y, ...) vectors: 0 modulo p when they are parallel."""
    return u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]


def _first(examples: Int64[Tensor, "*context k 3"], wanted: Bool[Tensor, "*context k"]) -> Int64[Tensor, "*context 3"]:
    """The earliest example that is wanted; zeros when none is."""
    if examples.shape[-2] == 0:
        return examples.new_zeros(*examples.shape[:-2], 3)
    index = wanted.long().argmax(dim=-1)[..., None, None].expand(*examples.shape[:-2], 1, 3)
    return torch.where(wanted.any(dim=-1, keepdim=True), examples.gather(-2, index).squeeze(-2), 0)


def _inverse(value: Tensor, p: int) -> Tensor:
    """1 / value in Z_p; 0 for 0."""
    inverses = [0] + [pow(number, -1, p) for number in range(1, p)]
    return torch.tensor(inverses, device=value.device)[value % p]


def _require_examples(examples: Tensor, p: int) -> None:
    if not is_prime(p):
        raise ValueError(f"p must be prime, got {p}: without inverses neither algorithm is defined")
    if examples.numel() and not (int(examples.min()) >= 0 and int(examples.max()) < p):
        raise ValueError(f"examples must be within 0..{p - 1}, got {int(examples.min())}..{int(examples.max())}")
