"""Two algorithms for in-context modular arithmetic (B.4 of "Learning to grok"), exact over Z_p.

Given k examples (x_i, y_i, z_i) of one task, and a query (x, y):

Ratio Matching      if some c and i have c (x_i, y_i) = (x, y), answer c z_i. Solves the lines through the origin that
                    the examples lie on: 1 + (p - 1) * (number of distinct lines) of the p^2 queries.
Modular Regression  if sum_i c_i (x_i, y_i) = (x, y), answer sum_i c_i z_i. Solves every query once two examples are not
                    parallel, and before that what Ratio Matching solves.

c runs over 0 .. p - 1, so (0, 0) is solved by any example; Modular Regression solves it by the empty sum even without
one. With examples that contradict each other the answer is the earliest example's (Ratio Matching), or that of the
first two examples that are not parallel (Modular Regression). So more examples solve more queries and change no answer:
how many a query needs tells everything about all numbers of examples at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int64
from torch import Tensor
from torch.nn.functional import pad

from grok_interp.arguments import checked
from grok_interp.configs.modular import is_prime
from grok_interp.data.modular import numbers_of


@dataclass(frozen=True)
class Solution:
    """`needed[..., x, y]`: the first how many examples answer this query? One more than there are if all do not.

    `answer[..., x, y]` is what the algorithm answers, 0 where the query is not solved.
    """

    needed: Int64[Tensor, "*context x y"]
    answer: Int64[Tensor, "*context x y"]
    n_examples: int

    @property
    def solved(self) -> Bool[Tensor, "*context x y"]:
        return self.after(self.n_examples)

    def after(self, k: int) -> Bool[Tensor, "*context x y"]:
        """Is the query solved by the first k examples alone?

        Args:
            k: a number of examples, from 0.
        """
        return self.needed <= k


@checked
def ratio_matching(examples: object, p: int) -> Solution:
    """Which queries Ratio Matching solves in every context, and its answers.

    Args:
        examples: *context x k x 3 whole numbers (x, y, z) of Z_p: a tensor, an array, or nested lists or tuples.
        p: the modulus, a prime.

    Returns:
        How many examples each of the p^2 queries needs, and its answer.

    Raises:
        ValueError: if p is not prime, or examples are not rows of three numbers of Z_p.

    Example:
        >>> int(ratio_matching([(1, 27, 14)], 29).solved.sum())
        29
    """
    examples = _examples(examples, p)
    k = examples.shape[-2]
    c = torch.arange(p, device=examples.device)
    multiples = examples.unsqueeze(-1) * c % p  # *context k 3 c
    cell = (multiples[..., 0, :] * p + multiples[..., 1, :]).flatten(-2)
    unsolved = k * p
    order = torch.arange(unsolved, device=examples.device).expand(cell.shape)
    first = torch.full((*cell.shape[:-1], p * p), unsolved, device=examples.device)
    first = first.scatter_reduce(-1, cell, order, reduce="amin")  # the earliest example, then the smallest c
    answers = pad(multiples[..., 2, :].flatten(-2), (0, 1))  # 0 where unsolved
    answer = answers.gather(-1, first)
    return Solution((first // p + 1).unflatten(-1, (p, p)), answer.unflatten(-1, (p, p)), k)


@checked
def modular_regression(examples: object, p: int) -> Solution:
    """Which queries Modular Regression solves in every context, and its answers.

    Args:
        examples: *context x k x 3 whole numbers (x, y, z) of Z_p: a tensor, an array, or nested lists or tuples.
        p: the modulus, a prime.

    Returns:
        How many examples each of the p^2 queries needs, and its answer.

    Raises:
        ValueError: if p is not prime, or examples are not rows of three numbers of Z_p.

    Example:
        >>> int(modular_regression([(1, 27, 14), (0, 1, 3)], 29).solved.sum())
        841
    """
    examples = _examples(examples, p)
    u, n_for_u = _first(examples, (examples[..., :2] != 0).any(dim=-1))
    v, n_for_v = _first(examples, _cross(u.unsqueeze(-2), examples) % p != 0)
    line = ratio_matching(u.unsqueeze(-2), p)  # all that can be said before v is known
    grid = torch.cartesian_prod(*[torch.arange(p, device=examples.device)] * 2).unflatten(0, (p, p))
    u, v = u[..., None, None, :], v[..., None, None, :]
    c_u, c_v = (numerator * _inverse(_cross(u, v), p) for numerator in (_cross(grid, v), _cross(u, grid)))
    by_both = (c_u * u[..., 2] + c_v * v[..., 2]) % p
    needed = torch.where(line.solved, n_for_u[..., None, None], n_for_v[..., None, None])
    needed[..., 0, 0] = 0  # the empty sum
    return Solution(needed, torch.where(line.solved, line.answer, by_both), examples.shape[-2])


def _cross(u: Tensor, v: Tensor) -> Tensor:
    """The determinant of two (x, y, ...) vectors: 0 modulo p when they are parallel."""
    return u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]


def _first(
    examples: Int64[Tensor, "*context k 3"], wanted: Bool[Tensor, "*context k"]
) -> tuple[Int64[Tensor, "*context 3"], Int64[Tensor, "*context"]]:
    """The earliest example that is wanted, and how many there are up to it; zeros and k + 1 when none is."""
    index = pad(wanted, (0, 1), value=True).long().argmax(dim=-1)
    or_zeros = pad(examples, (0, 0, 0, 1))
    return or_zeros.gather(-2, index[..., None, None].expand(*index.shape, 1, 3)).squeeze(-2), index + 1


def _inverse(value: Tensor, p: int) -> Tensor:
    """1 / value in Z_p; 0 for 0."""
    inverses = [0] + [pow(number, -1, p) for number in range(1, p)]
    return torch.tensor(inverses, device=value.device)[value % p]


def _examples(examples: object, p: int) -> Int64[Tensor, "*context k 3"]:
    if not is_prime(p):
        raise ValueError(f"p must be prime, got {p}: without inverses neither algorithm is defined")
    return numbers_of(examples, p, width=3, name="examples")
