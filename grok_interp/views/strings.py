"""Exact-match accuracy string by string over training, with 95% intervals: a panel for each alphabet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from grok_interp.analysis.copying import CopyingAccuracy
from grok_interp.analysis.string_accuracy import exact_by_string
from grok_interp.views.interactive import Line, Twin, band, line_graph
from grok_interp.views.theme import new_figure, ordered_colors

X, Y = "training step (updates)", "exact-match accuracy (%)"


def plot_strings(*runs: Sequence[CopyingAccuracy]) -> Figure:
    """One line for each queried string, darkest for the first; bands: 95% intervals.

    Args:
        runs: of each run, accuracies of the same checkpoints, one for each alphabet. The bands of one run are Wilson
            intervals over samples; of several runs the mean is drawn, with t-intervals over seeds.
    """
    accuracies = _by_alphabet(runs)
    with new_figure(3.6 * len(accuracies), 3.2, ncols=len(accuracies), sharey=True, squeeze=False) as (figure, axes):
        for axis, accuracy in zip(axes.flat, accuracies, strict=True):
            for line, low, high in _strings(accuracy):
                axis.plot(line.x, line.y, color=line.colour, lw=1.2, label=line.name)
                axis.fill_between(line.x, low, high, color=line.colour, alpha=0.15, lw=0)
            axis.set(xlabel=X, title=_title(accuracy), ylim=(0, 100))
        axes.flat[0].set_ylabel(Y)
        handles, labels = axes.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(5, len(labels)))
    return figure


def strings_twin(*runs: Sequence[CopyingAccuracy]) -> Twin:
    """The same panels, interactive; the legend switches a string off in all of them."""
    accuracies = _by_alphabet(runs)
    graphs, legend = [], []
    for accuracy in accuracies:
        strings = _strings(accuracy)
        legend = [line for line, _, _ in strings]
        bands = [band(line, low, high) for line, low, high in strings]
        graphs.append(
            line_graph([*bands, *legend], x=X, y=Y, title=_title(accuracy), y_range=(0, 100), decimals=1, height=320)
        )
    steps = accuracies[0]["checkpoint"].to_numpy().tolist()
    return Twin(graphs, steps, legend, columns=len(accuracies))


def _by_alphabet(runs: Sequence[Sequence[CopyingAccuracy]]) -> list[xr.DataArray]:
    return [exact_by_string(of_alphabet) for of_alphabet in zip(*runs, strict=True)]


def _strings(accuracy: xr.DataArray) -> list[tuple[Line, np.ndarray, np.ndarray]]:
    """Of each queried string: its line, and the low and high ends of its band."""
    steps, indices = accuracy["checkpoint"].to_numpy(), accuracy["sequence"].to_numpy().tolist()
    strings = (100 * accuracy).transpose("sequence", "estimate", "checkpoint").to_numpy()
    return [
        (Line(f"string {index}", steps, values, color, width=1.5), low, high)
        for index, color, (values, low, high) in zip(indices, ordered_colors(len(indices)), strings, strict=True)
    ]


def _title(accuracy: xr.DataArray) -> str:
    return f"{accuracy.attrs['alphabet']} strings ({accuracy.attrs['over']})"
