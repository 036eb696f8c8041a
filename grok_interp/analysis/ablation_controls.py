"""Controls of an ablation: other heads, as many, whose loss tells what losing any head costs.

Two kinds: random heads of the same layers, and the heads whose attention is about as spread as the ablated ones'.
A head's spread is its attention entropy in nats, the mean over queries q of

    - sum over keys k of  A[L, H, q, k] ln A[L, H, q, k],   between 0 (one key) and the mean of ln(q + 1) (uniform)

An induction head that is not ablated is no control, and neither is a head of the same circuit, though its entropy be
the nearest: an induction head's sharpest neighbor is often the previous-token head that it reads. Heads named in
`spared` are never taken. Where a layer has too few other heads, those of other layers take their place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import comb

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from grok_interp.analysis.ablation_arguments import Head, named
from grok_interp.models.activations import HookedModel, mean_of_patterns


def random_controls(
    heads: Sequence[Head],
    *,
    n_heads: int,
    n_draws: int,
    seed: int,
    spared: Sequence[Head] = (),
    n_layers: int | None = None,
) -> list[tuple[Head, ...]]:
    """Distinct sets of other heads, each with as many heads of every layer as `heads` has.

    Args:
        heads: the ablated heads.
        n_heads: heads of a layer.
        n_draws: sets to draw, 1 or more.
        seed: of the draws.
        spared: heads that are never taken.
        n_layers: layers of the model, whose heads take the place of those that a layer of `heads` has too few of;
            without it there must be enough in the same layers.

    Raises:
        ValueError: when too few heads, or too few sets of them, are left.
    """
    needed, left = Counter(layer for layer, _ in heads), _left(heads, spared, n_heads, n_layers)
    for layer, n in needed.items():
        if n_layers is None and n > len(left[layer]):
            raise ValueError(
                f"{n} control heads are needed in layer {layer} and {len(left[layer])} of its {n_heads} are left: "
                f"ablate fewer than {named(sorted(heads))}"
            )
    n_sets = n_control_sets(heads, spared, n_heads, n_layers)
    if not 1 <= n_draws <= n_sets:
        raise ValueError(f"the heads left give {n_sets} sets of controls for {named(heads)}, got n_draws {n_draws}")
    generator, drawn = np.random.default_rng(seed), {}
    while len(drawn) < n_draws:
        picks = {layer: generator.permutation(left[layer])[:n].tolist() for layer, n in needed.items()}
        chosen = [(layer, head) for layer, picked in picks.items() for head in picked]
        if missing := len(heads) - len(chosen):
            others = [(at, head) for at, in_layer in left.items() for head in in_layer if (at, head) not in chosen]
            chosen += [others[index] for index in generator.permutation(len(others))[:missing]]
        drawn[tuple(sorted(chosen))] = True
    return list(drawn)


def n_control_sets(heads: Sequence[Head], spared: Sequence[Head], n_heads: int, n_layers: int | None = None) -> int:
    """How many sets `random_controls` can draw; 0 when too few heads are left.

    Args:
        heads: that are ablated.
        spared: that are in no set.
        n_heads: of each layer.
        n_layers: of the model; only the layers of `heads` are drawn from if None.
    """
    needed, left = Counter(layer for layer, _ in heads), _left(heads, spared, n_heads, n_layers)
    n_sets = [1]  # by size, layer after layer: each gives as many as are needed, or all it has, or more
    for layer, in_layer in left.items():
        at_least = min(needed[layer], len(in_layer))
        of_layer = [comb(len(in_layer), n) if n >= at_least else 0 for n in range(len(in_layer) + 1)]
        n_sets = [
            sum(
                n_sets[taken] * of_layer[size - taken]
                for taken in range(len(n_sets))
                if 0 <= size - taken < len(of_layer)
            )
            for size in range(len(n_sets) + len(in_layer))
        ]
    return n_sets[len(heads)] if len(heads) < len(n_sets) else 0


def _left(heads: Sequence[Head], spared: Sequence[Head], n_heads: int, n_layers: int | None) -> dict[int, list[int]]:
    """layer -> its heads that may be controls, of all layers or of those of `heads`."""
    layers = dict.fromkeys(layer for layer, _ in heads) if n_layers is None else range(n_layers)
    taken = {*heads, *spared}
    return {layer: [head for head in range(n_heads) if (layer, head) not in taken] for layer in layers}


def entropy_controls(
    heads: Sequence[Head], entropies: Float[Tensor, "layer head"], *, spared: Sequence[Head] = ()
) -> tuple[Head, ...]:
    """For each head in turn, the nearest in entropy of those left, of any layer.

    Args:
        heads: that are ablated.
        entropies: of the attention of every head, in nats.
        spared: that are no controls.

    Raises:
        ValueError: when too few heads are left.
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
    """Kernel: the mean over queries, in nats; keys without attention add nothing.

    Args:
        pattern: attention probabilities; each query's sum to 1.
    """
    pattern = pattern.float()
    return -torch.xlogy(pattern, pattern).sum(dim=-1).mean(dim=(0, 2))


def attention_entropies(
    model: HookedModel, tokens: Int64[Tensor, "batch pos"], *, batch_size: int = 16
) -> Float[Tensor, "layer head"]:
    """Of every head of one model.

    Args:
        model: a hooked model.
        tokens: token indices, batch x pos.
        batch_size: rows per forward pass; changes memory, never the result.
    """
    return mean_of_patterns(model, tokens, attention_entropy, batch_size=batch_size)
