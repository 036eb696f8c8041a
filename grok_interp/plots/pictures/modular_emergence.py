"""When a modular run generalizes, and in which phase it is: two panels on one step axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from grok_interp.analysis.emergence import Estimate
from grok_interp.analysis.phases import PHASES, PhaseProbabilities
from grok_interp.analysis.shots import ShotCurves
from grok_interp.plots.drawing import Drawing, Panel
from grok_interp.plots.marks import TRAINING_STEP, Axis, Level, Line, Shade
from grok_interp.plots.pictures.phase_diagram import OTHER, PHASE_COLORS
from grok_interp.plots.pictures.shots import SPLIT_COLORS, SPLIT_NAMES
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import GRAY, PURPLE

COLORS = {**PHASE_COLORS, PHASES[()]: GRAY, OTHER: PURPLE}  # lines need more ink than cells


@picture()
def modular_emergence(
    shots: ShotCurves,
    phases: Mapping[int, PhaseProbabilities],
    *,
    threshold: float,
    onset: Estimate | None = None,
) -> Drawing:
    """Last-shot accuracy of the four splits, and below it the probability of each phase.

    Args:
        shots: of one run; bands are 95% intervals over contexts.
        phases: of the same checkpoints, by step.
        threshold: accuracy above which a split counts as learned; dashed.
        onset: of the accuracy on unseen tasks, in steps; a band over its interval.

    Example:
        >>> from grok_interp import load_reference
        >>> from grok_interp.studies import modular
        >>> results = modular.analyze(load_reference("modular-p11"))
        >>> from grok_interp.analysis.phases import phases
        >>> modular_emergence(results.shots, phases(results.shots, threshold=0.75), threshold=0.75)
        Drawing of 2 panels: accuracy (%) against training step (updates); ...
    """
    first, last = shots.dataset["checkpoint"].to_numpy()[[0, -1]].tolist()
    x = replace(TRAINING_STEP, limits=(first, last)) if first < last else TRAINING_STEP
    shown = onset is not None and np.isfinite(onset.low)
    shades = [Shade(onset.low, onset.high, "onset on unseen tasks, 95% CI", along="x")] if onset and shown else []
    levels = [Level(100 * threshold, f"learned above {threshold:.0%}")]
    accuracy, probability = (Axis(label, "%", (0, 105), format=".1f") for label in ("accuracy", "probability of phase"))
    return Drawing(
        [
            Panel(x, accuracy, _splits(shots), levels=levels, shades=shades),
            Panel(x, probability, _phases(phases), shades=shades),
        ],
        aligned=True,
    )


def _splits(shots: ShotCurves) -> list[Line]:
    steps = shots.dataset["checkpoint"].to_numpy()
    every = [shots.last_shot(), *(end.isel(shot=-1) for end in shots.interval("all"))]
    lines = []
    for split in shots.dataset["split"].values.tolist():
        value, low, high = (100 * each.sel(split=split).to_numpy() for each in every)
        lines.append(Line(steps, value, SPLIT_NAMES[split], SPLIT_COLORS[split], low=low, high=high))
    return lines


def _phases(phases: Mapping[int, PhaseProbabilities]) -> list[Line]:
    """Those that are the most probable one at some step; unnamed ones together. Dashed: splits have the same colors."""
    found = {each.most_probable for each in phases.values()}
    shown = [name for name in PHASES.values() if name in found]
    steps = list(phases)
    lines = [
        Line(steps, [100 * phases[step].of_each[name] for step in steps], name, COLORS[name], f"phase: {name}", "-.")
        for name in shown
    ]
    if found - set(shown):
        others = [100 * (1 - sum(phases[step].of_each[name] for name in PHASES.values())) for step in steps]
        lines.append(Line(steps, others, OTHER, COLORS[OTHER], f"phase: {OTHER}", dash="--"))
    return lines
