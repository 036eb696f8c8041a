"""Copying in natural text: the loss at first occurrences and at repeats of n-grams, and the difference."""

from __future__ import annotations

from grok_interp.analysis.natural_copying import NaturalCopying
from grok_interp.counted import counted
from grok_interp.plots.drawing import Drawing, Panel
from grok_interp.plots.marks import TRAINING_STEP, Axis, Level, Line
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import BLACK, BLUE, SKY, VERMILION

LOSSES = {"first": ("first occurrence", BLUE), "repeat": ("repeat", VERMILION)}
DIFFERENCES = {
    "benefit": ("first occurrence minus repeat", BLACK),
    "position": ("effect of position alone", SKY),
}


@picture(NaturalCopying)
def natural_copying(result: NaturalCopying) -> Drawing:
    """Two panels against the training step, with 95% intervals over documents.

    Left: the loss on the same tokens at first occurrences and at repeats. Right: their difference, beside the
    difference of unrepeated tokens at the same positions. Copying is the gap between the two.

    Args:
        result: at every checkpoint of a run.

    Example:
        >>> from grok_interp import Transformer, natural_copying as measured, preset, repeated_tokens
        >>> model = Transformer(preset("copier-tiny"), seed=0)
        >>> tokens = repeated_tokens(n_sequences=2, half=16, alphabet=range(40), seed=0)
        >>> natural_copying(measured(model, tokens, n=3))
        Drawing of 2 panels: loss (nats per token) against training step (updates); ...
    """
    attrs = result.dataset.attrs
    panels = [
        Panel(
            TRAINING_STEP,
            Axis("loss", "nats per token", limits=(0, None)),
            [_line(result, measure, *style) for measure, style in LOSSES.items()],
        ),
        Panel(
            TRAINING_STEP,
            Axis("loss difference", "nats per token"),
            [_line(result, measure, *style) for measure, style in DIFFERENCES.items()],
            levels=[Level(0, dash="-")],
        ),
    ]
    sizes = f"{counted(attrs['n_pairs'], 'pair')}, {counted(attrs['n_documents'], 'document')}"
    title = f"tokens after the same {attrs['n']} tokens: {sizes}"
    return Drawing(panels, columns=2, title=title)


def _line(result: NaturalCopying, measure: str, label: str, color: str) -> Line:
    mean, low, high = result[measure].transpose("estimate", "checkpoint").to_numpy()
    return Line(result.dataset["checkpoint"].to_numpy(), mean, label, color, low=low, high=high)
