"""Colors, measured."""

import numpy as np
from matplotlib.colors import to_rgb

from grok_interp.plots.theme import cyclic_colors

WHITE, DARK_PAGE = 1.0, 0.0095  # luminance


def luminance(color: str) -> float:
    channels = np.array(to_rgb(color))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def test_colors_of_a_circle_differ_in_hue_and_not_in_lightness() -> None:
    colors = cyclic_colors(11)
    shown = np.array([luminance(color) for color in colors])
    assert shown.max() / shown.min() < 1.3, "pure hues differ tenfold: yellow is bright and blue is dark"
    assert ((WHITE + 0.05) / (shown + 0.05)).min() > 3 and ((shown + 0.05) / (DARK_PAGE + 0.05)).min() > 3
    around = np.array([to_rgb(color) for color in [*colors, colors[0]]])
    steps = np.linalg.norm(np.diff(around, axis=0), axis=1)
    assert len(set(colors)) == 11 and steps.max() < 2.5 * steps.min(), "the last is as near to the first as neighbors"
