"""In which order heads form (Figure 6 of "Language Models 'Grok' to Copy")."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grok_interp.analysis.formation import FormationOrder
from grok_interp.analysis.induction import InductionScores
from grok_interp.arguments.objects import require_some
from grok_interp.plots.drawing import Drawing, KeyEntry, Panel, on_one_scale
from grok_interp.plots.marks import TRAINING_STEP, Axis, Level, Line, Points
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import layer_color


@picture()
def formation(runs: Sequence[tuple[InductionScores, FormationOrder]]) -> Drawing:
    """I(L, H) against the training step, a panel for each run: one line per head, one color per layer.

    Dots are at a head's first step above the threshold, which is dashed.

    Args:
        runs: scores, and the order of formation by one threshold.

    Example:
        >>> from grok_interp import load_reference, formation_order
        >>> from grok_interp.studies import copying
        >>> run = load_reference("copier-mini")
        >>> results = copying.analyze(run)
        >>> formation([(results.induction, formation_order(results.induction, threshold=0.1))])
        Drawing of 1 panel: induction score I(L, H) against training step (updates)
    """
    require_some(runs, "runs")
    threshold = runs[0][1].dataset.attrs["threshold"]
    levels = [Level(threshold, f"threshold {threshold:g}")]
    panels = [
        Panel(
            TRAINING_STEP,
            Axis("induction score I(L, H)"),
            _marks(scores, order),
            f"run {number}" if len(runs) > 1 else "",
            levels,
        )
        for number, (scores, order) in enumerate(runs, start=1)
    ]
    layers = runs[0][0].dataset["layer"].to_numpy().tolist()
    key = [KeyEntry(f"layer {layer}", layer_color(layer)) for layer in layers]
    first = KeyEntry(f"first above {threshold:g}", "#444444", kind="dot", switches=False)
    return Drawing(on_one_scale(panels), columns=min(3, len(runs)), key=[*key, first])


def _marks(scores: InductionScores, order: FormationOrder) -> list[Line | Points]:
    """A line for each head, and a dot for each that formed."""
    steps, lines, onsets = scores.dataset["checkpoint"].to_numpy(), [], []
    for layer, head in np.ndindex(order["onset"].shape):
        name, color, key = f"L{layer}H{head}", layer_color(layer), f"layer {layer}"
        curve, onset = scores["I"].sel(layer=layer, head=head), order["onset"].sel(layer=layer, head=head)
        lines.append(Line(steps, curve.to_numpy(), name, color, key))
        if onset.notnull():
            height = float(curve.sel(checkpoint=onset))
            onsets.append(Points([float(onset)], [height], f"{name} formed", color, [f"{name} formed"], key, size=5))
    return [*lines, *onsets]
