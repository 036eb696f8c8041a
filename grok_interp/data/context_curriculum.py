"""Contexts whose examples are related, for the first part of a modular training run.

In a uniform context of p = 11 and 12 examples few examples are on the line of another, so Ratio Matching is rarely
rewarded. Here each example after the first is an exact repeat of an earlier one, or another input on the line through
the origin of an earlier one, c (x, y) mod p, or drawn uniformly.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from grok_interp.data.modular import seeded_generator

CHOICES = 4  # random numbers for each example: which kind, which earlier one, which of its line, which of all


@dataclass(frozen=True)
class Lines:
    """Inputs, and of each the others on its line through the origin, first in its row of `order`."""

    inputs: Int64[Tensor, "pair 2"]
    order: Int64[Tensor, "pair other"]
    n_others: Int64[Tensor, " pair"]

    @classmethod
    def of(cls, inputs: Int64[Tensor, "pair 2"], p: int) -> Lines:
        """The lines of some inputs.

        Args:
            inputs: (x, y) each, within 0 .. p - 1.
            p: the modulus.
        """
        same_line = line_table(inputs, p)
        order = same_line.sort(dim=1, descending=True, stable=True).indices
        return cls(inputs, order, same_line.sum(dim=1))


def draw_related_inputs(
    lines: Lines, *, n_contexts: int, n_examples: int, seed: tuple[int, ...], probabilities: tuple[float, float]
) -> Int64[Tensor, "context example 2"]:
    """Examples of each context, on the inputs' device; a function of the seed and the kind of device.

    Args:
        lines: what examples are drawn from.
        n_contexts: contexts, drawn independently.
        n_examples: examples in each.
        seed: non-negative integers.
        probabilities: of a repeat of an earlier example, and of another input on the line of an earlier one. Where a
            line has no other input, the example is drawn uniformly.
    """
    repeat, line = probabilities
    device, n_inputs = lines.inputs.device, len(lines.inputs)
    generator = seeded_generator(seed, device)
    kind, which, other, any_input = torch.rand(
        CHOICES, n_examples, n_contexts, generator=generator, device=device, dtype=torch.float64
    )
    earlier = (which * torch.arange(n_examples, device=device).unsqueeze(1)).long()
    is_repeat, is_related = kind < repeat, kind < repeat + line
    index = (any_input * n_inputs).long()
    for example in range(1, n_examples):
        source = index.gather(0, earlier[example : example + 1])[0]
        n_others = lines.n_others[source]
        on_line = lines.order[source, (other[example] * n_others).long()]
        related = torch.where(n_others > 0, on_line, index[example])
        related = torch.where(is_repeat[example], source, related)
        index[example] = torch.where(is_related[example], related, index[example])
    return lines.inputs[index.T]


def line_table(inputs: Int64[Tensor, "pair 2"], p: int) -> Bool[Tensor, "pair other"]:
    """Which other inputs are on the line through the origin of each: x y' = y x' mod p. (0, 0) is on no line.

    Args:
        inputs: (x, y) in Z_p.
        p: the modulus, a prime.
    """
    x, y = inputs.T
    parallel = (torch.outer(x, y) - torch.outer(y, x)) % p == 0
    nonzero = (inputs != 0).any(dim=1)
    other = ~torch.eye(len(inputs), dtype=torch.bool, device=inputs.device)
    return parallel & other & torch.outer(nonzero, nonzero)
