"""The phase diagram over n_id and alpha (Figure 1b of "Learning to grok"), and the accuracies that it is made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr

from grok_interp.analysis.phase_diagram import PhaseDiagram
from grok_interp.analysis.phases import PHASES, percent
from grok_interp.data.modular import SPLITS
from grok_interp.plots.drawing import Drawing, KeyEntry, Panel
from grok_interp.plots.marks import Axis, Cells, ColorScale
from grok_interp.plots.pictures.shots import SPLIT_NAMES
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import BLUE, LIGHT_GRAY, ORANGE, SKY, VERMILION

PHASE_COLORS = dict(zip(PHASES.values(), (SKY, BLUE, ORANGE, VERMILION, "#dddddd"), strict=True))
OTHER = "another combination"


@picture(PhaseDiagram)
def phase_diagram(diagram: PhaseDiagram, *, threshold: float) -> Drawing:
    """The most probable phase of each cell's best seed, and beside it the last-shot accuracy on each split.

    A cell of the first says the probability of its phase and the number of seeds.

    Args:
        diagram: of a sweep.
        threshold: accuracy above which a split counts as learned.

    Example:
        >>> from grok_interp import load_reference, phase_diagram as diagram_of
        >>> from grok_interp.studies import modular
        >>> run = load_reference("modular-p11")
        >>> phase_diagram(diagram_of([(run.config, modular.analyze(run).shots)]), threshold=0.75)
        Drawing of 5 panels: tasks trained on against alpha
    """
    phases = diagram.phases(threshold=threshold).transpose("n_id", "alpha")
    best = diagram.best().transpose("split", "n_id", "alpha")
    accuracy = ColorScale("last-shot accuracy", (0, 1), format=".1%")
    panels = [_phases(diagram, phases, threshold)]
    for split in SPLITS:
        values = best.sel(split=split)
        texts = np.vectorize(lambda value: f"{value:.0%}" if np.isfinite(value) else "", otypes=[object])(values)
        panels.append(_panel(phases, Cells(values, [], [], accuracy, texts), SPLIT_NAMES[split]))
    named = {name if name in PHASE_COLORS else OTHER: color for name, color in _shown(phases).items()}
    key = [KeyEntry(name, color, kind="patch", switches=False) for name, color in named.items()]
    return Drawing(panels, columns=3, key=key)


def _phases(diagram: PhaseDiagram, phases: xr.DataArray, threshold: float) -> Panel:
    shown = _shown(phases)
    codes = [[list(shown).index(name) if name else np.nan for name in row] for row in phases.values]
    scale = ColorScale("phase", (-0.5, len(shown) - 0.5), tuple(shown.values()) or ("#ffffff",), bar=False)
    described = diagram.described(threshold=threshold).transpose("n_id", "alpha").values
    cells = Cells(codes, [], [], scale, _texts(diagram, threshold), described)
    return _panel(phases, cells, "most probable phase")


def _panel(diagram: xr.DataArray, cells: Cells, title: str) -> Panel:
    """n_id x alpha, at equal distances."""
    alphas, n_id = ([f"{each:g}" for each in diagram[dim].values] for dim in ("alpha", "n_id"))
    return Panel(Axis("alpha"), Axis("tasks trained on"), [replace(cells, x=alphas, y=n_id)], title)


def _shown(phases: xr.DataArray) -> dict[str, str]:
    """The phases that occur, in the paper's order, then other combinations."""
    found = {str(name) for name in phases.values.flat if name}
    named = {name: color for name, color in PHASE_COLORS.items() if name in found}
    return named | {name: LIGHT_GRAY for name in sorted(found - set(named))}


def _texts(diagram: PhaseDiagram, threshold: float) -> np.ndarray:
    """n_id x alpha: the probability of the most probable phase, and the number of seeds; empty without a run."""
    found = diagram.probabilities(threshold=threshold).transpose("n_id", "alpha").values
    seeds = diagram.n_seeds().transpose("n_id", "alpha").values
    texts = [
        f"{percent(cell.probability)}\nn={n}" if cell else "" for cell, n in zip(found.flat, seeds.flat, strict=True)
    ]
    return np.array(texts, dtype=object).reshape(found.shape)
