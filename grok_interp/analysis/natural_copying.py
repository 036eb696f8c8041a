"""Copying in natural text: how much lower is the loss on a token when its n-gram occurred before in the context?

Pairs of positions of the same window hold the same token after the same n tokens: the first occurrence of an
(n + 1)-gram and its next occurrence without overlap (see `repeated_ngrams`). With L the loss in nats of the token at a
position, given all earlier tokens of its window, and means over pairs:

    first     mean of L(first occurrence)
    repeat    mean of L(repeat)
    benefit   first - repeat
    position  mean of U(position of the first occurrence) - U(position of the repeat)
    adjusted  benefit - position

A model that reads the last n tokens only has a benefit of exactly 0. One that copies has a positive benefit.

The benefit is not all copying. Repeats come later in a window than first occurrences, and later tokens are easier
because more context tells more about the text. `position` estimates that effect: U(t) is the mean loss over all windows
at position t, of tokens whose (n + 1)-gram occurs once in its window. It is a comparison, not an exact correction:
unrepeated tokens are other tokens, harder on average, and at late positions they exclude more of what is easy.

Pairs are chosen by what follows: the n-gram must be continued as it was before. What copying costs where an n-gram is
continued otherwise is not measured. Pairs with many tokens in common beyond n count like any other.

Intervals are 95% over documents: tokens of one document depend on one another, so the standard error is clustered by
document (linearized means, which includes the error of U) and multiplied by Student's t with (documents with pairs) - 1
degrees of freedom. They assume many documents of which none dominates.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
import xarray as xr
from jaxtyping import Float, Int64
from torch import Tensor

from grok_interp.analysis.arguments import require_outputs
from grok_interp.analysis.checkpoints_of import Checkpoints, checkpoints_of
from grok_interp.analysis.pair_estimates import LEVEL, pair_estimates
from grok_interp.arguments import checked
from grok_interp.counted import counted
from grok_interp.data.ngrams import repeated_ngrams
from grok_interp.data.token_rows import Mask, Tokens, token_rows, unpadded
from grok_interp.models.activations import HookedModel, device_of, in_batches, logits
from grok_interp.results.result import Measure, Result

ESTIMATES = ("mean", "low", "high")


class NaturalCopying(Result):
    """Loss in nats at first occurrences and at repeats of n-grams, and their difference, with 95% intervals."""

    name = "natural_copying"
    dims = ("checkpoint", "estimate")
    measures: ClassVar = {
        "first": Measure("loss at first occurrences", "nats per token"),
        "repeat": Measure("loss at repeats", "nats per token"),
        "benefit": Measure("first occurrence minus repeat", "nats per token"),
        "position": Measure("effect of position alone", "nats per token", may_be_undefined=True),
        "adjusted": Measure("benefit minus effect of position", "nats per token", may_be_undefined=True),
    }

    def expected(self) -> xr.Dataset:
        """The means that need no interval and no comparison with unrepeated tokens."""
        return super().expected().sel(estimate="mean")

    def __str__(self) -> str:
        first, repeat, benefit = (self[name].isel(checkpoint=-1).to_numpy() for name in ("first", "repeat", "benefit"))
        attrs = self.dataset.attrs
        interval = "no interval" if np.isnan(benefit[1]) else f"95% CI {benefit[1]:.3f} to {benefit[2]:.3f}"
        return (
            f"natural copying at {counted(self.dataset.sizes['checkpoint'], 'checkpoint')}, "
            f"{counted(attrs['n_pairs'], 'pair')} with n = "
            f"{attrs['n']} in {attrs['n_documents']} documents; at the last {first[0]:.3f} nats at first occurrences, "
            f"{repeat[0]:.3f} at repeats, benefit {benefit[0]:.3f} ({interval})"
            f"{self.warning()}"
        )


@checked
def natural_copying(
    checkpoints: Checkpoints,
    windows: Tokens,
    *,
    n: int,
    documents: Tokens | None = None,
    attention_mask: Mask | None = None,
    batch_size: int = 16,
) -> NaturalCopying:
    """The loss of each (step, model) at first occurrences and at repeats of n-grams in unmodified text.

    Args:
        checkpoints: a run, one model, or any iterable of (step, model), as `checkpoints_of` takes them.
        windows: text of n_ctx + 1 tokens or fewer, batch x pos, within documents (see `document_windows`). The first
            token of each window is context only.
        n: tokens of context that the two occurrences share, 1 or more. Smaller n gives more pairs, more of them by
            chance.
        documents: the document of each window, any integers; intervals are over these. By default each window is a
            document of its own, which makes intervals too narrow where windows share a document.
        attention_mask: 1 at tokens, 0 at pads, with the shape of `windows`, as Hugging Face has it. Rows padded on
            either side are read from their first token on; pads are neither read before a token nor part of an n-gram.
            Without it every token counts: pads are not detected.
        batch_size: windows per forward pass; changes memory, never the result.

    Returns:
        A `NaturalCopying` in nats with dims (checkpoint, estimate). Intervals are NaN when only one document
        has pairs. `position` and `adjusted` are NaN when a pair is at a position where no window has an unrepeated
        token. The numbers of pairs, of documents with pairs and of windows are in `dataset.attrs`.

    Raises:
        ValueError: if there is no checkpoint or no pair, for n below 1 or too large for the windows, and when
            `documents` does not have one entry per window or `attention_mask` does not fit.

    Example:
        >>> from grok_interp import Transformer, llama_copier, repeated_tokens
        >>> cfg = llama_copier(n_layers=2, n_heads=2, d_model=16, d_mlp=32, d_vocab=64, n_ctx=32)
        >>> model = Transformer(cfg, seed=0)
        >>> tokens = repeated_tokens(n_sequences=5, half=16, alphabet=range(64), seed=0)
        >>> natural_copying([(0, model)], tokens, n=2).dataset.sizes["estimate"]
        3
    """
    windows, real = unpadded(token_rows(windows, "windows"), attention_mask)
    pairs = repeated_ngrams(windows, n=n, real=real)
    if not len(pairs):
        raise ValueError(
            f"none of the {counted(len(windows), 'window')} of {windows.shape[1]} tokens repeats {n + 1} tokens (n = "
            f"{n} and the next): choose a smaller n, or more or longer windows"
        )
    clusters = _clusters(documents, len(windows))
    steps, rows = [], []
    for step, model in checkpoints_of(checkpoints, tokens=windows, n_read=windows.shape[1] - 1):
        require_outputs(model, windows[:, 1:])
        losses = token_losses(model, windows, batch_size=batch_size).double().numpy()
        steps.append(step)
        rows.append(pair_estimates(losses, pairs, clusters))
    attrs = {
        "n": n,
        "n_pairs": len(pairs),
        "n_documents": len(np.unique(clusters[pairs.window])),
        "n_windows": len(windows),
        "level": LEVEL,
    }
    arrays = dict(zip(NaturalCopying.measures, np.stack(rows, axis=1), strict=True))
    return NaturalCopying.of_arrays(arrays, {"checkpoint": steps, "estimate": list(ESTIMATES)}, attrs)


def token_losses(
    model: HookedModel, windows: Int64[Tensor, "batch pos"], *, batch_size: int
) -> Float[Tensor, "batch pos"]:
    """The cross-entropy in nats of the token at each position; NaN at position 0, which nothing predicts.

    Args:
        model: a hooked model.
        windows: token indices, batch x pos.
        batch_size: rows per forward pass; changes memory, never the result.
    """
    device, parts = device_of(model), []
    for each, part in in_batches(model, windows, batch_size):
        scores, targets = logits(each, part[:, :-1]), part[:, 1:].to(device)
        parts.append(F.cross_entropy(scores.transpose(1, 2), targets, reduction="none").cpu())
    return F.pad(torch.cat(parts), (1, 0), value=torch.nan)


def _clusters(documents: Tokens | None, n_windows: int) -> Int64[np.ndarray, " batch"]:
    """Documents numbered from 0; each window its own when they are not given."""
    if documents is None:
        return np.arange(n_windows)
    documents = token_rows(documents, "documents").flatten()
    if len(documents) != n_windows:
        raise ValueError(
            f"documents names the document of each window: expected {n_windows} entries, got {len(documents)}"
        )
    return np.unique(documents.numpy(force=True), return_inverse=True)[1]
