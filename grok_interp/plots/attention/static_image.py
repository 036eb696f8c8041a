"""One head as a PNG, for where no script may run."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from grok_interp.plots.attention.quantized import Fault
from grok_interp.plots.theme import BLUE, STYLE, VERMILION

WEIGHTS = LinearSegmentedColormap.from_list("weights", ["white", BLUE])
MOST_LABELS = 64


def static_png(
    weights: Float[np.ndarray, "query key"], faults: UInt8[np.ndarray, " query"], tokens: Sequence[str], title: str
) -> bytes:
    n_tokens = len(tokens)
    picture, size = io.BytesIO(), 2.0 + min(5.0, 0.15 * n_tokens)
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        figure = Figure(figsize=(size, size), layout="constrained")
        axis = figure.add_subplot()
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a font that lacks a token's letters
        axis.imshow(weights, cmap=WEIGHTS, vmin=0, vmax=1, interpolation="nearest")
        for query in np.flatnonzero(faults):
            hatch = "xxxx" if faults[query] == Fault.NOT_A_NUMBER else "////"
            axis.axhspan(query - 0.5, query + 0.5, facecolor="none", edgecolor=VERMILION, hatch=hatch, lw=0)
        places = np.arange(0, n_tokens, -(-n_tokens // MOST_LABELS))
        labels = [tokens[int(place)].replace("$", r"\$") for place in places]
        axis.set_xticks(places, labels, rotation=90, fontsize=6)
        axis.set_yticks(places, labels, fontsize=6)
        axis.set(xlabel="key", ylabel="query", title=title)
        axis.grid(False)
        figure.savefig(picture, format="png", dpi=100, metadata={"Software": None})
    return picture.getvalue()
