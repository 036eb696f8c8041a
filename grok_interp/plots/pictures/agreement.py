"""Which algorithm a model follows: the likelihood of its answers under each, by number of shots."""

from __future__ import annotations

from typing import Any

import numpy as np

from grok_interp.analysis.agreement import AlgorithmAgreement
from grok_interp.analysis.hypotheses import HYPOTHESES
from grok_interp.arguments.objects import shown
from grok_interp.plots.drawing import Drawing, Panel, on_one_scale
from grok_interp.plots.marks import Axis, Line
from grok_interp.plots.pictures.shots import SHOTS, SPLIT_NAMES
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import BLUE, GREEN, LIGHT_GRAY, VERMILION

COLORS = dict(zip(HYPOTHESES, (LIGHT_GRAY, GREEN, BLUE, VERMILION), strict=True))


@picture(AlgorithmAgreement)
def agreement(agreement: AlgorithmAgreement, *, subset: str = "generic", step: int | None = None) -> Drawing:
    """Log-likelihood of the model's answers under each hypothesis by number of shots, over training.

    A panel for each split; bands are 95% intervals over contexts.

    Args:
        agreement: of one run.
        subset: of the queries.
        step: that paper shows, the last if None.

    Example:
        >>> from grok_interp import load_reference
        >>> from grok_interp.studies import modular
        >>> results = modular.analyze(load_reference("modular-p11"))
        >>> agreement(results.agreement)
        Drawing of 4 panels: log-likelihood (nats per answer) against number of shots
    """
    subsets = agreement.dataset["subset"].values.tolist()
    if subset not in subsets:
        raise ValueError(f"subset must be one of {', '.join(subsets)}, got {shown(subset)}")
    arrays = [agreement.log_likelihood(subset), *agreement.interval(subset)]

    def lines(**where: Any) -> list[Line]:
        shown = []
        for name, color in COLORS.items():
            value, low, high = (array.sel(hypothesis=name, **where).to_numpy() for array in arrays)
            x = arrays[0]["shot"].to_numpy()
            shown.append(Line(x, value, name, color, dotted=True, low=low, high=high))
        return shown

    steps, splits = (agreement.dataset[dim].values.tolist() for dim in ("checkpoint", "split"))
    y = Axis("log-likelihood", "nats per answer", limits=(None, 0 if np.isfinite(arrays[0]).any() else None))
    panels = [
        Panel(SHOTS, y, title=SPLIT_NAMES[split], frames={at: lines(checkpoint=at, split=split) for at in steps})
        for split in splits
    ]
    return Drawing(on_one_scale(panels), columns=2, step=step)
