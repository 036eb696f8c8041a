"""Fourier analysis of the number embeddings over training: spectra, restricted and excluded loss, top frequencies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from grok_interp.analysis.fourier import GROUPS, FourierSpectrum
from grok_interp.analysis.fourier_loss import FourierLoss
from grok_interp.analysis.fourier_top import TopFrequencyFraction
from grok_interp.views.theme import BLACK, BLUE, VERMILION, new_figure

GROUP_COLORS = dict(zip(GROUPS, (BLUE, VERMILION), strict=True))
GROUP_TITLES = {
    "additive": "additive characters of $Z_p$",
    "multiplicative": "multiplicative characters of $Z_p^*$",
}
DASHES = {"restricted": "-", "excluded": "--"}
STEPS = "training step (updates)"
BELOW: dict[str, Any] = {"fontsize": 7, "loc": "upper left", "bbox_to_anchor": (0, -0.18)}


def plot_fourier(spectrum: FourierSpectrum, losses: Sequence[FourierLoss], tops: TopFrequencyFraction) -> Figure:
    """Spectra of both groups against step (above), losses and top-frequency fraction (below).

    Args:
        spectrum: two checkpoints or more.
        losses: full, restricted and excluded loss, one result for each group.
        tops: the fraction of the variance in the top frequencies.

    Returns:
        A figure of four panels and, for the spectra, a color bar. Bands are one standard error over contexts; dotted
        lines are chance: ln p for the loss, the 95% quantile of shuffled numbers for the fraction.

    Raises:
        ValueError: for a spectrum of one checkpoint, which has no training to show.
    """
    if spectrum.array.sizes["checkpoint"] < 2:
        raise ValueError("a picture over training needs two checkpoints or more, the spectrum has 1: analyze a series")
    with new_figure(8.4, 6.6, nrows=2, ncols=2, sharex=True) as (figure, axes):
        limit = float(spectrum.array.max())
        images = [_spectrum(axis, spectrum, group, limit) for axis, group in zip(axes[0], GROUPS, strict=True)]
        figure.colorbar(images[0], ax=axes[0], label="fraction of the variance")
        _losses(axes[1, 0], losses)
        _tops(axes[1, 1], tops)
        for axis in axes[1]:
            axis.set_xlabel(STEPS)
    return figure


def _spectrum(axis: Any, spectrum: FourierSpectrum, group: str, limit: float) -> Any:
    """One row per frequency; a checkpoint's column reaches half way to its neighbors."""
    values = spectrum.array.sel(group=group).transpose("frequency", "checkpoint")
    image = axis.pcolormesh(
        values["checkpoint"], values["frequency"], values, shading="nearest", cmap="viridis", vmin=0, vmax=limit
    )
    axis.set(title=GROUP_TITLES[group], ylabel="frequency")
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    axis.grid(False)
    return image


def _losses(axis: Any, losses: Sequence[FourierLoss]) -> None:
    _band(axis, losses[0], "full", color=BLACK, label="full")
    for found in losses:
        group = found.array.attrs["group"]
        key = ", ".join(map(str, found.array.attrs["frequencies"]))
        for condition, dashes in DASHES.items():
            style = {"color": GROUP_COLORS[group], "ls": dashes, "label": f"{condition}: {group} frequency {key}"}
            _band(axis, found, condition, **style)
    axis.axhline(math.log(losses[0].array.attrs["p"]), color="0.5", lw=0.8, ls=":", label="chance, ln p")
    axis.set(ylabel="loss of the answers (nats)", ylim=(0, None))
    axis.legend(**BELOW)


def _band(axis: Any, found: FourierLoss, condition: str, *, color: str, **style: Any) -> None:
    mean, error = (found.array.sel(measure=measure, condition=condition) for measure in ("loss", "loss_se"))
    axis.plot(mean["checkpoint"], mean, color=color, **style)
    axis.fill_between(mean["checkpoint"], mean - error, mean + error, color=color, alpha=0.2, lw=0)


def _tops(axis: Any, tops: TopFrequencyFraction) -> None:
    for group, color in GROUP_COLORS.items():
        values = tops.array.sel(group=group)
        axis.plot(values["checkpoint"], values.sel(measure="fraction"), color=color, label=group)
        quantile = values.sel(measure="null_q95")
        axis.plot(values["checkpoint"], quantile, color=color, lw=1, ls=":", label=f"{group}, 95% quantile of shuffles")
    n_key = tops.array.attrs["n_key"]
    axis.set(ylabel=f"fraction of the variance\nin the top {n_key} {_plural(n_key)}", ylim=(0, 1))
    axis.legend(**BELOW)


def _plural(n: int) -> str:
    return "frequency" if n == 1 else "frequencies"
