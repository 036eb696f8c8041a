"""Exact-match accuracy string by string over training, with 95% intervals over samples: a panel for each alphabet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from grok_interp.analysis.copying import CopyingAccuracy
from grok_interp.views.interactive import Line, Twin, band, line_graph
from grok_interp.views.theme import new_figure, ordered_colors

X, Y = "training step (updates)", "exact-match accuracy (%)"


def plot_strings(accuracies: Sequence[CopyingAccuracy]) -> Figure:
    """One line for each queried string, darkest for the first; bands: 95% Wilson intervals over samples.

    Args:
        accuracies: of the same checkpoints, one for each alphabet.
    """
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


def strings_twin(accuracies: Sequence[CopyingAccuracy]) -> Twin:
    """The same panels, interactive; the legend switches a string off in all of them."""
    graphs, legend = [], []
    for accuracy in accuracies:
        strings = _strings(accuracy)
        legend = [line for line, _, _ in strings]
        bands = [band(line, low, high) for line, low, high in strings]
        graphs.append(
            line_graph([*bands, *legend], x=X, y=Y, title=_title(accuracy), y_range=(0, 100), decimals=1, height=320)
        )
    steps = accuracies[0].array["checkpoint"].to_numpy().tolist()
    return Twin(graphs, steps, legend, columns=len(accuracies))


def _strings(accuracy: CopyingAccuracy) -> list[tuple[Line, np.ndarray, np.ndarray]]:
    """Of each queried string: its line, and the low and high ends of its band."""
    steps, values = accuracy.array["checkpoint"].to_numpy(), 100 * accuracy.per_sequence()
    bounds = (100 * accuracy.per_sequence_interval()).transpose("sequence", "bound", "checkpoint").to_numpy()
    indices = accuracy.array["sequence"].to_numpy().tolist()
    return [
        (Line(f"string {index}", steps, values.sel(sequence=index).to_numpy(), color, width=1.5), low, high)
        for index, color, (low, high) in zip(indices, ordered_colors(len(indices)), bounds, strict=True)
    ]


def _title(accuracy: CopyingAccuracy) -> str:
    return f"{accuracy.array.attrs['alphabet']} strings ({accuracy.n_samples:,} samples)"
