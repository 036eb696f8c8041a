"""Which algorithm's pattern the output of each block shows over training."""

from __future__ import annotations

from collections.abc import Sequence

from grok_interp.analysis.kaleidoscope import PATTERNS, Kaleidoscope
from grok_interp.plots.drawing import Drawing, Panel, on_one_scale
from grok_interp.plots.marks import TRAINING_STEP, Axis, Line, Shade
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import DASHES, layer_color


@picture(Kaleidoscope, several=True)
def kaleidoscopes(blocks: Sequence[Kaleidoscope]) -> Drawing:
    """Rank correlation of each block's similarities with each pattern against the training step.

    A panel for each position. Shaded: below the largest 95% quantile of shuffled pairs.

    Args:
        blocks: one result for each block and position.

    Example:
        >>> from grok_interp import Transformer, cosine_similarity, kaleidoscope, preset, slot_sequences
        >>> model = Transformer(preset("modular-tiny"), seed=0)
        >>> tokens = slot_sequences((2, 1), 5, slot=1, n_examples=8, seed=0)
        >>> found = cosine_similarity(model, p=5, tokens=tokens, slot=1, position="z", layer=0)
        >>> kaleidoscopes([kaleidoscope(found, seed=0)])
        Drawing of 1 panel: Spearman's rank correlation against training step (updates)
    """
    positions = sorted({block.dataset.attrs["position"] for block in blocks})
    chance = float(max(block["null_q95"].max() for block in blocks))
    panels = [
        Panel(
            TRAINING_STEP,
            Axis("Spearman's rank correlation"),
            [line for block in blocks if block.dataset.attrs["position"] == position for line in _lines(block)],
            f"at {position}",
            shades=[Shade(0, chance, "below 95% of shuffled pairs")],
        )
        for position in positions
    ]
    return Drawing(on_one_scale(panels), columns=len(positions))


def _lines(block: Kaleidoscope) -> list[Line]:
    layer, values = block.dataset.attrs["layer"], block["spearman"]
    curves = {pattern: values.sel(pattern=pattern).to_numpy() for pattern in PATTERNS}
    return [
        Line(values["checkpoint"].to_numpy(), curve, f"block {layer}, {pattern}", layer_color(layer), dash=dash)
        for (pattern, curve), dash in zip(curves.items(), DASHES, strict=False)
    ]
