"""Contexts whose examples are related, for the first part of a modular training run.

In a uniform context of p = 11 and 12 examples few examples are on the line of another, so Ratio Matching is rarely
rewarded. Here each example after the first is an exact repeat of an earlier one, or another input on the line through
the origin of an earlier one, c (x, y) mod p, or drawn uniformly.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from grok_interp.data.modular import seeded_generator

CHOICES = 4  # random numbers for each example: which kind, which earlier one, which of its line, which of all


def draw_related_inputs(
    inputs: Int64[Tensor, "pair 2"],
    *,
    n_contexts: int,
    n_examples: int,
    seed: tuple[int, ...],
    p: int,
    probabilities: tuple[float, float],
) -> Int64[Tensor, "context example 2"]:
    """Examples of each context, on the inputs' device; a function of the seed and the kind of device.

    Args:
        inputs: what examples are drawn from.
        n_contexts: contexts, drawn independently.
        n_examples: examples in each.
        seed: non-negative integers.
        p: the modulus.
        probabilities: of a repeat of an earlier example, and of another input on the line of an earlier one. Where a
            line has no other input in `inputs`, the example is drawn uniformly.
    """
    repeat, line = probabilities
    generator = seeded_generator(seed, inputs.device)
    u = torch.rand(CHOICES, n_examples, n_contexts, generator=generator, device=inputs.device, dtype=torch.float64)
    same_line = line_table(inputs, p)
    order = same_line.sort(dim=1, descending=True, stable=True).indices  # the others on each input's line come first
    n_others = same_line.sum(dim=1)
    index = (u[3] * len(inputs)).long()
    for example in range(1, n_examples):
        earlier = (u[1, example] * example).long()
        source = index[earlier, torch.arange(n_contexts, device=inputs.device)]
        on_line = order[source, (u[2, example] * n_others[source]).long()]
        is_repeat = u[0, example] < repeat
        is_on_line = ~is_repeat & (u[0, example] < repeat + line) & (n_others[source] > 0)
        index[example] = torch.where(is_repeat, source, torch.where(is_on_line, on_line, index[example]))
    return inputs[index.T]


def line_table(inputs: Int64[Tensor, "pair 2"], p: int) -> Bool[Tensor, "pair other"]:
    """Which other inputs are on the line through the origin of each: x y' = y x' mod p. (0, 0) is on no line."""
    x, y = inputs.T
    parallel = (torch.outer(x, y) - torch.outer(y, x)) % p == 0
    nonzero = (inputs != 0).any(dim=1)
    other = ~torch.eye(len(inputs), dtype=torch.bool, device=inputs.device)
    return parallel & other & torch.outer(nonzero, nonzero)
