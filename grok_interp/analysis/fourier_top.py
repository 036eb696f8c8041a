"""Fraction of the variance of the number embeddings in their k top frequencies, against two chance levels.

    top(k) = sum of the k largest s(f)

with s(f) the spectrum of fourier.py, for each group and each checkpoint: between 2 k / (p - 1) and 1, or 0 where the
embeddings do not vary. The top frequencies are those of the same checkpoint. The largest of several fractions exceeds
their mean by chance, the more so the fewer directions the embeddings vary in. So the number is only meaningful beside
its null distributions:

    null       which number has which embedding is shuffled (see shuffles.py): the same vectors in no order. Shuffled
               are the elements of the group, so 0 keeps its embedding in the multiplicative one.
    gaussian   independent Gaussian embeddings, as at the initialization. The Fourier modes are then independent too,
               and the spectrum has exactly the distribution Dirichlet(d_model m(f) / 2), with m(f) modes at frequency
               f: 2, but 1 at (p - 1) / 2 of the multiplicative group.

The null with shuffled numbers is the stricter one for trained embeddings, which vary in few directions. At p = 7 and
k = 1 it has little power: 48 of the 720 orders of 1 .. 6 keep the multiplicative frequency 2 whole (circularity.py).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from grok_interp.analysis.checkpoints_of import EMBEDDING, WithEmbedding, checkpoints_of
from grok_interp.analysis.embedding import number_embeddings
from grok_interp.analysis.fourier import (
    GROUPS,
    group_elements,
    require_n_key,
    variance_fractions,
)
from grok_interp.analysis.shuffles import N_SHUFFLES, NULL_OF_FRACTION, mean_and_quantile, shuffled_orders
from grok_interp.arguments import checked
from grok_interp.data.discrete_log import primitive_root
from grok_interp.results.result import Measure, Result

GAUSSIAN_SPECTRA, N_GAUSSIAN = 7, 10_000  # which stream of random numbers a seed is used for, and how many are drawn


class TopFrequencyFraction(Result):
    """Fraction (0 to 1) of the variance in the k top frequencies, with mean and 95% quantile of both nulls."""

    name = "top_frequency_fraction"
    dims = ("group", "checkpoint")
    measures: ClassVar = {
        "fraction": Measure("fraction of the variance in the top frequencies", "fraction"),
        **NULL_OF_FRACTION,
        "gaussian_mean": Measure("mean over Gaussian embeddings", "fraction"),
        "gaussian_q95": Measure("95% quantile of Gaussian embeddings", "fraction"),
    }

    def expected(self) -> xr.Dataset:
        """The fraction and its null: the Gaussian one does not depend on the model."""
        return self.dataset[["fraction", *NULL_OF_FRACTION]]

    def __str__(self) -> str:
        last, k = self.at(), self.dataset.attrs["n_key"]
        shown = [
            f"{group} {float(at['fraction']):.0%} (95% of shuffles below {float(at['null_q95']):.0%})"
            for group, at in ((group, last.sel(group=group)) for group in GROUPS)
        ]
        return (
            f"fraction of the variance in the top {k} frequencies at the last checkpoint: "
            f"{', '.join(shown)}{self.warning()}"
        )


def top_sum(fractions: Float[Tensor, "*rows frequency"], n_key: int) -> Float[Tensor, "*rows"]:
    """The sum of the `n_key` largest fractions. Kernel.

    Args:
        fractions: of the variance, one per frequency, between 0 and 1.
        n_key: how many are added, from 1.
    """
    return fractions.topk(n_key, dim=-1).values.sum(dim=-1)


def gaussian_spectra(group: str, p: int, d_model: int, *, n_draws: int, seed: int) -> Float[Tensor, "draw frequency"]:
    """Spectra of `n_draws` independent Gaussian embeddings of `d_model` features. Kernel.

    Args:
        group: "additive" or "multiplicative".
        p: the modulus.
        d_model: features of an embedding.
        n_draws: number of embeddings.
        seed: draws them.
    """
    modes = np.full((p - 1) // 2, 2.0)
    if group == "multiplicative":
        modes[-1] = 1.0
    generator = np.random.default_rng((seed, GAUSSIAN_SPECTRA))
    return torch.from_numpy(generator.dirichlet(d_model * modes / 2, size=n_draws)).float()


@checked
def top_frequency_fraction(
    checkpoints: WithEmbedding,
    p: int,
    *,
    n_key: int,
    seed: int,
    n_shuffles: int = N_SHUFFLES,
    root: int | None = None,
) -> TopFrequencyFraction:
    """The fraction of the variance in the top frequencies of both groups at every checkpoint, and its chance levels.

    Args:
        checkpoints: a run, a series or any iterable of (step, model); the models need `W_E` only.
        p: the modulus, a prime of 3 or more; tokens 0 .. p - 1 are the numbers.
        n_key: how many frequencies are summed (k), between 1 and (p - 1) / 2.
        seed: draws the shuffles, the same at every checkpoint, and the Gaussian spectra.
        n_shuffles: how many shuffles, 20 or more.
        root: a primitive root; the smallest one if None. The fraction does not depend on it, the shuffles drawn do.

    Returns:
        `fraction`, `null_mean`, `null_q95`, `gaussian_mean` and `gaussian_q95` by group and checkpoint, each 0 to 1.

    Raises:
        ValueError: if there is no checkpoint, `p` is no odd prime, `n_key` or `n_shuffles` is out of range, `root` is
            not primitive or the vocabulary has fewer than p tokens.

    Example:

        >>> from grok_interp import load_reference, top_frequency_fraction
        >>> tops = top_frequency_fraction(load_reference("modular-p11"), p=11, n_key=1, seed=0)
        >>> dict(tops["fraction"].sizes)
        {'group': 2, 'checkpoint': 11}
    """
    root = primitive_root(p) if root is None else root
    orders = {group: group_elements(group, p, root) for group in GROUPS}
    require_n_key(n_key, (p - 1) // 2)
    shuffles = {group: shuffled_orders(len(order), n_shuffles=n_shuffles, seed=seed) for group, order in orders.items()}
    steps, rows = [], []
    for step, model in checkpoints_of(checkpoints, needs=EMBEDDING):
        vectors = number_embeddings(model, p)
        steps.append(step)
        measured = [_of_group(vectors[orders[group]], shuffles[group], n_key) for group in GROUPS]
        chance = [_gaussian(group, p, vectors.shape[1], n_key, seed) for group in GROUPS]
        rows.append(torch.cat([torch.stack(measured, dim=1), torch.stack(chance, dim=1)]))
    arrays = dict(zip(TopFrequencyFraction.measures, torch.stack(rows, dim=-1), strict=True))
    attrs = {"p": p, "root": root, "n_key": n_key, "seed": seed, "n_shuffles": n_shuffles}
    return TopFrequencyFraction.of_arrays(arrays, {"group": list(GROUPS), "checkpoint": steps}, attrs)


def _of_group(vectors: Tensor, shuffles: Tensor, n_key: int) -> Float[Tensor, " measure"]:
    """The fraction itself, and mean and quantile over shuffles."""
    fraction, null = (top_sum(variance_fractions(each), n_key) for each in (vectors, vectors[shuffles]))
    return torch.cat([fraction[None], mean_and_quantile(null)])


def _gaussian(group: str, p: int, d_model: int, n_key: int, seed: int) -> Float[Tensor, " measure"]:
    spectra = gaussian_spectra(group, p, d_model, n_draws=N_GAUSSIAN, seed=seed)
    return mean_and_quantile(top_sum(spectra, n_key))
