"""Copying accuracy and loss over training (Figure 2 of "Language Models 'Grok' to Copy")."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr

from grok_interp.analysis.comparison import TrainingCurves
from grok_interp.analysis.copying import CopyingAccuracy
from grok_interp.plots.drawing import Drawing, Panel
from grok_interp.plots.marks import TRAINING_STEP, Axis, Line
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import BLUE, ORANGE, VERMILION

ACCURACIES = {"per_token": ("per-token accuracy", ORANGE), "exact_match": ("exact-match accuracy", VERMILION)}


@picture()
def copying_and_loss(curves: TrainingCurves, accuracy: CopyingAccuracy | None = None) -> Drawing:
    """Accuracy (%) and validation loss (nats) of one condition against the training step, one above the other.

    The mean over seeds, and each seed thinly where there are several. Without a loss there is no panel of it.

    Args:
        curves: of one condition.
        accuracy: of its only run: draws 95% intervals over samples as bands.

    Raises:
        ValueError: if there are several conditions.

    Example:
        >>> from grok_interp import load_reference, training_curves
        >>> from grok_interp.studies import copying
        >>> run = load_reference("copier-mini")
        >>> results = copying.analyze(run)
        >>> curves = training_curves([results.with_config(run.config)])
        >>> copying_and_loss(curves, results.accuracy)
        Drawing of 2 panels: copying accuracy (%) against training step (updates of 2,048 tokens); ...
    """
    if curves.dataset.sizes["condition"] != 1:
        raise ValueError(f"one condition is drawn, got {curves.dataset['condition'].values.tolist()}: choose one")
    condition = curves.dataset["condition"].item()
    per_step = curves.dataset["tokens_per_step"].item()
    x = replace(TRAINING_STEP, unit=f"updates of {int(per_step):,} tokens") if np.isfinite(per_step) else TRAINING_STEP
    bounds = {name: None for name in ACCURACIES}
    if accuracy is not None:
        bounds = {
            "per_token": 100 * accuracy.per_token_interval(),
            "exact_match": 100 * accuracy.exact_match_interval(),
        }
    copied = [
        line
        for measure, (label, color) in ACCURACIES.items()
        for line in _lines(curves, measure, condition, label, color, bounds[measure])
    ]
    panels = [Panel(x, Axis("copying accuracy", "%", limits=(0, 100), format=".1f"), copied)]
    if curves.of("loss", condition).size:
        loss = _lines(curves, "loss", condition, "validation loss", BLUE)
        panels.append(Panel(x, Axis("validation loss", "nats", limits=(0, None)), loss))
    return Drawing(panels)


def _lines(
    curves: TrainingCurves, measure: str, condition: str, label: str, color: str, bounds: xr.DataArray | None = None
) -> list[Line]:
    scale, seeds = 1 if measure == "loss" else 100, curves.of(measure, condition)
    steps, mean = seeds["checkpoint"].to_numpy(), scale * curves.mean(measure, condition).to_numpy()
    each = seeds.transpose("seed", "checkpoint").to_numpy() if seeds.sizes["seed"] > 1 else []
    faint = [Line(steps, scale * seed, label, color, faint=True) for seed in each]
    if bounds is None:
        return [*faint, Line(steps, mean, label, color, width=1.6)]
    low, high = (bounds.sel(bound=end, checkpoint=steps).to_numpy() for end in ("low", "high"))
    return [*faint, Line(steps, mean, label, color, width=1.6, low=low, high=high)]
