"""Pictures: a result in, a `Drawing` out; `on_paper` and `on_screen` draw it. Pictures compute nothing.

Every picture of `plots/pictures` is a name of this module: `plots.shot_curves`, `plots.copying_and_loss`.
`draw(result)` finds the one of a result.
"""

from typing import TYPE_CHECKING, Any

from grok_interp.plots.attention import AttentionView, attention_view
from grok_interp.plots.drawing import Drawing, KeyEntry, Panel
from grok_interp.plots.marks import TRAINING_STEP, Axis, Cells, ColorScale, Level, Line, Points, Shade
from grok_interp.plots.paper import on_paper, save_figure
from grok_interp.plots.registry import draw, every_picture
from grok_interp.plots.screen import on_screen
from grok_interp.plots.theme import cyclic_colors, layer_color, ordered_colors

__all__ = [  # pyright: ignore[reportUnsupportedDunderAll]
    "TRAINING_STEP",
    "AttentionView",
    "Axis",
    "Cells",
    "ColorScale",
    "Drawing",
    "KeyEntry",
    "Level",
    "Line",
    "Panel",
    "Points",
    "Shade",
    "attention_view",
    "cyclic_colors",
    "draw",
    "layer_color",
    "on_paper",
    "on_screen",
    "ordered_colors",
    "every_picture",
    "save_figure",
    *every_picture(),
]

globals().update(every_picture())

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...
