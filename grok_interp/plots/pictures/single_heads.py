"""Each head ablated alone: what copying and loss lose without it, against its induction score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grok_interp.analysis.ablation_arguments import named
from grok_interp.analysis.induction import InductionScores
from grok_interp.analysis.single_ablation import SingleAblation
from grok_interp.plots.drawing import Drawing, Panel, on_one_scale
from grok_interp.plots.marks import Axis, Level, Points
from grok_interp.plots.pictures.ablation import only
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import layer_color

CHANGES = {  # axis and scale
    "per_token": (Axis("change of per-token accuracy", "percentage points", format="+.1f"), 100),
    "loss": (Axis("change of validation loss", "nats", format="+.3f"), 1),
}


@picture()
def single_heads(results: Sequence[SingleAblation], scores: InductionScores) -> Drawing:
    """What the ablation of each head changes at the last checkpoint, against its I(L, H).

    One column per way to ablate, one row per measure, one dot per head, one color per layer. Bars: 95% intervals over
    samples, paired with the intact model.

    Args:
        results: of the same last checkpoint.
        scores: of that checkpoint, too.

    Raises:
        ValueError: for no result, and for scores of other checkpoints.

    Example:
        >>> from grok_interp import CopyTask, Transformer, induction_scores, preset, repeated_tokens
        >>> from grok_interp.analysis.single_ablation import single_ablation
        >>> model = Transformer(preset("copier-tiny"), seed=0)
        >>> samples = CopyTask.fitting(64, n_samples=3).sample()
        >>> tokens = repeated_tokens(n_sequences=2, half=8, alphabet=range(40), seed=0)
        >>> alone = single_ablation(model, samples, samples.context, how="zero")
        >>> single_heads([alone], induction_scores(model, tokens))
        Drawing of 2 panels: change of per-token accuracy (percentage points) against I(L, H); ...
    """
    step = only([int(result.at()["checkpoint"]) for result in results])
    induction = scores.at(step)["I"].to_numpy()
    panels = []
    for measure, (axis, _) in CHANGES.items():
        row = [
            Panel(
                Axis("I(L, H)", format=".2f"),
                axis,
                [_layer(result, measure, layer, of_layer) for layer, of_layer in enumerate(induction)],
                result.dataset.attrs["how"],
                [Level(0, dash="-")],
            )
            for result in results
        ]
        panels += on_one_scale(row)
    return Drawing(panels, columns=len(results), title="each head ablated alone", step=step)


def _layer(result: SingleAblation, measure: str, layer: int, scores: np.ndarray) -> Points:
    scale = CHANGES[measure][1]
    effects = (result.effect(measure), *result.effect_interval(measure))
    change, low, high = (scale * each.sel(layer=layer).isel(checkpoint=-1).to_numpy() for each in effects)
    names = [named([(layer, head)]) for head in range(len(scores))]
    style = {"texts": names, "noun": "heads", "low": low, "high": high}
    return Points(scores, change, f"layer {layer}", layer_color(layer), names, **style)
