"""How circular are the components of `circle_pca`? Between 0 and 1, over the (p - 1)^2 pairs without a zero:

    circularity = max over k of fraction_x(k)  +  max over k of fraction_y(k)

fraction_x(k) is the fraction of the variance of the kept components, taken together, that cos and sin of
2 pi k log x / (p - 1) explain: one frequency k, the same for all components, within 1 .. (p - 3) / 2; fraction_y(k)
likewise. All frequencies together would explain every function of x, so that only the best single one counts. The
frequency (p - 1) / 2 is left out: its one mode tells even from odd logarithms, two points and no circle. A frequency k
that divides p - 1 makes a circle of (p - 1) / k points; an ellipse counts as a circle. A perfect circle of circles has
1, whichever primitive root is taken: another root renames the frequencies.

The null shuffles which number has which logarithm, the same way for x and y. What depends on x alone, in whatever
order, keeps all its variance in log x, so that the null is far from 0, the more so for small p. p = 7 has two
frequencies only. Frequency 2 fits all that is the same at x and -x, and 48 of the 720 shuffles keep these together:
more than one in twenty, so that it cannot pass the null's 95% quantile.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import xarray as xr
from jaxtyping import Float, Int64
from torch import Tensor

from grok_interp.analysis.circles import CirclePCA
from grok_interp.analysis.shuffles import N_SHUFFLES, NULL_OF_FRACTION, mean_and_quantile, shuffled_orders
from grok_interp.arguments import checked
from grok_interp.results.result import Measure, Result


class Circularity(Result):
    """Circularity, what each variable adds to it and at which frequency, and the null distribution; all but the
    frequencies between 0 and 1."""

    name = "circularity"
    dims = ("checkpoint",)
    measures: ClassVar = {
        "circularity": Measure("circularity", "fraction"),
        "fraction_x": Measure("circularity by log x", "fraction"),
        "fraction_y": Measure("circularity by log y", "fraction"),
        "frequency_x": Measure("best frequency of log x", "1"),
        "frequency_y": Measure("best frequency of log y", "1"),
        **NULL_OF_FRACTION,
    }

    def margin(self) -> xr.DataArray:
        """How far circularity is above the null's 95% quantile, by checkpoint."""
        return self["circularity"] - self["null_q95"]

    def __str__(self) -> str:
        last = {name: float(value) for name, value in self.at().items()}
        return (
            f"circularity {last['circularity']:.2f} at the last checkpoint "
            f"(log x {last['fraction_x']:z.2f}, log y {last['fraction_y']:z.2f}); shuffled {last['null_mean']:.2f}, "
            f"95% of {self.dataset.attrs['n_shuffles']} below {last['null_q95']:.2f}{self.warning()}"
        )


def mode_fractions(
    components: Float[Tensor, "x y component"], logs: Int64[Tensor, " number"]
) -> Float[Tensor, "variable frequency"]:
    """fraction_x(k) and fraction_y(k) for k = 1 .. (p - 3) / 2; zeros where the components do not vary. Kernel.

    Args:
        components: the principal components of all pairs (x, y), p x p x component.
        logs: the discrete logarithm of each number from 0 to p - 1; that of 0 is not read.
    """
    order = 1 + logs[1:].argsort()  # 1 .. p - 1 by their logarithm
    grid = components[order][:, order].double()
    grid = grid - grid.mean(dim=(0, 1))
    variance, n = grid.square().mean(dim=(0, 1)).sum(), len(order)
    curves = torch.stack([grid.mean(dim=1), grid.mean(dim=0)])  # variable logarithm component
    modes = torch.fft.rfft(curves, dim=1)[:, 1 : n // 2] / n
    fractions = 2 * modes.abs().square().sum(dim=-1) / variance.clamp_min(torch.finfo(variance.dtype).tiny)
    return fractions.float()


@checked
def circularity(circles: CirclePCA, *, seed: int, n_shuffles: int = N_SHUFFLES) -> Circularity:
    """Circularity of the projections at every checkpoint, each against the same shuffled labels.

    Args:
        circles: from `circle_pca`, with p of 5 or more.
        seed: draws the shuffles.
        n_shuffles: how many, 20 or more.

    Returns:
        The score by checkpoint, and what shuffles of the logarithms reach.

    Raises:
        ValueError: for p below 5, which has no circle.

    Example:
        >>> from grok_interp import Transformer, circle_pca, preset, slot_sequences
        >>> tokens = slot_sequences((2, 1), 5, slot=1, n_examples=3, seed=0)
        >>> circles = circle_pca(Transformer(preset("modular-tiny"), seed=0), 5, tokens, slot=1, layer=1, head=0)
        >>> circularity(circles, seed=0, n_shuffles=20).dataset.sizes["checkpoint"]
        1
    """
    p, logs = circles.dataset.sizes["x"], torch.as_tensor(circles.dataset["log_x"].to_numpy(), dtype=torch.int64)
    if p < 5:
        raise ValueError(f"circularity needs p of 5 or more, got {p}: fewer logarithms than 4 are on no circle")
    orders = shuffled_orders(p - 1, n_shuffles=n_shuffles, seed=seed)
    rows = []
    for values in circles["projection"].to_numpy():
        components = torch.as_tensor(values)
        best = mode_fractions(components, logs).max(dim=1)
        null = torch.stack([_circularity(components, torch.cat([logs[:1], logs[1:][order]])) for order in orders])
        frequencies = (best.indices + 1).where(best.values.isfinite(), torch.nan)  # NaN is not the best of frequencies
        rows.append(torch.cat([best.values.sum()[None], best.values, frequencies, mean_and_quantile(null)]))
    arrays = dict(zip(Circularity.measures, torch.stack(rows, dim=1), strict=True))
    attrs = circles.dataset.attrs | {"seed": seed, "n_shuffles": n_shuffles}
    return Circularity.of_arrays(arrays, {"checkpoint": circles.dataset["checkpoint"].to_numpy()}, attrs)


def _circularity(components: Float[Tensor, "x y component"], logs: Int64[Tensor, " number"]) -> Float[Tensor, ""]:
    return mode_fractions(components, logs).amax(dim=1).sum()
