"""Copying in natural text drawn: the loss at first occurrences and at repeats of n-grams, and the difference."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grok_interp.analysis.natural_copying import NaturalCopying
from grok_interp.views.theme import BLACK, BLUE, SKY, VERMILION, new_figure

LOSSES = {"first": ("first occurrence", BLUE), "repeat": ("repeat", VERMILION)}
DIFFERENCES = {
    "benefit": ("first occurrence minus repeat", BLACK),
    "position": ("effect of position alone", SKY),
}


def plot_natural_copying(result: NaturalCopying) -> Figure:
    """Two panels against the training step, with bands of 95% over documents.

    Left: the loss on the same tokens at first occurrences and at repeats. Right: their difference, beside the
    difference of unrepeated tokens at the same positions. Copying is the gap between the two.

    Args:
        result: of `natural_copying`, at one checkpoint or more.
    """
    attrs = result.array.attrs
    with new_figure(7.2, 3.2, ncols=2, sharex=True) as (figure, (losses, differences)):
        for measure, (label, color) in LOSSES.items():
            _draw(losses, result, measure, label=label, color=color)
        losses.set(ylabel="loss (nats per token)", ylim=(0, None))
        differences.axhline(0, color="0.5", lw=0.8)
        for measure, (label, color) in DIFFERENCES.items():
            _draw(differences, result, measure, label=label, color=color)
        differences.set_ylabel("loss difference (nats per token)")
        for axis in (losses, differences):
            axis.set_xlabel("training step (updates)")
        figure.legend(loc="outside lower center", ncols=4)
        figure.suptitle(
            f"tokens after the same {attrs['n']} tokens: {attrs['n_pairs']:,} pairs, {attrs['n_documents']} documents",
            fontsize="medium",
        )
    return figure


def _draw(axis: Axes, result: NaturalCopying, measure: str, *, label: str, color: str) -> None:
    mean, low, high = result.of(measure).transpose("estimate", "checkpoint").to_numpy()
    steps = result.array["checkpoint"].to_numpy()
    axis.fill_between(steps, low, high, color=color, alpha=0.2, lw=0)
    axis.plot(steps, mean, color=color, label=label, marker="o" if len(steps) == 1 else None)
