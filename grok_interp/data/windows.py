"""Training batches: windows of text as a pure function of (seed, step), so that resume is exact.

The text is cut into blocks of n_ctx tokens. Each epoch visits every block once, in an order and with a shift of the
cuts that are drawn anew; sample number i of a run comes from the same place whatever the batch size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Int64, Integer
from torch import Tensor

from grok_interp.configs import TextConfig
from grok_interp.data.copied_spans import with_copied_spans
from grok_interp.data.duplicates import SPAN
from grok_interp.data.leaks import leaking_blocks

EPOCH_ORDER, COPIES = 1, 2  # which stream of random numbers a seed is used for


class WindowSampler:
    """Windows of n_ctx + 1 tokens (inputs and the next token of each) from a corpus on disk.

    Random windows draw their tokens from `alphabet`. Raises ValueError for a text shorter than one window.
    """

    def __init__(
        self, tokens: Integer[np.ndarray, " token"], config: TextConfig, *, n_ctx: int, seed: int, alphabet: range
    ) -> None:
        if len(tokens) < 2 * n_ctx:
            raise ValueError(
                f"the training text has {len(tokens)} tokens, a context of {n_ctx} needs at least {2 * n_ctx}: "
                "take a larger corpus or a shorter context"
            )
        self.tokens, self.config, self.n_ctx, self.seed, self.alphabet = tokens, config, n_ctx, seed, alphabet
        self.n_blocks = len(tokens) // n_ctx - 1  # one less: the shift takes up to a block
        self._epoch = lru_cache(maxsize=2)(self._draw_epoch)

    def batch(self, step: int, batch_size: int, *, rank: int = 0, n_ranks: int = 1) -> Int64[Tensor, "batch pos"]:
        """The windows of one step; with ranks, the rows of this rank. All are drawn, so ranks change no window.

        Args:
            step: of training, counted from 0.
            batch_size: windows of the step, over all ranks.
            rank: of this process, counted from 0.
            n_ranks: number of processes.
        """
        samples = np.arange(step * batch_size, (step + 1) * batch_size)
        windows = self.tokens[self._starts(samples)[:, None] + np.arange(self.n_ctx + 1)].astype(np.int64)
        if self.config.copy_fraction > 0 or self.config.random_fraction > 0:
            generator = np.random.default_rng((self.seed, COPIES, step, 0))
            windows = with_copied_spans(windows, self.config, self.alphabet, generator)
        return torch.from_numpy(windows[rank::n_ranks])

    def _starts(self, samples: Integer[np.ndarray, " batch"]) -> Integer[np.ndarray, " batch"]:
        epochs, places = np.divmod(samples, self.n_blocks)
        starts = np.empty_like(samples)
        for epoch in np.unique(epochs):
            order, shift = self._epoch(int(epoch))
            here = epochs == epoch
            starts[here] = order[places[here]].astype(np.int64) * self.n_ctx + shift
        return starts

    def _draw_epoch(self, epoch: int) -> tuple[np.ndarray, int]:
        generator = np.random.default_rng((self.seed, EPOCH_ORDER, epoch))
        order = generator.permutation(np.arange(self.n_blocks, dtype=np.uint32))
        return order, int(generator.integers(self.n_ctx))


@dataclass(frozen=True)
class ValidationWindows:
    """Windows of held-out text that do not occur in the training text.

    Attributes:
        tokens: the windows, n_ctx + 1 tokens each.
        n_dropped: windows of the validation text that were dropped, because they share a span of 50 tokens with the
            training text.
        n_examined: all windows of the validation text, side by side.
    """

    tokens: Int64[Tensor, "batch pos"]
    n_dropped: int
    n_examined: int


def validation_windows(
    tokens: Integer[np.ndarray, " token"], leaks: Integer[np.ndarray, " token"], *, n_ctx: int, n_windows: int
) -> ValidationWindows:
    """Windows of n_ctx + 1 tokens, evenly spread over those of the text that are held out, unmodified.

    Args:
        tokens: the validation text.
        leaks: for each token of it, the length in tokens of the span of training text that starts there, 0 for none
            (`Corpus.leaks`).
        n_ctx: context length in tokens, 1 or more.
        n_windows: number of windows, 1 or more; fewer are returned if the text does not have as many.

    Raises:
        ValueError: if the text has no window, or none that is held out.

    Example:
        >>> leaks = np.zeros(100, dtype=np.uint16)
        >>> leaks[0] = 50
        >>> found = validation_windows(np.arange(100), leaks, n_ctx=33, n_windows=128)
        >>> found.tokens.shape, found.n_dropped
        (torch.Size([3, 34]), 0)
    """
    leaking = leaking_blocks(leaks, n_ctx)
    if not len(leaking):
        raise ValueError(f"the validation text has {len(tokens)} tokens, one window needs {n_ctx + 1}")
    (clean,) = np.nonzero(~leaking)
    if not len(clean):
        raise ValueError(
            f"each of the {len(leaking)} validation windows of {n_ctx + 1} tokens shares a span of {SPAN} tokens with "
            "the training text, so no text is held out: use a larger or a less repetitive corpus, or a larger "
            "validation_fraction"
        )
    blocks = clean[np.linspace(0, len(clean) - 1, min(n_windows, len(clean))).astype(np.int64)]
    windows = tokens[blocks[:, None] * n_ctx + np.arange(n_ctx + 1)].astype(np.int64)
    return ValidationWindows(torch.from_numpy(windows), int(leaking.sum()), len(leaking))
