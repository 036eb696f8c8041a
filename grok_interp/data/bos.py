"""A token of the beginning of a sequence (BOS), which stands before each row and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import torch
from jaxtyping import Int64
from torch import Tensor


def require_bos(bos: int | None, others: Sequence[int]) -> None:
    """Raises ValueError for a BOS token that is drawn, too: its second occurrence would be a target.

    Args:
        bos: the token's index, or None.
        others: the tokens that are drawn.
    """
    if bos is not None and (isinstance(bos, bool) or not isinstance(bos, Integral) or bos < 0 or bos in others):
        raise ValueError(
            f"bos must be a token id of 0 or more that is neither in the alphabet nor a separator, got {bos}: leave it "
            "out of the alphabet"
        )


def after_bos(tokens: Int64[Tensor, "batch pos"], bos: int | None) -> Int64[Tensor, "batch bos_and_pos"]:
    """The rows with BOS before each; unchanged for None.

    Args:
        tokens: rows of token indices.
        bos: the token's index, or None.
    """
    return tokens if bos is None else torch.nn.functional.pad(tokens, (1, 0), value=bos)
