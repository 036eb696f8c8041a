"""Windows of text that stay within one document, with the document each comes from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64, Integer
from torch import Tensor

from grok_interp.arguments import checked
from grok_interp.data.leaks import leaking_windows


class DocumentWindows(NamedTuple):
    """Windows and the document of each; documents are numbered from 0 in the order of the text."""

    windows: Int64[Tensor, "batch pos"]
    documents: Int64[Tensor, " batch"]


@checked
def document_windows(
    tokens: Integer[np.ndarray, " token"],
    *,
    n_ctx: int,
    n_windows: int,
    end: int,
    leaks: Integer[np.ndarray, " token"] | None = None,
) -> DocumentWindows:
    """Windows of n_ctx + 1 tokens, evenly spread over the text, none of which crosses the end of a document.

    Each document is cut from its beginning; as in `validation_windows`, the last token of a window is the first of the
    next one. What is left at the end of a document, and documents shorter than one window, are not used. Long documents
    give more windows than short ones.

    Args:
        tokens: the text, such as `corpus.validation`.
        n_ctx: context length in tokens, 1 or more.
        n_windows: number of windows wanted, 1 or more; fewer are returned when the text has no more.
        end: the token that ends a document (0 in the corpora of this package). It is in no window.
        leaks: for each token, the length of the span of training text that starts there, 0 for none (`Corpus.leaks`);
            windows that contain such a span are dropped. None drops nothing.

    Returns:
        Token indices, window x n_ctx + 1, and the document of each window.

    Raises:
        ValueError: for n_ctx or n_windows below 1, when no document holds one window, and when all windows are dropped.

    Example:
        >>> text = np.array([1, 2, 3, 4, 5, 0, 6, 7, 8, 0])
        >>> windows, documents = document_windows(text, n_ctx=2, n_windows=10, end=0)
        >>> windows.tolist(), documents.tolist()
        ([[1, 2, 3], [3, 4, 5], [6, 7, 8]], [0, 0, 1])
    """
    if n_ctx < 1 or n_windows < 1:
        raise ValueError(f"document_windows needs n_ctx >= 1 and n_windows >= 1, got {n_ctx} and {n_windows}")
    ends = np.append(np.flatnonzero(tokens == end), len(tokens))
    begins = np.append(0, ends[:-1] + 1)
    counts = np.maximum(ends - begins - 1, 0) // n_ctx
    if not counts.any():
        raise ValueError(
            f"no document of the text has {n_ctx + 1} tokens, the longest has {(ends - begins).max()}: "
            "take a larger corpus or a shorter context"
        )
    documents = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(documents)) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = begins[documents] + within * n_ctx
    if leaks is not None:
        clean = ~leaking_windows(leaks, starts, n_ctx)
        starts, documents = starts[clean], documents[clean]
        if not len(starts):
            raise ValueError(
                f"each of the {len(clean)} windows shares a span with the training text: take another corpus or a "
                "shorter context"
            )
    chosen = np.linspace(0, len(starts) - 1, min(n_windows, len(starts))).astype(np.int64)
    windows = tokens[starts[chosen, None] + np.arange(n_ctx + 1)].astype(np.int64)
    return DocumentWindows(torch.from_numpy(windows), torch.from_numpy(documents[chosen]))
