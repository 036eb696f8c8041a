"""Final copying accuracy against the synthetic data."""

from __future__ import annotations

import numpy as np

from grok_interp.analysis.copying_diagram import CopyingDiagram
from grok_interp.plots.drawing import Drawing, Panel
from grok_interp.plots.marks import Axis, Cells, ColorScale
from grok_interp.plots.registry import picture


@picture(CopyingDiagram)
def copying_diagram(diagram: CopyingDiagram) -> Drawing:
    """Exact-match accuracy by the fractions of windows with copies and of random windows.

    Each cell is the mean over seeds, with half of their range and their number.

    Args:
        diagram: of the runs of a sweep.

    Example:
        >>> from grok_interp import load_reference, copying_diagram as diagram_of
        >>> from grok_interp.studies import copying
        >>> run = load_reference("copier-mini")
        >>> results = copying.analyze(run)
        >>> copying_diagram(diagram_of([(run.config, results.accuracy)]))
        Drawing of 1 panel: fraction of windows with copies against fraction of random windows
    """
    mean, spread, n_seeds = diagram.mean(), diagram.spread(), diagram.n_seeds()
    texts = np.full(mean.shape, "", dtype=object)
    for place, value in np.ndenumerate(mean.values):
        if np.isfinite(value):
            seeds = int(n_seeds.values[place])
            texts[place] = f"{value:.0%} ± {spread.values[place]:.0%}\n{seeds} seed{'s' * (seeds > 1)}"
    random, copies = ([f"{each:.3g}" for each in mean[dim].values] for dim in ("random_fraction", "copy_fraction"))
    scale = ColorScale("exact-match accuracy at the last checkpoint", (0, 1), format=".1%")
    x, y = Axis("fraction of random windows"), Axis("fraction of windows with copies")
    return Drawing([Panel(x, y, [Cells(mean.values, random, copies, scale, texts)])])
