"""Repeated n-grams in windows of tokens, as matched pairs: a first occurrence and a repeat of the same tokens.

Position t of a window, t >= n, ends the (n + 1)-gram x[t - n .. t]: n tokens of context and the token that
follows them.
An (n + 1)-gram that occurs twice in a window without overlap gives one pair:

    first     the position where it ends for the first time
    repeat    the position where it ends next, at first + n + 1 or later

Both positions hold the same token after the same n tokens; only the repeat has an earlier occurrence in its context.
Each (n + 1)-gram counts once per window, so frequent ones such as indentation have the weight of any other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor


@dataclass(frozen=True)
class RepeatedNgrams:
    """The pairs of a batch of windows, ordered by window; `unrepeated` marks ends of (n + 1)-grams that occur once."""

    window: Int64[np.ndarray, " pair"]
    first: Int64[np.ndarray, " pair"]
    repeat: Int64[np.ndarray, " pair"]
    unrepeated: Bool[np.ndarray, "batch pos"]

    def __len__(self) -> int:
        return len(self.window)


def repeated_ngrams(
    windows: Int64[Tensor, "batch pos"], *, n: int, real: Bool[Tensor, "batch pos"] | None = None
) -> RepeatedNgrams:
    """All pairs of a first occurrence and a repeat, within each window.

    Args:
        windows: token indices, 0 or more, batch x pos. Windows are never compared with one another.
        n: tokens of context that both occurrences share, 1 or more.
        real: False at pads, which come after the tokens of a window (see `unpadded`); None if there are none. No
            n-gram holds a pad.

    Returns:
        The pairs, possibly none, and the mask of unrepeated positions; its first n positions and pads are False.

    Raises:
        ValueError: for n below 1, and for windows too short to hold two occurrences, 2 (n + 1) tokens.

    Example:
        >>> import torch
        >>> pairs = repeated_ngrams(torch.tensor([[5, 6, 7, 8, 5, 6, 7, 9]]), n=2)
        >>> pairs.first.tolist(), pairs.repeat.tolist()  # the 7 after 5, 6
        ([2], [6])
    """
    if n < 1:
        raise ValueError(f"repeated_ngrams needs n >= 1 tokens of context, got n = {n}")
    n_windows, n_pos = windows.shape
    if n_pos < 2 * (n + 1):
        raise ValueError(
            f"two occurrences of {n + 1} tokens (n = {n} and the next) need windows of {2 * (n + 1)} tokens or more, "
            f"got {n_pos}: choose a smaller n or longer windows"
        )
    if real is not None:  # each pad a token of its own, so that what it ends never repeats
        windows = windows.where(real, windows.max() + 1 + torch.arange(n_pos))
    ends = n_pos - n  # positions n, n + 1, ... of each window
    _, earliest, gram, count = np.unique(
        _ngram_numbers(windows.numpy(force=True), n).ravel(),
        return_index=True,
        return_inverse=True,
        return_counts=True,
    )
    apart = np.flatnonzero(np.arange(n_windows * ends) - earliest[gram] > n)
    _, next_one = np.unique(gram[apart], return_index=True)
    repeat = np.sort(apart[next_one])
    first = earliest[gram[repeat]]
    unrepeated = np.zeros((n_windows, n_pos), dtype=bool)
    unrepeated[:, n:] = (count[gram] == 1).reshape(n_windows, ends)
    if real is not None:
        unrepeated &= real.numpy(force=True)
    return RepeatedNgrams(repeat // ends, first % ends + n, repeat % ends + n, unrepeated)


def _ngram_numbers(windows: Int64[np.ndarray, "batch pos"], n: int) -> Int64[np.ndarray, "batch end"]:
    """The same number for the same n + 1 tokens of the same window, at each position from n on.

    Numbers are compressed after each token, so they never exceed the number of tokens times the vocabulary.
    """
    size = int(windows.max(initial=0)) + 1
    numbers = np.arange(len(windows))[:, None] * size + windows
    for offset in range(1, n + 1):
        _, numbers = np.unique(numbers[:, :-1] * size + windows[:, offset:], return_inverse=True)
        numbers = numbers.reshape(len(windows), -1)
    return numbers
