"""Seeds aligned at the onset of copying: accuracy and loss, and the strongest induction head of each."""

from __future__ import annotations

import numpy as np

from grok_interp.analysis.aligned_curves import AlignedCurves
from grok_interp.plots.drawing import Drawing, Panel
from grok_interp.plots.marks import Axis, Line, Shade
from grok_interp.plots.pictures.copying_and_loss import ACCURACIES
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import BLUE, GREEN

OFFSET = Axis("updates after the onset of copying", whole=True, format=",.0f")
STYLES = {**ACCURACIES, "loss_fall": ("drop in validation loss", BLUE)}


@picture(AlignedCurves)
def aligned_seeds(curves: AlignedCurves) -> Drawing:
    """Each seed thinly, the mean over seeds with its 95% interval; 0 is the onset of copying in every seed.

    Args:
        curves: of one seed or more.

    Example:
        >>> from grok_interp import load_reference, training_curves
        >>> from grok_interp.studies import copying
        >>> run = load_reference("copier-mini")
        >>> results = copying.analyze(run)
        >>> curves = training_curves([results.with_config(run.config)])
        >>> from grok_interp.analysis.aligned_curves import aligned_curves
        >>> aligned_seeds(aligned_curves(curves, {run.config.init_seed: 620.0}))
        Drawing of 2 panels: accuracy, loss drop (%) against updates after the onset of copying; ...
    """
    offsets = curves.dataset["offset"].to_numpy()
    x = OFFSET.at_least(float(offsets[0]), float(offsets[-1]))
    onset = [Shade(-0.002 * np.ptp(offsets), 0.002 * np.ptp(offsets), "onset", along="x")]
    measured = [name for name in STYLES if bool(curves[name].notnull().any())]
    percent = [line for name in measured for line in _lines(curves, name, *STYLES[name], scale=100)]
    induction = _lines(curves, "induction", "largest I(L, H) of each seed", GREEN)
    axis = Axis("accuracy, loss drop", "%", (0, 105), format=".1f")
    panels = [Panel(x, axis, percent, shades=onset), Panel(x, Axis("I(L, H)"), induction, shades=onset)]
    return Drawing(panels, aligned=True)


def _lines(curves: AlignedCurves, measure: str, label: str, color: str, scale: float = 1) -> list[Line]:
    offsets, seeds = curves.dataset["offset"].to_numpy(), scale * curves[measure].to_numpy()
    mean, (low, high) = scale * curves.mean(measure).to_numpy(), curves.interval(measure)
    faint = [Line(offsets, seed, label, color, faint=True) for seed in seeds] if len(seeds) > 1 else []
    return [*faint, Line(offsets, mean, label, color, width=1.6, low=scale * low, high=scale * high)]
