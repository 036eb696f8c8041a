"""When copying emerges, with which heads, and what is left without them: three panels on one step axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

from grok_interp.analysis.ablation import HeadAblation
from grok_interp.analysis.ablation_arguments import named
from grok_interp.analysis.copying import CopyingAccuracy
from grok_interp.analysis.emergence import Estimate
from grok_interp.analysis.induction import InductionScores
from grok_interp.plots.drawing import Drawing, KeyEntry, Panel
from grok_interp.plots.marks import TRAINING_STEP, Axis, Line, Shade
from grok_interp.plots.pictures.copying_and_loss import ACCURACIES
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import BLUE, GRAY, GREEN, PURPLE, SHADED

ONSET, OTHERS = "onset, 95% CI", "other heads"
MOST_NAMED = 3  # heads in the color key


@picture()
def copying_emergence(
    accuracy: CopyingAccuracy,
    induction: InductionScores,
    *,
    loss_fall: xr.DataArray | None = None,
    ablation: HeadAblation | None = None,
    onset: Estimate | None = None,
) -> Drawing:
    """Accuracy and loss, I(L, H) of every head, and accuracy after ablation, one above the other.

    Args:
        accuracy: at every checkpoint; bands are 95% intervals over samples.
        induction: of the same checkpoints. The heads that are ablated have a color of their own; without an ablation
            the head of the largest I at the last checkpoint.
        loss_fall: the drop in validation loss as a fraction of its total (`fraction_of_change`).
        ablation: of the heads that are said to copy. Without it there is no third panel.
        onset: of copying, in steps; a band over its interval.

    Example:
        >>> from grok_interp import load_reference
        >>> from grok_interp.studies import copying
        >>> run = load_reference("copier-mini")
        >>> results = copying.analyze(run)
        >>> copying_emergence(results.accuracy, results.induction)
        Drawing of 2 panels: copying accuracy (%) against training step (updates); ...
    """
    first, last = induction.dataset["checkpoint"].to_numpy()[[0, -1]].tolist()
    x = replace(TRAINING_STEP, limits=(first, last)) if first < last else TRAINING_STEP
    shades = [Shade(onset.low, onset.high, ONSET, along="x")] if onset and np.isfinite(onset.low) else []
    fall = [] if loss_fall is None else [_fall(loss_fall)]
    heads = named(induction.strongest()).split() if ablation is None else ablation.dataset.attrs["heads"].split()
    axis = Axis("accuracy, loss drop" if fall else "copying accuracy", "%", (0, 105), format=".1f")
    panels = [
        Panel(x, axis, [*fall, *_accuracies(accuracy)], shades=shades),
        Panel(x, Axis("I(L, H)"), _heads(induction, heads), shades=shades),
    ]
    if ablation is not None:
        axis = Axis("exact match", "%", (0, 105), format=".1f")
        panels.append(Panel(x, axis, _ablated(ablation, heads), shades=shades))
    return Drawing(panels, aligned=True, key=_key(panels, onset=bool(shades)))


def _fall(loss_fall: xr.DataArray) -> Line:
    steps, values = loss_fall["checkpoint"].to_numpy(), 100 * loss_fall.to_numpy()
    return Line(steps, values, "drop in validation loss", BLUE)


def _accuracies(accuracy: CopyingAccuracy) -> list[Line]:
    steps = accuracy.dataset["checkpoint"].to_numpy()
    curves = {
        "per_token": (accuracy.per_token(), accuracy.per_token_interval()),
        "exact_match": (accuracy.exact_match(), accuracy.exact_match_interval()),
    }
    return [
        _band(steps, *curves[measure], label, color, width=1.6 if measure == "exact_match" else 1.0)
        for measure, (label, color) in ACCURACIES.items()
    ]


def _band(steps: np.ndarray, values: xr.DataArray, ends: xr.DataArray, label: str, color: str, *, width: float) -> Line:
    low, high = (100 * ends.sel(bound=end).to_numpy() for end in ("low", "high"))
    return Line(steps, 100 * values.to_numpy(), label, color, width=width, low=low, high=high)


def _heads(induction: InductionScores, chosen: Sequence[str]) -> list[Line]:
    """The chosen last, above the others."""
    steps, lines = induction.dataset["checkpoint"].to_numpy(), []
    for layer, head in np.ndindex(induction["I"].shape[1:]):
        name, curve = named([(layer, head)]), induction["I"].sel(layer=layer, head=head).to_numpy()
        mine = name in chosen
        style = (GREEN, _several(chosen)) if mine else (GRAY, OTHERS)
        lines.append(Line(steps, curve, name, *style, width=1.8 if mine else 0.7))
    return sorted(lines, key=lambda line: line.width)


def _several(heads: Sequence[str]) -> str:
    return ", ".join(heads[:MOST_NAMED]) + (f" and {len(heads) - MOST_NAMED} others" if len(heads) > MOST_NAMED else "")


def _ablated(ablation: HeadAblation, heads: Sequence[str]) -> list[Line]:
    low, high = ablation.interval("exact_match")
    ends = xr.concat([low, high], dim=xr.Variable("bound", ["low", "high"]))
    values, steps = ablation["exact_match"].mean("draw"), ablation.dataset["checkpoint"].to_numpy()
    conditions = {"intact": ("exact-match accuracy", ACCURACIES["exact_match"][1], "-")}
    if ablation.has_controls:
        conditions["random"] = ("without random heads", PURPLE, "--")
    conditions["ablated"] = (f"without {_several(heads)}", GREEN, "--")
    return [
        replace(
            _band(steps, values.sel(condition=name), ends.sel(condition=name), label, color, width=1.4),
            dash=dash,
            dotted=True,
        )
        for name, (label, color, dash) in conditions.items()
    ]


def _key(panels: list[Panel], *, onset: bool) -> list[KeyEntry]:
    """In the order of the panels; what several of them draw is named once."""
    lines = {line.entry: line for panel in panels for line in panel.marks if isinstance(line, Line)}
    entries = [KeyEntry(name, line.color, line.dash, line.width) for name, line in lines.items()]
    shaded = KeyEntry(ONSET, SHADED, kind="patch", switches=False)
    return [*entries, *([shaded] if onset else [])]
