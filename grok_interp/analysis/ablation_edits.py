"""What an ablation puts in the place of an activation: pure functions of the activation and the tokens read so far.

A model with a KV cache shows the activations of its newest tokens only; `so_far` holds all tokens, the newest last.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

Edit = Callable[[Tensor, Tensor], Tensor]  # an activation of the newest tokens, and all tokens so far -> its substitute


def replaced(
    heads: list[int], substitute: Edit, z: Float[Tensor, "batch pos head d_head"], so_far: Int[Tensor, "batch all_pos"]
) -> Float[Tensor, "batch pos head d_head"]:
    """z with the substitute at some heads."""
    edited = z.clone()
    edited[:, :, heads] = substitute(z, so_far).to(z)
    return edited


def zero(z: Tensor, so_far: Tensor) -> Tensor:  # noqa: ARG001 (an Edit's signature)
    return z.new_zeros(())


def mean(reference: Float[Tensor, "reference_batch reference_pos head d_head"], z: Tensor, so_far: Tensor) -> Tensor:  # noqa: ARG001
    return reference.mean(dim=(0, 1))


def resampled(
    seed: int,
    reference: Float[Tensor, "reference_batch reference_pos head d_head"],
    z: Float[Tensor, "batch pos model_head d_head"],
    so_far: Int[Tensor, "batch all_pos"],
) -> Float[Tensor, "batch pos head d_head"]:
    """The same positions of the reference sequences drawn; row b's donor is the seed's b-th draw in every call.

    Raises ValueError when the reference is shorter than the tokens.
    """
    n_tokens = so_far.shape[1]
    if n_tokens > reference.shape[1]:
        raise ValueError(f"resampling {n_tokens} positions needs a reference as long, got {reference.shape[1]} tokens")
    generator = torch.Generator().manual_seed(seed)
    donors = torch.randint(len(reference), (len(z),), generator=generator)
    return reference[donors.to(reference.device), n_tokens - z.shape[1] : n_tokens]


def induction_edges(tokens: Int[Tensor, "batch pos"], n_match: int) -> Bool[Tensor, "batch pos pos"]:
    """Kernel: batch x query x key, true where the key is an induction target of the query (see `ablated_model`)."""
    equal = tokens[:, :, None] == tokens[:, None, :]
    match = equal
    for _ in range(n_match - 1):
        match = equal & F.pad(match[:, :-1, :-1], (1, 0, 1, 0), value=False)
    return F.pad(match[:, :, :-1], (1, 0), value=False).tril()


def cut(
    heads: list[int],
    n_match: int,
    pattern: Float[Tensor, "batch head query key"],
    so_far: Int[Tensor, "batch key"],
) -> Float[Tensor, "batch head query key"]:
    """The pattern without the induction edges of some heads; the rows' other weights stay."""
    edges = induction_edges(so_far, n_match)[:, None, -pattern.shape[2] :]
    edited = pattern.clone()
    edited[:, heads] = pattern[:, heads].masked_fill(edges, 0.0)
    return edited
