"""Attention in one byte a weight, as a page holds it, and which rows do not sum to 1.

A weight w between 0 and 1 is kept as round(255 w): what is drawn is within 1/510 of it. A row (the weights of one
query) that holds something else than numbers, or does not sum to 1, is marked: its levels alone would look like zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from jaxtyping import Float, UInt8

LEVELS = 255
ERROR = f"1/{2 * LEVELS}"
TOLERANCE = 0.01  # of a row's sum; bfloat16 weights stay within it


class Fault(IntEnum):
    """What is wrong with a row."""

    NONE = 0
    NOT_ONE = 1  # the sum is not, or a number is below 0 or above 1
    NOT_A_NUMBER = 2


@dataclass(frozen=True, eq=False)
class QuantizedPatterns:
    """`levels` is 0 throughout a row of `Fault.NOT_A_NUMBER`, and clipped to 0 .. 255 in one of `Fault.NOT_ONE`."""

    levels: UInt8[np.ndarray, "*lead query key"]
    faults: UInt8[np.ndarray, "*lead query"]

    @property
    def causal(self) -> bool:
        """Nothing above the diagonal reaches a level."""
        return not np.triu(self.levels, 1).any()

    def cells(self) -> UInt8[np.ndarray, "*lead cell"]:
        """Row by row: of causal patterns the cells on and below the diagonal, of others all."""
        n_tokens = self.levels.shape[-1]
        if self.causal:
            return self.levels[..., *np.tril_indices(n_tokens)]
        return self.levels.reshape(*self.levels.shape[:-2], n_tokens * n_tokens)


def pooled(values: Float[np.ndarray, "query key"], factor: int) -> Float[np.ndarray, "rows columns"]:
    """The largest of each factor x factor block: sparse attention stays visible, which a mean would wash out.

    Args:
        values: square.
        factor: 1 or more; the last block of a row or column may be smaller.
    """
    blocks = np.arange(0, values.shape[-1], factor)
    return np.maximum.reduceat(np.maximum.reduceat(values, blocks, axis=0), blocks, axis=1)


def quantized(patterns: Float[np.ndarray, "*lead query key"]) -> QuantizedPatterns:
    numbers = np.asarray(np.isfinite(patterns).all(axis=-1))
    weights = np.where(np.expand_dims(numbers, -1), patterns, 0.0)
    off = np.abs(weights.sum(axis=-1) - 1) > TOLERANCE
    outside = (weights < -TOLERANCE).any(axis=-1) | (weights > 1 + TOLERANCE).any(axis=-1)
    faults = np.where(numbers, np.where(off | outside, Fault.NOT_ONE, Fault.NONE), Fault.NOT_A_NUMBER)
    levels = np.round(LEVELS * weights.clip(0, 1))
    return QuantizedPatterns(levels.astype(np.uint8), faults.astype(np.uint8))
