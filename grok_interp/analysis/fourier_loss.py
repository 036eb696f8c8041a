"""Restricted and excluded loss: how the answers depend on the key frequencies of the number embeddings.

The loss is the mean cross-entropy of the answers z of x y z x y z ..., at every number of shots, as in training. It is
measured three times, with other embeddings of the numbers 0 .. p - 1 at the model's input (`hook_embed`):

    full         W_E
    restricted   mean + P_K (W_E - mean)      only the key frequencies K are kept
    excluded     W_E - P_K (W_E - mean)       the key frequencies K are removed

P_K projects on the frequencies K of one group (fourier.py), `mean` is over the elements of that group. In the
multiplicative group the number 0 has no logarithm: it keeps its embedding, and so do all other tokens. The mean is kept
in both conditions. The unembedding is left unchanged, also where it is tied to the embedding, so only what the
model reads changes and not what it can say.

Choose K once, from the last checkpoint (`FourierSpectrum.key_frequencies`): the losses are then comparable over
training. A model whose computation runs on K alone has a restricted loss equal to the full one and an excluded loss at
chance, ln p. A fall of the excluded loss over training means that the other frequencies are in use.

Nanda et al. 2023 (arXiv 2301.05217) define the two on the logits, projected over the grid of their two inputs (a, b).
Here the answer depends on a context of many pairs, there is no such grid, and the projection is of the embedding. All
layers run on the edited embedding, so LayerNorm rescales what is left: removing variance also enlarges the rest, and
an excluded loss can exceed chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
import xarray as xr
from jaxtyping import Float, Int64
from torch import Tensor

from grok_interp.analysis.ablated_model import AblatedModel
from grok_interp.analysis.ablation_edits import Edit
from grok_interp.analysis.checkpoints_of import HOOKED, Checkpoints, checkpoints_of
from grok_interp.analysis.embedding import number_embeddings
from grok_interp.analysis.evaluation_contexts import answer_logits
from grok_interp.analysis.fourier import group_elements, projection
from grok_interp.arguments import checked
from grok_interp.counted import counted, over
from grok_interp.data.discrete_log import primitive_root
from grok_interp.data.token_rows import Tokens, token_rows
from grok_interp.models.activations import HookedModel, read
from grok_interp.results.result import Measure, Result

CONDITIONS = ("full", "restricted", "excluded")
EMBEDDING = "hook_embed"


class FourierLoss(Result):
    """Loss of the answers in nats, 0 or more, and its standard error over contexts (NaN for one context)."""

    name = "fourier_loss"
    dims = ("checkpoint", "condition")
    measures: ClassVar = {
        "loss": Measure("loss of the answers", "nats"),
        "loss_se": Measure("standard error of the loss", "nats", may_be_undefined=True),
    }

    def loss(self, condition: str) -> xr.DataArray:
        """The loss under one of CONDITIONS by checkpoint, in nats.

        Args:
            condition: one of CONDITIONS.
        """
        return self["loss"].sel(condition=condition, drop=True)

    def interval(self, condition: str) -> tuple[xr.DataArray, xr.DataArray]:
        """`loss` minus and plus one standard error over contexts.

        Args:
            condition: one of CONDITIONS.
        """
        loss, error = self.loss(condition), self["loss_se"].sel(condition=condition, drop=True)
        return loss - error, loss + error

    def __str__(self) -> str:
        last, attrs = self.at()["loss"], self.dataset.attrs
        losses = ", ".join(f"{name} {float(last.sel(condition=name)):.3f}" for name in CONDITIONS)
        return (
            f"loss with {attrs['group']} frequencies {', '.join(map(str, attrs['frequencies']))} at the last "
            f"checkpoint: {losses} nats{over(attrs.get('n_contexts'), 'context')}; chance {math.log(attrs['p']):.3f}"
            f"{self.warning()}"
        )


def restricted_embedding(
    vectors: Float[Tensor, "number feature"], elements: Int64[Tensor, " element"], frequencies: Sequence[int]
) -> Float[Tensor, "number feature"]:
    """The mean over the group's elements and their part at these frequencies; other rows unchanged. Kernel.

    Args:
        vectors: of each number.
        elements: the numbers of the group in its order.
        frequencies: of the group, each from 1 to half of its order.
    """
    restricted, of_group = vectors.clone(), vectors[elements]
    restricted[elements] = of_group.mean(dim=0) + projection(of_group, frequencies)
    return restricted


def excluded_embedding(
    vectors: Float[Tensor, "number feature"], elements: Int64[Tensor, " element"], frequencies: Sequence[int]
) -> Float[Tensor, "number feature"]:
    """The vectors without the part of the group's elements at these frequencies; other rows unchanged. Kernel.

    Args:
        vectors: of each number.
        elements: the numbers of the group in its order.
        frequencies: of the group, each from 1 to half of its order.
    """
    excluded = vectors.clone()
    excluded[elements] -= projection(vectors[elements], frequencies)
    return excluded


@checked
def fourier_losses(
    checkpoints: Checkpoints,
    p: int,
    tokens: Tokens,
    *,
    group: str,
    frequencies: Sequence[int],
    root: int | None = None,
    batch_size: int = 512,
) -> FourierLoss:
    """Full, restricted and excluded loss of every checkpoint on the same contexts.

    Args:
        checkpoints: a run, a series or any iterable of (step, model); any hooked model with `W_E` will do.
        p: the modulus, a prime of 3 or more; tokens 0 .. p - 1 are the numbers.
        tokens: contexts x y z x y z ... of numbers 0 .. p - 1. Standard errors take them to be independent: give each
            context its own inputs.
        group: whose frequencies, "additive" or "multiplicative".
        frequencies: the key frequencies, distinct, each within 1 .. (p - 1) / 2.
        root: the primitive root that names the multiplicative frequencies; the smallest one if None.
        batch_size: contexts per forward pass; changes memory, not the result.

    Returns:
        `loss` and `loss_se` of each condition by checkpoint, in nats.

    Raises:
        ValueError: if there is no checkpoint, `p` is no odd prime, the tokens are no examples of three numbers, the
            frequencies are not distinct or out of range, `root` is not primitive, the vocabulary has fewer than p
            tokens, or `hook_embed` does not hold the rows of `W_E`.

    Example:

        >>> from grok_interp import fourier_losses, load_reference, slot_sequences
        >>> series, tokens = load_reference("modular-p11"), slot_sequences((7, 2), 11, slot=11, n_examples=12, seed=0)
        >>> losses = fourier_losses(series.at([0, 26000]), 11, tokens, group="additive", frequencies=range(1, 6))
        >>> bool((losses.loss("restricted") - losses.loss("full") < 1e-4).all())  # no frequency is missing
        True
    """
    tokens = token_rows(tokens)
    root = primitive_root(p) if root is None else root
    elements = group_elements(group, p, root)
    _require_examples(tokens, p)
    _require_frequencies(frequencies, p)
    steps, rows = [], []
    n_read = tokens.shape[1] - 1
    for step, model in checkpoints_of(checkpoints, tokens=tokens, n_read=n_read, needs=(*HOOKED, "W_E")):
        models = [model, *_edited(model, tokens[:1], p, elements, frequencies)]
        steps.append(step)
        rows.append(torch.stack([_loss(each, tokens, batch_size) for each in models], dim=1))
    attrs = {
        "p": p,
        "root": root,
        "group": group,
        "frequencies": sorted(int(frequency) for frequency in frequencies),
        "n_contexts": len(tokens),
    }
    arrays = dict(zip(FourierLoss.measures, torch.stack(rows, dim=1), strict=True))
    return FourierLoss.of_arrays(arrays, {"checkpoint": steps, "condition": list(CONDITIONS)}, attrs)


def _edited(
    model: Any, tokens: Tensor, p: int, elements: Tensor, frequencies: Sequence[int]
) -> tuple[AblatedModel, AblatedModel]:
    """The model with restricted and with excluded embeddings. Raises ValueError if `hook_embed` is not W_E's rows."""
    vectors, found = number_embeddings(model, p), read(model, tokens, {EMBEDDING: lambda part: part.float().cpu()})
    rows = vectors[tokens.cpu()]
    comparable = found[EMBEDDING].isfinite().all() and rows.isfinite().all()
    if comparable and not torch.allclose(found[EMBEDDING], rows, rtol=1e-3, atol=1e-5):
        raise ValueError(
            f"{EMBEDDING} does not hold the rows of W_E, so its frequencies cannot be edited there: the model scales "
            "its embeddings or adds to them; pass one whose hook_embed is W_E[tokens]"
        )
    changed = (edit(vectors, elements, frequencies) for edit in (restricted_embedding, excluded_embedding))
    restricted, excluded = (AblatedModel(model, {EMBEDDING: _lookup(each)}) for each in changed)
    return restricted, excluded


def _lookup(vectors: Float[Tensor, "number feature"]) -> Edit:
    return lambda activation, seen: vectors.to(activation)[seen.tokens.to(activation.device)]


def _loss(model: HookedModel, tokens: Int64[Tensor, "context pos"], batch_size: int) -> Float[Tensor, " measure"]:
    """The mean over contexts, and its standard error."""
    scores, z = answer_logits(model, tokens, batch_size=batch_size), tokens[:, 2::3].cpu()
    by_context = F.cross_entropy(scores.movedim(-1, 1), z, reduction="none").mean(dim=1)
    n = len(by_context)
    spread = by_context.std() if n > 1 else torch.tensor(torch.nan)
    return torch.stack([by_context.mean(), spread / math.sqrt(n)])


def _require_examples(tokens: Tensor, p: int) -> None:
    if not tokens.numel() or tokens.shape[1] % 3:
        raise ValueError(
            f"contexts must be examples x y z, three tokens each, got {counted(len(tokens), 'context')} of "
            f"{tokens.shape[1]} tokens: cut them to whole examples"
        )
    least, most = int(tokens.min()), int(tokens.max())
    if least < 0 or most >= p:
        raise ValueError(f"tokens must be numbers within 0..{p - 1}, got {least}..{most}")


def _require_frequencies(frequencies: Sequence[int], p: int) -> None:
    n_frequencies = (p - 1) // 2
    outside = [frequency for frequency in frequencies if not 1 <= frequency <= n_frequencies]
    if not frequencies or outside or len(set(frequencies)) < len(frequencies):
        raise ValueError(
            f"frequencies must be distinct, one or more within 1..{n_frequencies}, got "
            f"{', '.join(map(str, frequencies)) or 'none'}"
        )
