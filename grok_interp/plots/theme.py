"""Colors and sizes of every picture, in one place. The palette is Okabe and Ito's, safe for color-blind readers."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import Colormap, ListedColormap, to_hex, to_rgb

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
GRAY, LIGHT_GRAY, SHADED = "#808080", "#999999", "#d9d9d9"
LAYER_COLORS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, BLACK, YELLOW)
DIVERGING, SEQUENTIAL, WHITE_TO_BLUE, WHITE_TO_GREEN = "RdBu_r", "viridis", "Blues", "Greens"
WITH_WHITE = (DIVERGING, WHITE_TO_BLUE, WHITE_TO_GREEN)  # where nothing is: on a dark page it is black
OKLAB_TO_CONES = np.array([[1, 1, 1], [0.39633778, -0.10556135, -0.08948418], [0.21580376, -0.06385417, -1.29148555]])
CONES_TO_RGB = np.array(
    [
        [4.07674166, -1.26843800, -0.00419609],
        [-3.30771159, 2.60975740, -0.70341861],
        [0.23096993, -0.34131940, 1.70761470],
    ]
)  # linear light (Ottosson, "A perceptual color space for image processing", 2020)
DASHES = ("-", "--", ":", "-.")
COLUMN, FULL = 190.0, 397.0  # widths on paper in points: a column of two, the text of a NeurIPS page
TYPE, LEAST_TYPE = 8, 7  # points: labels and titles; ticks, color keys and notes
STYLE: dict[Any, Any] = {
    "font.size": TYPE,
    "axes.titlesize": TYPE,
    "axes.labelsize": TYPE,
    "figure.titlesize": TYPE,
    "xtick.labelsize": LEAST_TYPE,
    "ytick.labelsize": LEAST_TYPE,
    "legend.fontsize": LEAST_TYPE,
    "legend.title_fontsize": LEAST_TYPE,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.titlepad": 4,
    "axes.labelpad": 2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "legend.columnspacing": 1.2,
    "figure.dpi": 150,  # of a notebook
    "svg.fonttype": "none",
    "svg.hashsalt": "grok_interp",  # the same result gives the same file
    "pdf.fonttype": 42,
}


def layer_color(layer: int) -> str:
    """Layers beyond the palette begin it again."""
    return LAYER_COLORS[layer % len(LAYER_COLORS)]


def ordered_colors(n: int) -> list[str]:
    """Colors for n things in an order, dark to light; each can be seen on white and on the dark page of a report.

    Args:
        n: how many.
    """
    return [to_hex(colormap(SEQUENTIAL)(float(place))) for place in np.linspace(0.3, 0.88, n)]


def cyclic_colors(n: int) -> list[str]:
    """Colors for n things in a circle: the last is as near to the first as any two neighbors.

    Equal steps of hue at one lightness and one chroma of OKLCH, so that none looks brighter than another, on white or
    on the dark page of a report.

    Args:
        n: how many.
    """
    angles = 2 * np.pi * np.arange(n) / n
    lab = np.stack([np.full(n, 0.65), 0.11 * np.cos(angles), 0.11 * np.sin(angles)], axis=1)
    linear = np.clip((lab @ OKLAB_TO_CONES) ** 3 @ CONES_TO_RGB, 0, 1)
    return [
        to_hex(color) for color in np.where(linear < 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    ]


def colormap(colors: str | tuple[str, ...]) -> Colormap:
    """Matplotlib's map of a name; of several colors, one for each step of a scale."""
    return matplotlib.colormaps[colors] if isinstance(colors, str) else ListedColormap(list(colors))


def colorscale(colors: str | tuple[str, ...]) -> list[tuple[float, str]]:
    """The same map as plotly takes it: places from 0 to 1 with their colors."""
    chosen = colormap(colors)
    if isinstance(chosen, ListedColormap) and not isinstance(colors, str):
        edges = np.linspace(0, 1, len(colors) + 1)
        return [(float(edge), color) for i, color in enumerate(colors) for edge in edges[i : i + 2]]
    return [(float(place), to_hex(chosen(place))) for place in np.linspace(0, 1, 33)]


def is_dark(color: Any) -> bool:
    """Is text on this color white?"""
    red, green, blue = to_rgb(color)
    return 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
