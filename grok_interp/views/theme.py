"""Sizes and colours of every figure, in one place. The palette is Okabe and Ito's, told apart by the colour-blind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from grok_interp.files import write_atomically

BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, YELLOW, BLACK = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#F0E442",
    "#000000",
)
LAYER_COLOURS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, BLACK, YELLOW)
DIVERGING = "RdBu_r"
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.prop_cycle": cycler(color=LAYER_COLOURS),
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "grok_interp",  # the same result gives the same file
    "pdf.fonttype": 42,
}


def layer_colour(layer: int) -> str:
    return LAYER_COLOURS[layer % len(LAYER_COLOURS)]


def ordered_colors(n: int) -> list[str]:
    """Colors for n things in an order, dark to light; none is too light to be seen on white."""
    return [to_hex(color) for color in plt.get_cmap("viridis")(np.linspace(0, 0.85, n))]


@contextmanager
def new_figure(width: float, height: float, **subplots: Any) -> Iterator[tuple[Figure, Any]]:
    """(figure, axes) in inches, in the house style; pyplot forgets the figure, the caller keeps it."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(width, height), layout="constrained", **subplots)
        yield figure, axes
        plt.close(figure)


def save_figure(figure: Figure, stem: Path) -> list[Path]:
    """stem.svg and stem.pdf, without dates inside."""
    written = []
    for suffix, metadata in ((".svg", {"Date": None}), (".pdf", {"CreationDate": None})):
        path = stem.with_suffix(suffix)
        with plt.rc_context(STYLE):
            write_atomically(
                path, lambda scratch, s=suffix, m=metadata: figure.savefig(scratch, format=s[1:], metadata=m)
            )
        written.append(path)
    return written
