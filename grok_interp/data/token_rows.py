"""Token indices in the forms that people have them: tensors, NumPy arrays or lists, of any integer type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from grok_interp.arguments import whole_number

if TYPE_CHECKING:
    Tokens = Tensor | np.ndarray | Sequence[int] | Sequence[Sequence[int]]
    Mask = Tensor | np.ndarray | Sequence[Sequence[int]] | Sequence[Sequence[bool]]
else:  # at run time `token_rows` itself refuses what is neither, with a message for the reader
    Tokens = Mask = Any


def token_rows(tokens: Tokens, name: str = "tokens") -> Int64[Tensor, "batch pos"]:
    """Rows of token indices as an int64 tensor on the CPU.

    Args:
        tokens: integers of any type, batch x pos, or one row of them, which becomes a batch of one.
        name: of the argument, for the error message.

    Raises:
        ValueError: for floats, booleans, strings, rows of different lengths, no tokens, and more than two dimensions.

    Example:
        >>> token_rows([3, 1, 2])
        tensor([[3, 1, 2]])
    """
    found = _as_tensor(tokens)
    if found is None or found.dtype.is_floating_point or found.dtype.is_complex or found.dtype == torch.bool:
        raise ValueError(f"{name} must be integers in rows of equal length (batch x pos), got {_described(tokens)}")
    if found.dim() not in (1, 2) or not found.numel():
        raise ValueError(f"{name} must be one row of integers or more (batch x pos), got shape {tuple(found.shape)}")
    rows = found.detach().to("cpu", torch.int64)
    return rows[None] if rows.dim() == 1 else rows


def batches_of(rows: Tensor, batch_size: int) -> tuple[Tensor, ...]:
    """Parts of `batch_size` rows. Raises ValueError for a batch size that is no whole number of 1 or more.

    Args:
        rows: any tensor; it is split along its first axis.
        batch_size: at least 1.
    """
    return rows.split(whole_number(batch_size, "batch_size"))


def unpadded(
    rows: Int64[Tensor, "batch pos"], attention_mask: Mask | None
) -> tuple[Int64[Tensor, "batch pos"], Bool[Tensor, "batch pos"]]:
    """Rows that begin with their first real token, and where their real tokens are.

    A causal model that reads such rows never sees a pad before a token, so padding on the left and on the right, and
    whichever token pads, give the same activations at the real tokens. Pads become token 0.

    Args:
        rows: token indices.
        attention_mask: 1 or True at tokens, 0 or False at pads, as Hugging Face has it; None for no pads.

    Raises:
        ValueError: for another shape or other values, and for a row whose tokens are not in one piece.

    Example:
        >>> rows, real = unpadded(torch.tensor([[9, 9, 5, 6]]), [[0, 0, 1, 1]])
        >>> rows.tolist(), real.tolist()
        ([[5, 6, 0, 0]], [[True, True, False, False]])
    """
    if attention_mask is None:
        return rows, torch.ones_like(rows, dtype=torch.bool)
    mask = _as_tensor(attention_mask)
    if mask is None or mask.shape != rows.shape or not bool(((mask == 0) | (mask == 1)).all()):
        raise ValueError(
            f"attention_mask must hold 1 at tokens and 0 at pads, with the shape {tuple(rows.shape)} of the tokens, "
            f"got {_described(attention_mask)}"
        )
    mask = mask.cpu().bool()
    starts = mask & ~torch.nn.functional.pad(mask[:, :-1], (1, 0))
    if not bool((starts.sum(dim=1) == 1).all()):
        raise ValueError(
            "attention_mask must mark one uninterrupted piece of each row: pads are on the left or on the right, and "
            "no row is empty"
        )
    order = torch.argsort((~mask).to(torch.int8), dim=1, stable=True)  # tokens first, in their order
    real = mask.gather(1, order)
    return rows.gather(1, order).where(real, 0), real


def _as_tensor(values: Any) -> Tensor | None:
    """None for what is no array of numbers."""
    if isinstance(values, Tensor):
        return values
    try:
        array = np.asarray(values)
    except ValueError:  # rows of different lengths
        return None
    if array.dtype.kind not in "iubf":
        return None
    return torch.from_numpy(array.astype(np.int64) if array.dtype.kind in "iu" else np.array(array))


def _described(values: Any) -> str:
    shape = getattr(values, "shape", None)
    if shape is not None:
        return f"shape {tuple(shape)} of {getattr(values, 'dtype', 'unknown type')}"
    if isinstance(values, list | tuple) and values and all(isinstance(row, list | tuple) for row in values):
        lengths = sorted({len(row) for row in values})
        if len(lengths) > 1:
            return f"rows of {lengths[0]} to {lengths[-1]} tokens: pad them, and give an attention_mask"
    return f"{type(values).__name__} {values!r:.60}"
