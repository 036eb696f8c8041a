"""Discrete logarithms modulo a prime p: the numbers 1 .. p - 1 in the order in which multiplying runs through them.

A primitive root g is a number whose powers are all of 1 .. p - 1; log x is the power with g^log x = x (mod p), within
0 .. p - 2. Zero is no power of g; "Learning to grok" (B.5) writes log 0 := 0 and takes g = 27 for p = 29.

Two primitive roots give logarithms that differ by a factor prime to p - 1. So the circle that a root draws is another
walk on the same points, and whether a logarithm is even, for p > 2, depends on no root: these are the squares.
"""

from __future__ import annotations

import torch
from jaxtyping import Int64
from torch import Tensor

from grok_interp.configs.modular import is_prime


def is_primitive_root(root: int, p: int) -> bool:
    """Are the powers of a number all of 1 .. p - 1?

    Args:
        root: the number.
        p: a prime; ValueError for others.
    """
    if not is_prime(p):
        raise ValueError(f"discrete logarithms need a prime, got p = {p}")
    return len({pow(root, power, p) for power in range(p - 1)} - {0}) == p - 1


def primitive_roots(p: int) -> tuple[int, ...]:
    """All of them within 1 .. p - 1, smallest first.

    Args:
        p: a prime; ValueError for others.
    """
    return tuple(root for root in range(1, max(p, 2)) if is_primitive_root(root, p))


def primitive_root(p: int) -> int:
    """The smallest.

    Args:
        p: a prime; ValueError for others.
    """
    return primitive_roots(p)[0]


def discrete_log(p: int, root: int) -> Int64[Tensor, " number"]:
    """log x of x = 0 .. p - 1, with log 0 := 0.

    Args:
        p: a prime; ValueError for others.
        root: a primitive root of it; ValueError for others.

    Example:
        >>> discrete_log(5, primitive_root(5))
        tensor([0, 0, 1, 3, 2])
    """
    if not is_primitive_root(root, p):
        raise ValueError(f"{root} is no primitive root of {p}; these are: {', '.join(map(str, primitive_roots(p)))}")
    logs = torch.zeros(p, dtype=torch.int64)
    for power in range(p - 1):
        logs[pow(root, power, p)] = power
    return logs
