"""Accuracy by number of shots when a fraction of the answers shown is wrong (B.4 of "Learning to grok")."""

from __future__ import annotations

from collections.abc import Sequence

from grok_interp.analysis.shots import ShotCurves
from grok_interp.arguments.objects import require_some
from grok_interp.plots.drawing import Drawing, Panel
from grok_interp.plots.marks import Axis
from grok_interp.plots.pictures.shots import SHOTS, SPLIT_NAMES, by_shots, chance, require_split
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import ordered_colors


@picture()
def label_noise(curves: Sequence[ShotCurves], *, split: str) -> Drawing:
    """One line for each fraction of wrong answers, at the first checkpoint of each result, with 95% intervals.

    Args:
        curves: one result for each fraction, from few to many wrong answers.
        split: that is drawn.

    Example:
        >>> from grok_interp import load_reference
        >>> from grok_interp.studies import modular
        >>> results = modular.analyze(load_reference("modular-p11"))
        >>> label_noise([results.shots], split="ood_train")
        Drawing of 1 panel: accuracy against number of shots
    """
    require_some(curves, "curves")
    require_split(curves[0], split)
    step = int(curves[0].dataset["checkpoint"][0])
    lines = [
        by_shots(each, "all", int(each.dataset["checkpoint"][0]), split, f"{each.dataset.attrs['noise']:.0%}", color)
        for each, color in zip(curves, ordered_colors(len(curves)), strict=True)
    ]
    panel = Panel(SHOTS, Axis("accuracy", limits=(0, 1.02)), lines, SPLIT_NAMES[split], [chance(curves[0])])
    return Drawing([panel], key_title="wrong answers shown", step=step)
