"""What an ablation puts in the place of z: pure functions of the activation and of what was seen so far.

A model with a KV cache shows the activations of its newest tokens only; `Seen.tokens` holds all, the newest last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Seen:
    """What a model has read when an activation is edited.

    Attributes:
        tokens: all tokens of the batch, batch x pos, the newest last.
        first_row: the number of the batch's first row among all rows that are evaluated.
    """

    tokens: Int[Tensor, "batch all_pos"]
    first_row: int = 0


Edit = Callable[[Tensor, Seen], Tensor]  # an activation of the newest tokens, and what was seen -> its substitute


def replaced(
    heads: list[int], substitute: Edit, z: Float[Tensor, "batch pos head d_head"], seen: Seen
) -> Float[Tensor, "batch pos head d_head"]:
    """z with the substitute at some heads."""
    edited = z.clone()
    edited[:, :, heads] = substitute(z, seen).to(z)
    return edited


def constant(value: Float[Tensor, "*head_d_head"], z: Tensor, seen: Seen) -> Tensor:  # noqa: ARG001 (an Edit's signature)
    return value


def mean(reference: Float[Tensor, "reference_batch reference_pos head d_head"], z: Tensor, seen: Seen) -> Tensor:  # noqa: ARG001
    return reference.mean(dim=(0, 1))


def resampled(
    seed: int,
    reference: Float[Tensor, "reference_batch reference_pos head d_head"],
    z: Float[Tensor, "batch pos model_head d_head"],
    seen: Seen,
) -> Float[Tensor, "batch pos head d_head"]:
    """The same positions of the reference sequences drawn; the donor of row r is the seed's r-th draw.

    Rows are counted over all batches (`Seen.first_row`), so the batch size does not matter.
    Raises ValueError when the reference is shorter than the tokens.
    """
    n_tokens = seen.tokens.shape[1]
    if n_tokens > reference.shape[1]:
        raise ValueError(f"resampling {n_tokens} positions needs a reference as long, got {reference.shape[1]} tokens")
    donors = donors_of_rows(seed, n_rows=seen.first_row + len(z), n_donors=len(reference))[seen.first_row :]
    return reference[donors.to(reference.device), n_tokens - z.shape[1] : n_tokens]


def donors_of_rows(seed: int, *, n_rows: int, n_donors: int) -> Int[Tensor, " row"]:
    """The donor of each row; more rows have the same donors and more."""
    return torch.randint(n_donors, (n_rows,), generator=torch.Generator().manual_seed(seed))
