"""A score of every head at once, each head at its place, over training."""

from __future__ import annotations

import numpy as np
import xarray as xr

from grok_interp.analysis.induction import InductionScores
from grok_interp.arguments.strings import text
from grok_interp.plots.drawing import Drawing, Panel
from grok_interp.plots.marks import Axis, Cells, ColorScale
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import DIVERGING


@picture()
def head_map(scores: xr.DataArray, *, label: str, unit: str = "") -> Drawing:
    """One cell for each head, white at 0; follows the training step where there are several checkpoints.

    Args:
        scores: checkpoint x layer x head, or one checkpoint of it, between -1 and 1.
        label: of the score.
        unit: of the score.

    Example:
        >>> from grok_interp import load_reference
        >>> from grok_interp.studies import copying
        >>> run = load_reference("copier-mini")
        >>> results = copying.analyze(run)
        >>> head_map(results.induction["EP"], label="EP")
        Drawing of 1 panel: layer against head
    """
    label = text(label, "label", "I(L, H)")
    if "checkpoint" not in scores.dims:
        scores = scores.expand_dims(checkpoint=[int(scores.coords.get("checkpoint", 0))])
    layers, heads = (_places(scores, dim) for dim in ("layer", "head"))
    names = np.array([[f"L{layer}H{head}" for head in heads] for layer in layers], dtype=object)
    scale = ColorScale(label, (-1, 1), DIVERGING, unit)
    frames = {
        int(step): [Cells(values, heads, layers, scale, names=names)]
        for step, values in zip(
            scores["checkpoint"].values, scores.transpose("checkpoint", "layer", "head").to_numpy(), strict=True
        )
    }
    return Drawing([Panel(Axis("head", whole=True), Axis("layer", whole=True), frames=frames)])


@picture(InductionScores)
def induction_map(scores: InductionScores) -> Drawing:
    """I(L, H) of every head, each at its place, over training.

    Args:
        scores: of one checkpoint or more.

    Example:
        >>> from grok_interp import load_reference
        >>> from grok_interp.studies import copying
        >>> run = load_reference("copier-mini")
        >>> results = copying.analyze(run)
        >>> induction_map(results.induction)
        Drawing of 1 panel: layer against head
    """
    return head_map(scores["I"], label="I(L, H)")


def _places(scores: xr.DataArray, dim: str) -> list[int]:
    return list(range(scores.sizes[dim]))
