"""How circular each head is over training."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr

from grok_interp.analysis.circularity import Circularity
from grok_interp.plots.drawing import Drawing, Panel
from grok_interp.plots.marks import TRAINING_STEP, Axis, Level, Line
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import DASHES, layer_color


@picture(Circularity, several=True)
def circularity(heads: Sequence[Circularity]) -> Drawing:
    """Circularity of each head against the training step, and how far it passes the 95% quantile of shuffled labels.

    Args:
        heads: one result for each head; a color for each layer, dashes for its heads.

    Example:
        >>> from grok_interp import Transformer, circle_pca, preset, slot_sequences, circularity as scores_of
        >>> model = Transformer(preset("modular-tiny"), seed=0)
        >>> tokens = slot_sequences((2, 1), 5, slot=1, n_examples=8, seed=0)
        >>> found = circle_pca(model, p=5, tokens=tokens, slot=1, layer=0, head=0)
        >>> circularity([scores_of(found, seed=0)])
        Drawing of 2 panels: circularity against training step (updates); ...
    """
    measured = [_line(head, head["circularity"]) for head in heads]
    margins = [_line(head, head.margin()) for head in heads]
    panels = [
        Panel(TRAINING_STEP, Axis("circularity", limits=(0, 1)), measured),
        Panel(TRAINING_STEP, Axis("circularity above 95% of shuffled labels"), margins, levels=[Level(0, dash="-")]),
    ]
    return Drawing(panels, columns=2)


def _line(head: Circularity, curve: xr.DataArray) -> Line:
    layer, number = head.dataset.attrs["layer"], head.dataset.attrs["head"]
    dash = DASHES[number % len(DASHES)]
    steps = curve["checkpoint"].to_numpy()
    return Line(steps, curve.to_numpy(), f"L{layer}H{number}", layer_color(layer), dash=dash)
