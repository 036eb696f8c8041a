"""Fourier analysis of the number embeddings over training: spectra, restricted and excluded loss, top frequencies."""

from __future__ import annotations

import math
from collections.abc import Sequence

from grok_interp.analysis.fourier import GROUPS, FourierSpectrum
from grok_interp.analysis.fourier_loss import FourierLoss
from grok_interp.analysis.fourier_top import TopFrequencyFraction
from grok_interp.arguments.objects import require_some
from grok_interp.plots.drawing import Drawing, Panel
from grok_interp.plots.marks import TRAINING_STEP, Axis, Cells, ColorScale, Dash, Level, Line
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import BLACK, BLUE, VERMILION

GROUP_COLORS = dict(zip(GROUPS, (BLUE, VERMILION), strict=True))
GROUP_TITLES = {"additive": "additive characters of Z_p", "multiplicative": "multiplicative characters of Z_p*"}
CONDITION_DASHES: dict[str, Dash] = {"restricted": "-", "excluded": "--"}


@picture()
def fourier(spectrum: FourierSpectrum, losses: Sequence[FourierLoss], tops: TopFrequencyFraction) -> Drawing:
    """Spectra of both groups against the training step (above), losses and top-frequency fraction (below).

    Args:
        spectrum: two checkpoints or more.
        losses: full, restricted and excluded loss, one result for each group.
        tops: the fraction of the variance in the top frequencies.

    Raises:
        ValueError: for a spectrum of one checkpoint, which has no training to show.

    Example:
        >>> from grok_interp import Transformer, preset, slot_sequences
        >>> from grok_interp import fourier_losses, fourier_spectrum, top_frequency_fraction
        >>> models = [(step, Transformer(preset("modular-tiny"), seed=step)) for step in (0, 10)]
        >>> tokens = slot_sequences((2, 1), 5, slot=1, n_examples=8, seed=0)
        >>> losses = fourier_losses(models, p=5, tokens=tokens, group="additive", frequencies=(1,))
        >>> tops = top_frequency_fraction(models, p=5, n_key=1, seed=0)
        >>> fourier(fourier_spectrum(models, p=5), [losses], tops)
        Drawing of 4 panels: frequency against training step (updates); ...
    """
    parts = fourier_spectra(spectrum), fourier_losses(losses), top_frequencies(tops)
    return Drawing([panel for part in parts for panel in part.panels], columns=2)


@picture(FourierSpectrum)
def fourier_spectra(spectrum: FourierSpectrum) -> Drawing:
    """A panel for each group: the fraction of the variance of each frequency, against the training step.

    Args:
        spectrum: at two checkpoints or more.

    Raises:
        ValueError: for a spectrum of one checkpoint, which has no training to show.

    Example:
        >>> from grok_interp import Transformer, fourier_spectrum, preset
        >>> models = [(step, Transformer(preset("modular-tiny"), seed=step)) for step in (0, 10)]
        >>> fourier_spectra(fourier_spectrum(models, p=5))
        Drawing of 2 panels: frequency against training step (updates)
    """
    if spectrum.dataset.sizes["checkpoint"] < 2:
        raise ValueError("a picture over training needs two checkpoints or more, the spectrum has 1: analyze a series")
    scale = ColorScale("fraction of the variance", (0, float(spectrum["fraction"].max())), format=".3f")
    steps, frequencies = (spectrum.dataset[dim].values.tolist() for dim in ("checkpoint", "frequency"))
    arrays = {group: spectrum["fraction"].sel(group=group).transpose("frequency", "checkpoint") for group in GROUPS}
    panels = [
        Panel(
            TRAINING_STEP,
            Axis("frequency", whole=True, format=".0f"),
            [Cells(array.to_numpy(), steps, frequencies, scale)],
            GROUP_TITLES[group],
        )
        for group, array in arrays.items()
    ]
    return Drawing(panels, columns=2)


@picture(FourierLoss, several=True)
def fourier_losses(losses: Sequence[FourierLoss]) -> Drawing:
    """Full, restricted and excluded loss of both groups; bands are one standard error over contexts.

    Args:
        losses: one result for each group.

    Example:
        >>> from grok_interp import Transformer, fourier_losses as losses_of, preset, slot_sequences
        >>> model = Transformer(preset("modular-tiny"), seed=0)
        >>> tokens = slot_sequences((2, 1), 5, slot=1, n_examples=8, seed=0)
        >>> fourier_losses([losses_of(model, p=5, tokens=tokens, group="additive", frequencies=(1,))])
        Drawing of 1 panel: loss of the answers (nats) against training step (updates)
    """
    require_some(losses, "losses")
    lines = [_loss(losses[0], "full", "full", BLACK)]
    for found in losses:
        group = found.dataset.attrs["group"]
        frequencies = ", ".join(map(str, found.dataset.attrs["frequencies"]))
        for condition, dash in CONDITION_DASHES.items():
            label = f"{condition}: {group} frequency {frequencies}"
            lines.append(_loss(found, condition, label, GROUP_COLORS[group], dash))
    chance = Level(math.log(losses[0].dataset.attrs["p"]), "chance, ln p", ":")
    return Drawing(
        [Panel(TRAINING_STEP, Axis("loss of the answers", "nats", limits=(0, None)), lines, levels=[chance])]
    )


@picture(TopFrequencyFraction)
def top_frequencies(tops: TopFrequencyFraction) -> Drawing:
    """The fraction of the variance in the top frequencies of both groups; dotted: 95% quantile of shuffled numbers.

    Args:
        tops: of both groups over training.

    Example:
        >>> from grok_interp import Transformer, preset, top_frequency_fraction
        >>> model = Transformer(preset("modular-tiny"), seed=0)
        >>> top_frequencies(top_frequency_fraction(model, p=5, n_key=1, seed=0))
        Drawing of 1 panel: fraction of the variance in the top 1 frequency against training step (updates)
    """
    lines = []
    for group, color in GROUP_COLORS.items():
        of_group = tops.dataset.sel(group=group)
        steps = of_group["checkpoint"].to_numpy()
        fraction, quantile = (of_group[each].to_numpy() for each in ("fraction", "null_q95"))
        lines.append(Line(steps, fraction, group, color))
        lines.append(Line(steps, quantile, f"{group}, 95% quantile of shuffles", color, dash=":", width=0.8))
    n_key = tops.dataset.attrs["n_key"]
    top = f"the top {n_key} {'frequency' if n_key == 1 else 'frequencies'}"
    return Drawing([Panel(TRAINING_STEP, Axis(f"fraction of the variance in {top}", limits=(0, 1)), lines)])


def _loss(found: FourierLoss, condition: str, label: str, color: str, dash: Dash = "-") -> Line:
    mean, low, high = (each.to_numpy() for each in (found.loss(condition), *found.interval(condition)))
    return Line(found.dataset["checkpoint"].to_numpy(), mean, label, color, dash=dash, low=low, high=high)
