"""Exact-match accuracy string by string over training."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr

from grok_interp.analysis.copying import CopyingAccuracy
from grok_interp.analysis.string_accuracy import exact_by_string
from grok_interp.plots.drawing import Drawing, Panel
from grok_interp.plots.marks import TRAINING_STEP, Axis, Line
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import ordered_colors


@picture()
def strings(*runs: Sequence[CopyingAccuracy]) -> Drawing:
    """One line for each queried string, darkest for the first, with 95% intervals; a panel for each alphabet.

    Args:
        runs: of each run, accuracies of the same checkpoints, one for each alphabet. The intervals of one run are
            Wilson's over samples; of several runs the mean is drawn, with t-intervals over seeds.

    Example:
        >>> from grok_interp import load_reference
        >>> from grok_interp.studies import copying
        >>> run = load_reference("copier-mini")
        >>> results = copying.analyze(run)
        >>> strings(results.accuracies, results.accuracies)
        Drawing of 2 panels: exact-match accuracy (%) against training step (updates)
    """
    accuracies = [exact_by_string(of_alphabet) for of_alphabet in zip(*runs, strict=True)]
    y = Axis("exact-match accuracy", "%", limits=(0, 100), format=".1f")
    panels = [
        Panel(TRAINING_STEP, y, _lines(each), f"{each.attrs['alphabet']} strings ({each.attrs['over']})")
        for each in accuracies
    ]
    return Drawing(panels, columns=len(panels))


@picture(CopyingAccuracy, several=True)
def strings_of_run(accuracies: Sequence[CopyingAccuracy]) -> Drawing:
    """`strings` of one run.

    Args:
        accuracies: of the same checkpoints, one for each alphabet.

    Example:
        >>> from grok_interp import load_reference
        >>> from grok_interp.studies import copying
        >>> run = load_reference("copier-mini")
        >>> results = copying.analyze(run)
        >>> strings_of_run(results.accuracies)
        Drawing of 2 panels: exact-match accuracy (%) against training step (updates)
    """
    return strings(accuracies)


def _lines(accuracy: xr.DataArray) -> list[Line]:
    steps, indices = accuracy["checkpoint"].to_numpy(), accuracy["sequence"].to_numpy().tolist()
    values = (100 * accuracy).transpose("sequence", "estimate", "checkpoint").to_numpy()
    return [
        Line(steps, mean, f"string {index}", color, low=low, high=high)
        for index, color, (mean, low, high) in zip(indices, ordered_colors(len(indices)), values, strict=True)
    ]
