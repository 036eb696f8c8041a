"""PCA of the embeddings of the numbers 0 .. p - 1 (B.5 of "Learning to grok").

In the paper's model of two layers the first three components put the numbers of even and of odd discrete logarithm on
two planes, 0 between them. `parity_separation` says how far that is so, between 0 and 1: of the component that
separates best, the fraction of variance over 1 .. p - 1 that lies between the two classes (the squared correlation with
the parity). 1: two parallel planes; 0: both classes have the same mean. Even logarithms are the squares modulo p: no
primitive root is needed to tell. The null shuffles which numbers are even and again takes the best component.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from grok_interp.analysis.arguments import require_count
from grok_interp.analysis.checkpoints_of import EMBEDDING, EmbeddingModel, WithEmbedding, checkpoints_of
from grok_interp.analysis.circles import principal_components
from grok_interp.analysis.shuffles import N_SHUFFLES, NULL_OF_FRACTION, mean_and_quantile, shuffled_orders
from grok_interp.arguments import checked
from grok_interp.counted import counted
from grok_interp.data.discrete_log import discrete_log, primitive_root
from grok_interp.results.result import Measure, Result


class EmbeddingPCA(Result):
    """Components of every number's embedding, and what each explains; the coordinate `log` is a number's logarithm."""

    name = "embedding_pca"
    dims = ("checkpoint", "number", "component")
    measures: ClassVar = {
        "projection": Measure("principal component", "1"),
        "explained": Measure("fraction of the variance", "fraction", ("checkpoint", "component")),
    }

    def __str__(self) -> str:
        sizes = self.dataset.sizes
        return (
            f"embeddings of {sizes['number']} numbers at {counted(sizes['checkpoint'], 'checkpoint')}; "
            f"{sizes['component']} components explain {float(self['explained'][-1].sum(skipna=False)):.0%} at the "
            f"last{self.warning()}"
        )


class ParitySeparation(Result):
    """Separation of even from odd logarithms (0 to 1), by which component, and the null distribution."""

    name = "parity_separation"
    dims = ("checkpoint",)
    measures: ClassVar = {
        "separation": Measure("parity separation", "fraction"),
        "component": Measure("component that separates best", "1"),
        **NULL_OF_FRACTION,
    }

    def __str__(self) -> str:
        last = {name: float(value) for name, value in self.at().items()}
        return (
            f"parity separation {last['separation']:.2f} along component {last['component']:.0f} at the last "
            f"checkpoint; shuffled {last['null_mean']:.2f}, 95% of {self.dataset.attrs['n_shuffles']} below "
            f"{last['null_q95']:.2f}{self.warning()}"
        )


def between_class_fraction(
    values: Float[Tensor, "point component"], even: Bool[Tensor, "*shuffle point"]
) -> Float[Tensor, "*shuffle component"]:
    """Of each component, the variance between the means of two classes over all variance; 0 if it has none. Kernel.

    Args:
        values: points x components.
        even: which points are of one class; several shuffles at once.
    """
    centered = (values - values.mean(dim=0)).double()
    of_even = even.double().mean(dim=-1, keepdim=True)
    mean = even.double() @ centered / even.sum(dim=-1, keepdim=True)  # of the even ones; the odd ones balance it
    variance = centered.square().mean(dim=0).clamp_min(torch.finfo(centered.dtype).tiny)
    return (mean.square() * of_even / (1 - of_even) / variance).float()


def number_embeddings(model: EmbeddingModel, p: int) -> Float[Tensor, "number d_model"]:
    """Rows 0 .. p - 1 of a model's W_E, in float32 on the CPU.

    Raises ValueError for a vocabulary of fewer than p tokens.

    Args:
        model: its first p tokens are the numbers.
        p: the modulus.
    """
    if len(model.W_E) < p:
        raise ValueError(f"embeddings of 0..{p - 1} were asked for, the vocabulary has {len(model.W_E)} tokens")
    return model.W_E[:p].detach().float().cpu()


@checked
def embedding_pca(
    checkpoints: WithEmbedding, p: int, *, n_components: int = 3, root: int | None = None
) -> EmbeddingPCA:
    """The principal components of the embeddings of 0 .. p - 1, for each (step, model).

    Args:
        checkpoints: a run, one model, or any iterable of (step, model); models need `W_E` only.
        p: the modulus, a prime.
        n_components: how many are kept, 1 to p.
        root: a primitive root mod p, to which logarithms are taken; the smallest if None.

    Returns:
        Projections by checkpoint, number and component, with the discrete logarithms of the numbers.

    Raises:
        ValueError: for a root that is not primitive and for a vocabulary of fewer than p tokens.

    Example:
        >>> from grok_interp import Transformer, preset
        >>> embedding_pca(Transformer(preset("modular-tiny"), seed=0), 5).dataset.sizes["component"]
        3
    """
    root = primitive_root(p) if root is None else root
    require_count(n_components, "n_components", most=p)
    logs = discrete_log(p, root).numpy()
    steps, components, explained = [], [], []
    for step, model in checkpoints_of(checkpoints, needs=EMBEDDING):
        found, fractions = principal_components(number_embeddings(model, p), n_components)
        steps.append(step)
        components.append(found)
        explained.append(fractions)
    coords = {
        "checkpoint": steps,
        "number": np.arange(p),
        "component": np.arange(n_components),
        "log": ("number", logs),
    }
    arrays = {"projection": torch.stack(components), "explained": torch.stack(explained)}
    return EmbeddingPCA.of_arrays(arrays, coords, {"p": p, "root": root})


@checked
def parity_separation(embedding: EmbeddingPCA, *, seed: int, n_shuffles: int = N_SHUFFLES) -> ParitySeparation:
    """Of every checkpoint, each against the same shuffles.

    Args:
        embedding: the principal components.
        seed: draws the shuffles.
        n_shuffles: of the parities.

    Raises:
        ValueError: for p = 2, which has one logarithm.
    """
    even = torch.as_tensor(embedding.dataset["log"].to_numpy()[1:] % 2 == 0)
    if len(even) < 2:
        raise ValueError("parity separation needs p of 3 or more, got 2: its one logarithm is even")
    shuffled = even[shuffled_orders(len(even), n_shuffles=n_shuffles, seed=seed)]
    rows = []
    for values in embedding["projection"].to_numpy():
        numbers = torch.as_tensor(values[1:])
        best, null = (between_class_fraction(numbers, parity).max(dim=-1) for parity in (even, shuffled))
        component = best.indices.where(best.values.isfinite(), torch.nan)  # NaN is not the best of components
        rows.append(torch.cat([best.values[None], component[None], mean_and_quantile(null.values)]))
    arrays = dict(zip(ParitySeparation.measures, torch.stack(rows, dim=1), strict=True))
    attrs = embedding.dataset.attrs | {"seed": seed, "n_shuffles": n_shuffles}
    return ParitySeparation.of_arrays(arrays, {"checkpoint": embedding.dataset["checkpoint"].to_numpy()}, attrs)
