"""Controls of an ablation: other heads, as many, whose loss tells what losing any head costs.

Two kinds: random heads of the same layers, and the heads whose attention is about as spread as the ablated ones'.
A head's spread is its attention entropy in nats, the mean over queries q of

    - sum over keys k of  A[L, H, q, k] ln A[L, H, q, k],   between 0 (one key) and the mean of ln(q + 1) (uniform)

A head that belongs to the same circuit is no control, though its entropy be the nearest: an induction head's sharpest
neighbour is often the previous-token head that it reads. Heads named in `spared` are never taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import comb, prod

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from grok_interp.activations import HookedModel, mean_of_patterns
from grok_interp.analysis.ablated_model import Head, named


def random_controls(
    heads: Sequence[Head], *, n_heads: int, n_draws: int, seed: int, spared: Sequence[Head] = ()
) -> list[tuple[Head, ...]]:
    """Distinct sets of other heads, each with as many heads of every layer as `heads` has.

    Raises ValueError when too few heads, or too few sets of them, are left.
    """
    needed = Counter(layer for layer, _ in heads)
    taken = {*heads, *spared}
    left = {layer: [head for head in range(n_heads) if (layer, head) not in taken] for layer in needed}
    for layer, n in needed.items():
        if n > len(left[layer]):
            raise ValueError(
                f"{n} control heads are needed in layer {layer} and {len(left[layer])} of its {n_heads} are left: "
                f"ablate fewer than {named(sorted(heads))}"
            )
    n_sets = prod(comb(len(left[layer]), n) for layer, n in needed.items())
    if not 1 <= n_draws <= n_sets:
        raise ValueError(f"the heads left give {n_sets} sets of controls for {named(heads)}, got n_draws {n_draws}")
    generator, drawn = np.random.default_rng(seed), {}
    while len(drawn) < n_draws:
        picks = {layer: sorted(generator.permutation(left[layer])[:n].tolist()) for layer, n in needed.items()}
        drawn[tuple((layer, head) for layer, picked in picks.items() for head in picked)] = True
    return list(drawn)


def entropy_controls(
    heads: Sequence[Head], entropies: Float[Tensor, "layer head"], *, spared: Sequence[Head] = ()
) -> tuple[Head, ...]:
    """For each head in turn, the nearest in entropy of those left, of any layer.

    Raises ValueError when too few heads are left.
    """
    n_layers, n_heads = entropies.shape
    taken = {*heads, *spared}
    left = [(layer, head) for layer in range(n_layers) for head in range(n_heads) if (layer, head) not in taken]
    if len(left) < len(heads):
        raise ValueError(
            f"{len(heads)} control heads are needed and {len(left)} of the model's {n_layers * n_heads} are left: "
            f"ablate fewer than {named(heads)}"
        )
    nearest: list[Head] = []
    for head in heads:
        distances = [abs(float(entropies[other] - entropies[head])) for other in left]
        nearest.append(left.pop(int(np.argmin(distances))))
    return tuple(nearest)


def attention_entropy(pattern: Float[Tensor, "batch head query key"]) -> Float[Tensor, " head"]:
    """Kernel: the mean over queries, in nats; keys without attention add nothing."""
    pattern = pattern.float()
    return -torch.xlogy(pattern, pattern).sum(dim=-1).mean(dim=(0, 2))


def attention_entropies(
    model: HookedModel, tokens: Int64[Tensor, "batch pos"], *, batch_size: int = 16
) -> Float[Tensor, "layer head"]:
    """Of every head of one model."""
    return mean_of_patterns(model, tokens, attention_entropy, batch_size=batch_size)
