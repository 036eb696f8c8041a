"""Similarity of a representation over all pairs (x, y) (Figure 7 of "Learning to grok")."""

from __future__ import annotations

import math

import numpy as np

from grok_interp.analysis.similarity import CosineSimilarity, source
from grok_interp.plots.drawing import Drawing, Panel
from grok_interp.plots.marks import Axis, Cells, ColorScale
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import DIVERGING

MOST_NUMBERS = 31  # p of which every pair of pairs is drawn: a million cells, 2.5 MB in a page
SCALE = ColorScale("cosine similarity", (-1, 1), DIVERGING)


@picture(CosineSimilarity)
def similarity(similarity: CosineSimilarity, *, step: int | None = None) -> Drawing:
    """The p^2 x p^2 matrix at one step; a tick where x goes up by one, y runs in between.

    Of a p above 31 every second x and y is drawn, or every third or so, and the title says it.

    Args:
        similarity: of one checkpoint or more.
        step: the last if None.

    Raises:
        ValueError: for a step that was not analyzed.

    Example:
        >>> from grok_interp import Transformer, cosine_similarity, preset, slot_sequences
        >>> model = Transformer(preset("modular-tiny"), seed=0)
        >>> tokens = slot_sequences((2, 1), 5, slot=1, n_examples=8, seed=0)
        >>> similarity(cosine_similarity(model, p=5, tokens=tokens, slot=1, position="z", layer=0))
        Drawing of 1 panel: x (y runs within) against x' (y' runs within)
    """
    matrix, attrs = similarity.at(step)["similarity"], similarity.dataset.attrs
    every = math.ceil(attrs["p"] / MOST_NUMBERS)
    numbers = range(0, attrs["p"], every)
    pairs = [(x, y) for x in numbers for y in numbers]
    kept = [attrs["p"] * x + y for x, y in pairs]
    names = [f"({x}, {y})" for x, y in pairs]
    ticks = {len(numbers) * place: str(numbers[place]) for place in number_ticks(len(numbers))}
    cells = Cells(matrix.to_numpy()[np.ix_(kept, kept)], names, names, SCALE)
    axes = Axis("x'", "y' runs within", ticks=ticks), Axis("x", "y runs within", ticks=ticks, reversed=True)
    title = f"{source(attrs)} at {attrs['position']} of slot {attrs['slot']}, task ({attrs['a']}, {attrs['b']})"
    thinned = f"one in {every} of x and y" if every > 1 else ""
    return Drawing([Panel(*axes, [cells], thinned, square=True)], title=title, step=int(matrix["checkpoint"]))


def number_ticks(p: int) -> range:
    """The numbers 0 .. p - 1, or every third or so, that fit on an axis."""
    return range(0, p, math.ceil(p / 8))
