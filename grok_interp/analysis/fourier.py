"""Fourier spectrum of the number embeddings, over two groups: Z_p and its multiplicative group Z_p^*.

Let v_0 .. v_{n-1} be the embeddings (rows of W_E) of the n elements of a group, in the order of the group:

    additive         n = p      v_j = W_E[j]              additive characters of Z_p
    multiplicative   n = p - 1  v_j = W_E[g^j mod p]      multiplicative characters of Z_p^*; g a primitive root

The multiplicative spectrum is thus a DFT over discrete logarithms; the number 0 has none and is left out. With
V(f) = sum over j of v_j exp(-2 pi i f j / n), the fraction of the variance at frequency f is

    s(f) = w(f) |V(f)|^2 / (n sum over j of |v_j - mean|^2),      w(f) = 2, but w(n / 2) = 1

for f = 1 .. (p - 1) / 2 in both groups: f and -f are one frequency, and f = 0 is the mean, which is removed. The
fractions are between 0 and 1 and sum to 1 (Parseval); they are all 0 where the embeddings do not vary.

In expectation, independent Gaussian embeddings have w(f) / (n - 1) at frequency f: a cosine and a sine, but at
(p - 1) / 2 of the multiplicative group one mode only, the quadratic character (see `parity_separation`). Multiplying
all numbers by a unit permutes the additive frequencies and leaves the multiplicative spectrum unchanged; another
primitive root permutes the multiplicative frequencies.

Nanda et al. 2023 (arXiv 2301.05217) take the norm of the Fourier components of W_E over Z_p. These are the same
components, squared and divided by the variance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from grok_interp.analysis.checkpoints_of import EMBEDDING, WithEmbedding, checkpoints_of
from grok_interp.analysis.embedding import number_embeddings
from grok_interp.arguments import checked
from grok_interp.counted import counted
from grok_interp.data.discrete_log import discrete_log, primitive_root
from grok_interp.results.result import Measure, Result

GROUPS = ("additive", "multiplicative")


class FourierSpectrum(Result):
    """Fraction (0 to 1) of the variance of the number embeddings at each frequency of each group."""

    name = "fourier_spectrum"
    dims = ("group", "checkpoint", "frequency")
    measures: ClassVar = {"fraction": Measure("fraction of the variance", "fraction")}

    @checked
    def key_frequencies(self, group: str, n_key: int, step: int | None = None) -> tuple[int, ...]:
        """The frequencies of largest variance at one checkpoint.

        Args:
            group: "additive" or "multiplicative".
            n_key: how many, between 1 and (p - 1) / 2.
            step: a step of this result; the last one if None.

        Returns:
            `n_key` frequencies, largest variance first.

        Raises:
            ValueError: for an unknown group, for `n_key` out of range, for a step that was not analyzed and for one
                whose embeddings are not finite.
        """
        require_group(group)
        require_n_key(n_key, self.dataset.sizes["frequency"])
        at = self.at(step)["fraction"]
        if bool(at.isnull().any()):
            raise ValueError(
                f"the embeddings at step {int(at['checkpoint'])} are not finite and have no key frequencies: choose "
                "them at another step"
            )
        fractions = at.sel(group=group).to_series()
        largest = fractions.sort_values(ascending=False, kind="stable").index[:n_key]
        return tuple(int(frequency) for frequency in largest)

    def __str__(self) -> str:
        sizes, last, tops = self.dataset.sizes, self.at()["fraction"], []
        for group in GROUPS if bool(last.notnull().all()) else ():
            top = self.key_frequencies(group, 1)[0]
            tops.append(f"{group} frequency {top} ({float(last.sel(group=group, frequency=top)):.0%})")
        return (
            f"spectra of {self.dataset.attrs['p']} number embeddings at {counted(sizes['checkpoint'], 'checkpoint')}; "
            f"most variance at the last: {', '.join(tops) or 'undefined'}{self.warning()}"
        )


def variance_fractions(vectors: Float[Tensor, "*rows element feature"]) -> Float[Tensor, "*rows frequency"]:
    """s(f) for f = 1 .. n / 2 (rounded down) of n vectors in group order. Kernel.

    Args:
        vectors: one per element, in group order.
    """
    centered = vectors.double() - vectors.double().mean(dim=-2, keepdim=True)
    power = torch.fft.rfft(centered, dim=-2, norm="ortho").abs().square().sum(dim=-1)[..., 1:]
    n = vectors.shape[-2]
    single = torch.arange(1, n // 2 + 1) * 2 == n
    power = torch.where(single, power, 2 * power)
    variance = centered.square().sum(dim=(-2, -1))
    return (power / variance.clamp_min(torch.finfo(variance.dtype).tiny)[..., None]).float()


def projection(
    vectors: Float[Tensor, "element feature"], frequencies: Sequence[int]
) -> Float[Tensor, "element feature"]:
    """The part of n vectors in group order that lies at these frequencies; the mean is no part of it. Kernel.

    Args:
        vectors: one per element, in group order.
        frequencies: from 1 to half the number of elements, rounded down.
    """
    modes = torch.fft.rfft(vectors.double(), dim=0)
    kept = torch.zeros_like(modes)
    kept[list(frequencies)] = modes[list(frequencies)]
    return torch.fft.irfft(kept, n=len(vectors), dim=0).to(vectors.dtype)


def group_elements(group: str, p: int, root: int) -> Int64[Tensor, " element"]:
    """The numbers of a group in its order: 0 .. p - 1, or root^0, root^1, ... modulo p.

    Args:
        group: "additive" or "multiplicative".
        p: the modulus, a prime.
        root: primitive modulo p.

    Raises:
        ValueError: for an unknown group, for p below 3 or no prime and for a root that is not primitive.
    """
    require_group(group)
    if p < 3:
        raise ValueError(f"a spectrum needs p of 3 or more, got {p}: its multiplicative group has no frequency")
    logs = discrete_log(p, root)
    return torch.arange(p) if group == "additive" else 1 + logs[1:].argsort()


@checked
def fourier_spectrum(checkpoints: WithEmbedding, p: int, *, root: int | None = None) -> FourierSpectrum:
    """The spectrum of W_E[0 .. p - 1] over both groups at every checkpoint.

    Args:
        checkpoints: a run, a series or any iterable of (step, model); the models need `W_E` only.
        p: the modulus, a prime of 3 or more; tokens 0 .. p - 1 are the numbers.
        root: the primitive root that discrete logarithms are taken to; the smallest one if None. It names the
            multiplicative frequencies and changes nothing else.

    Returns:
        Fractions of the variance with dims (group, checkpoint, frequency), frequency 1 .. (p - 1) / 2.

    Raises:
        ValueError: if there is no checkpoint, `p` is no odd prime, `root` is not primitive or the vocabulary has fewer
            than p tokens.

    Example:

        >>> from grok_interp import fourier_spectrum, load_reference
        >>> spectrum = fourier_spectrum(load_reference("modular-p11"), p=11)
        >>> spectrum.key_frequencies("multiplicative", n_key=1)
        (4,)
    """
    root = primitive_root(p) if root is None else root
    orders = [group_elements(group, p, root) for group in GROUPS]
    steps, rows = [], []
    for step, model in checkpoints_of(checkpoints, needs=EMBEDDING):
        vectors = number_embeddings(model, p)
        steps.append(step)
        rows.append(torch.stack([variance_fractions(vectors[order]) for order in orders]))
    coords = {"group": list(GROUPS), "checkpoint": steps, "frequency": np.arange(1, (p + 1) // 2)}
    return FourierSpectrum.of_arrays({"fraction": torch.stack(rows, dim=1)}, coords, {"p": p, "root": root})


def require_group(group: str) -> None:
    """Raises ValueError for another name than those of GROUPS.

    Args:
        group: a name.
    """
    if group not in GROUPS:
        raise ValueError(f"group must be one of {', '.join(GROUPS)}, got {group!r}")


def require_n_key(n_key: int, n_frequencies: int) -> None:
    """Raises ValueError for no frequency and for more than there are.

    Args:
        n_key: how many frequencies are kept.
        n_frequencies: how many there are.
    """
    if not 1 <= n_key <= n_frequencies:
        raise ValueError(f"n_key must be between 1 and the {n_frequencies} frequencies of each group, got {n_key}")
