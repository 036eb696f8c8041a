"""Cosine similarity of what a model holds for every two pairs (x, y), (x', y') (Figure 7 of "Learning to grok").

A slot of the sequence runs over all p^2 pairs. The vector at its x, y or z is standardized over its features (mean and
unbiased standard deviation) and normalized, so that the cosine is Pearson's correlation, between -1 and 1. A vector
that does not vary over its features has no direction left and is similar to nothing, itself included: 0. Which pattern
a matrix shows, `kaleidoscope` says.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from grok_interp.analysis.arguments import require_layer
from grok_interp.analysis.checkpoints_of import Checkpoints, checkpoints_of
from grok_interp.analysis.slot_vectors import activations_at, head_outputs
from grok_interp.arguments import checked
from grok_interp.counted import counted
from grok_interp.data.slot import Position, slot_position, slot_task
from grok_interp.data.token_rows import Tokens, token_rows
from grok_interp.results.result import Measure, Result


class CosineSimilarity(Result):
    """Similarity, -1 to 1, of every two pairs; pair p x + y is (x, y)."""

    name = "similarity"
    dims = ("checkpoint", "pair", "other_pair")
    measures: ClassVar = {"similarity": Measure("cosine similarity", "1")}

    def __str__(self) -> str:
        attrs, sizes = self.dataset.attrs, self.dataset.sizes
        return (
            f"similarity of {counted(sizes['pair'], 'pair')} at {attrs['position']} of slot {attrs['slot']}, "
            f"{source(attrs)}, task ({attrs['a']}, {attrs['b']}), "
            f"{counted(sizes['checkpoint'], 'checkpoint')}{self.warning()}"
        )


def source(attrs: dict) -> str:
    """What was compared: `block 2` or `L2H1`.

    Args:
        attrs: of a result of this module.
    """
    return f"block {attrs['layer']}" if attrs["head"] is None else f"L{attrs['layer']}H{attrs['head']}"


def pearson_similarity(vectors: Float[Tensor, "pair feature"]) -> Float[Tensor, "pair other_pair"]:
    """Cosine of every two vectors, each centered over its features; 0 for one that does not vary, NaN for one that is
    not finite. Kernel.

    Args:
        vectors: one per pair.
    """
    vectors = vectors.double()
    centered = vectors - vectors.mean(dim=-1, keepdim=True)
    norm = centered.norm(dim=-1, keepdim=True)
    varies = norm > torch.finfo(norm.dtype).eps * vectors.norm(dim=-1, keepdim=True)
    directions = torch.where(varies | ~norm.isfinite(), centered / norm.where(varies, 1.0), 0.0)
    return (directions @ directions.T).clamp(-1, 1).float()


@checked
def cosine_similarity(
    checkpoints: Checkpoints,
    p: int,
    tokens: Tokens,
    *,
    slot: int,
    position: Position,
    layer: int,
    head: int | None = None,
    batch_size: int = 256,
) -> CosineSimilarity:
    """The cosine similarity of one token's vector between all pairs (x, y): of a block's output, or of one head's.

    Args:
        checkpoints: a run, one model, or any iterable of (step, model), as `checkpoints_of` takes them.
        p: the modulus.
        tokens: from `slot_sequences`, pair x pos.
        slot: the example that is looked at, counted from 0.
        position: "x", "y" or "z" of the slot.
        layer: of the block.
        head: of that layer; the block's output (`hook_resid_post`) if None.
        batch_size: sequences per forward pass; changes memory, never the result.

    Returns:
        Similarities between -1 and 1, pair against pair, by checkpoint.

    Raises:
        ValueError: for tokens of another slot and for a layer or head that is not there.

    Example:
        >>> from grok_interp import Transformer, preset, slot_sequences
        >>> model = Transformer(preset("modular-tiny"), seed=0)
        >>> tokens = slot_sequences((2, 1), 5, slot=1, n_examples=3, seed=0)
        >>> cosine_similarity(model, 5, tokens, slot=1, position="y", layer=1).dataset.sizes["checkpoint"]
        1
    """
    require_layer(layer)
    tokens = token_rows(tokens)
    a, b = slot_task(tokens, p, slot)
    where, steps, rows = [slot_position(slot, position)], [], []
    for step, model in checkpoints_of(checkpoints, tokens=tokens, n_read=max(where) + 1):
        if head is None:
            name = f"blocks.{layer}.hook_resid_post"
            vectors = activations_at(model, tokens, name, positions=where, batch_size=batch_size)
        else:
            vectors = head_outputs(model, tokens, layer=layer, head=head, positions=where, batch_size=batch_size)
        steps.append(step)
        rows.append(pearson_similarity(vectors[:, 0]))
    coords = {"checkpoint": steps, "pair": np.arange(p * p), "other_pair": np.arange(p * p)}
    attrs = {"p": p, "a": a, "b": b, "slot": slot, "position": position, "layer": layer, "head": head}
    return CosineSimilarity.of_arrays({"similarity": torch.stack(rows)}, coords, attrs)
