"""The attention patterns of all heads on one sequence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grok_interp.analysis.attention import AttentionMaps
from grok_interp.plots.drawing import Drawing, Panel
from grok_interp.plots.marks import Axis, Cells, ColorScale
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import WHITE_TO_BLUE


@picture(AttentionMaps)
def attention_patterns(maps: AttentionMaps, tokens: Sequence[str] | None = None) -> Drawing:
    """A panel for each head, one layer in a row.

    Args:
        maps: of one sequence.
        tokens: as strings; positions if None.

    Raises:
        ValueError: for another number of tokens than the maps have.

    Example:
        >>> from grok_interp import Transformer, attention_maps, preset, repeated_tokens
        >>> model = Transformer(preset("copier-tiny"), seed=0)
        >>> tokens = repeated_tokens(n_sequences=1, half=8, alphabet=range(40), seed=0)
        >>> attention_patterns(attention_maps(model, tokens))
        Drawing of 4 panels: query against key
    """
    n_layers, n_heads, n_tokens, _ = maps["pattern"].shape
    names = [str(position) for position in range(n_tokens)] if tokens is None else list(tokens)
    if len(names) != n_tokens:
        raise ValueError(f"the maps are over {n_tokens} tokens, got {len(names)} token strings")
    places, scale = list(range(n_tokens)), ColorScale("attention", (0, 1), WHITE_TO_BLUE, format=".3f")
    ticks = dict(enumerate(names))
    pairs = np.array([[f"{query} attends to {key}" for key in names] for query in names], dtype=object)
    panels = [
        Panel(
            Axis("key", ticks=ticks),
            Axis("query", ticks=ticks, reversed=True),
            [Cells(maps.of(layer, head).to_numpy(), places, places, scale, names=pairs)],
            f"L{layer}H{head}",
            square=True,
        )
        for layer, head in np.ndindex(n_layers, n_heads)
    ]
    return Drawing(panels, columns=n_heads)
