"""One example slot that runs over all inputs (B.5 of "Learning to grok"): what the studies of representations feed.

For one task (a, b) there are p^2 sequences x1 y1 z1 ... xn yn zn. They differ in one slot, counted from 0, whose pair
(x, y) is a different one in each sequence: row p x + y holds (x, y). All other slots hold the same random pairs in
every sequence, and the same ones whichever slot runs.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Int64
from torch import Tensor

from grok_interp.arguments import checked
from grok_interp.data.modular import draw_inputs, require_task, sequences

Position = Literal["x", "y", "z"]
POSITIONS: tuple[Position, ...] = ("x", "y", "z")
OTHER_SLOTS = 4  # which stream of random numbers a seed is used for


def slot_position(slot: int, position: Position) -> int:
    """Where in the sequence a slot's x, y or z stands: 3 slot, 3 slot + 1 or 3 slot + 2.

    Args:
        slot: which example, from 0.
        position: x, y or z.

    Raises:
        ValueError: for another position.
    """
    if position not in POSITIONS:
        raise ValueError(f"position must be one of {', '.join(POSITIONS)}, got {position!r}")
    return 3 * slot + POSITIONS.index(position)


@checked
def slot_sequences(
    task: tuple[int, int], p: int, *, slot: int, n_examples: int, seed: int
) -> Int64[Tensor, "pair pos"]:
    """The p^2 sequences of a task, one for each pair (x, y) in the slot; the other examples are the same in all.

    Args:
        task: (a, b) in Z_p.
        p: the modulus.
        slot: the example that takes every pair, counted from 0.
        n_examples: examples of a sequence, each of three tokens x y z.
        seed: draws the other examples.

    Returns:
        Token indices, pair x pos, in the order (0, 0), (0, 1), ...

    Raises:
        ValueError: for a task outside Z_p and for a slot outside the sequence.

    Example:
        >>> slot_sequences((2, 1), 5, slot=1, n_examples=3, seed=0).shape
        torch.Size([25, 9])
    """
    require_task(task, p)
    if not 0 <= slot < n_examples:
        raise ValueError(f"slot {slot} is outside a sequence of {n_examples} examples: take 0..{n_examples - 1}")
    pairs = torch.cartesian_prod(torch.arange(p), torch.arange(p))
    fixed = draw_inputs(pairs, n_contexts=1, n_examples=n_examples, seed=(seed, OTHER_SLOTS))
    inputs = fixed.repeat(len(pairs), 1, 1)
    inputs[:, slot] = pairs
    return sequences(torch.tensor([task]), inputs, p)[0]


def slot_task(tokens: Int64[Tensor, "pair pos"], p: int, slot: int) -> tuple[int, int]:
    """The task (a, b) of sequences from `slot_sequences`.

    Args:
        tokens: one sequence for each pair (x, y).
        p: the modulus.
        slot: the example that takes every pair, counted from 0.

    Raises:
        ValueError: for tokens in which this slot does not run over all p^2 pairs in order, with z = a x + b y.
    """
    if not 0 <= slot < tokens.shape[1] // 3:
        raise ValueError(f"slot {slot} is outside sequences of {tokens.shape[1]} tokens, three an example")
    x, y, z = tokens[:, 3 * slot : 3 * slot + 3].T
    row = torch.arange(p * p, device=tokens.device)
    if torch.equal(x, row // p) and torch.equal(y, row % p):
        a, b = int(z[p]), int(z[1])  # rows (1, 0) and (0, 1)
        if torch.equal((a * x + b * y) % p, z):
            return a, b
    raise ValueError(
        f"slot {slot} of the {len(tokens)} sequences does not run over the {p * p} pairs of one task: "
        f"make them with slot_sequences(task, {p}, slot={slot}, ...)"
    )
