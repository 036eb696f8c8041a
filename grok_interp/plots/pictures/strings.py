"""Exact-match accuracy string by string over training."""

from __future__ import annotations

from collections.abc import Sequence

from grok_interp.analysis.copying import CopyingAccuracy
from grok_interp.plots.drawing import Drawing, Panel
from grok_interp.plots.marks import TRAINING_STEP, Axis, Line
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import ordered_colors


@picture(CopyingAccuracy, several=True)
def strings(accuracies: Sequence[CopyingAccuracy]) -> Drawing:
    """One line for each queried string, darkest for the first; bands: 95% Wilson intervals over samples.

    Args:
        accuracies: of the same checkpoints, one for each alphabet.
    """
    y = Axis("exact-match accuracy", "%", limits=(0, 100), format=".1f")
    panels = [
        Panel(
            TRAINING_STEP,
            y,
            _lines(each),
            f"{each.array.attrs.get('alphabet', '')} strings ({each.n_samples:,} samples)".strip(),
        )
        for each in accuracies
    ]
    return Drawing(panels, columns=len(accuracies))


def _lines(accuracy: CopyingAccuracy) -> list[Line]:
    steps, values = accuracy.array["checkpoint"].to_numpy(), 100 * accuracy.per_sequence()
    bounds = (100 * accuracy.per_sequence_interval()).transpose("sequence", "bound", "checkpoint").to_numpy()
    indices = accuracy.array["sequence"].to_numpy().tolist()
    return [
        Line(steps, values.sel(sequence=index).to_numpy(), f"string {index}", color, low=low, high=high)
        for index, color, (low, high) in zip(indices, ordered_colors(len(indices)), bounds, strict=True)
    ]
