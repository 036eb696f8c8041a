"""One head as a PNG with a color bar: a figure, and what is shown where no script may run."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from grok_interp.plots.attention.quantized import Fault, pooled
from grok_interp.plots.theme import BLUE, STYLE, VERMILION

WEIGHTS = LinearSegmentedColormap.from_list("weights", ["white", BLUE])
MOST_LABELS, LABEL_INCHES = 64, 0.8
MOST_PIXELS = 512  # of more tokens a cell is the largest of a block


def static_png(
    weights: Float[np.ndarray, "query key"], faults: UInt8[np.ndarray, " query"], tokens: Sequence[str], title: str
) -> bytes:
    n_tokens, factor = len(tokens), -(-len(tokens) // MOST_PIXELS)
    picture, size = io.BytesIO(), 2.0 + min(5.0, 0.15 * n_tokens)
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        figure = Figure(figsize=(size + 0.8, size), layout="constrained")
        axis = figure.add_subplot()
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a font that lacks a token's letters
        extent = (-0.5, n_tokens - 0.5, n_tokens - 0.5, -0.5)
        cells = pooled(weights, factor)
        image = axis.imshow(cells, cmap=WEIGHTS, vmin=0, vmax=1, interpolation="nearest", extent=extent)
        scale = f"attention weight, the largest of {factor} x {factor}" if factor > 1 else "attention weight"
        figure.colorbar(image, label=scale, shrink=0.8)
        for query in np.flatnonzero(faults):
            hatch = "xxxx" if faults[query] == Fault.NOT_A_NUMBER else "////"
            axis.axhspan(query - 0.5, query + 0.5, facecolor="none", edgecolor=VERMILION, hatch=hatch, lw=0)
        places = range(0, n_tokens, -(-n_tokens // MOST_LABELS))
        numbered = [f"{place:,} " if n_tokens > MOST_LABELS else "" for place in places]
        labels = [number + tokens[place].replace("$", r"\$") for number, place in zip(numbered, places, strict=True)]
        axis.spines[:].set_position(("outward", 2))  # on the first row and column they would hide them
        axis.set_xticks(places, labels, rotation=90, fontsize=6)
        axis.set_yticks(places, labels, fontsize=6)
        axis.set(xlabel="key", ylabel="query", title=title)
        axis.grid(False)
        longest = max(label.get_window_extent().width for label in axis.get_yticklabels()) / figure.dpi
        room = max(0.0, longest - LABEL_INCHES)  # letters that the font lacks are wide
        figure.set_size_inches(size + 0.8 + room, size + room)
        figure.savefig(picture, format="png", dpi=100, metadata={"Software": None})
    return picture.getvalue()
