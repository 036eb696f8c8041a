"""Head ablation over training: what is left of copying and loss, beside controls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grok_interp.analysis.ablation import HeadAblation
from grok_interp.plots.drawing import Drawing, KeyEntry, Panel, on_one_scale
from grok_interp.plots.marks import TRAINING_STEP, Axis, Line
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import BLACK, BLUE, GREEN, VERMILION

MEASURES = {  # axis and scale
    "exact_match": (Axis("exact-match accuracy", "%", format=".1f"), 100),
    "per_token": (Axis("per-token accuracy", "%", format=".1f"), 100),
    "loss": (Axis("added validation loss", "nats"), 1),
}
LABELS = {"random": "random ablated", "entropy": "nearest ablated", "intact": "intact", "ablated": "heads ablated"}
STYLES: dict[str, dict[str, Any]] = {  # the later, the higher: equal curves stay visible
    "random": {"color": BLUE, "width": 2.6, "opacity": 0.5},
    "entropy": {"color": GREEN, "width": 1.2, "dash": "--"},
    "intact": {"color": BLACK, "width": 0.9},
    "ablated": {"color": VERMILION, "width": 2.0},
}


@picture(HeadAblation, several=True)
def ablation(results: Sequence[HeadAblation]) -> Drawing:
    """A column for each result (a way to ablate), a row for each measure, against the training step.

    Thin lines are single draws of the random control; bands are 95% over samples, of the mean over draws. Of the loss
    the difference to the intact model is drawn: its own fall is many times as large.

    Args:
        results: of the same heads.

    Raises:
        ValueError: for no result, and for results of different heads.

    Example:
        >>> from grok_interp import CopyTask, Transformer, head_ablation, preset
        >>> model = Transformer(preset("copier-tiny"), seed=0)
        >>> samples = CopyTask.fitting(64, n_samples=3).sample()
        >>> options = dict(heads=[(0, 1)], how="zero", n_draws=1, seed=0)
        >>> ablation([head_ablation(model, samples, samples.context, **options)])
        Drawing of 3 panels: exact-match accuracy (%) against training step (updates); ...
    """
    heads = only([result.dataset.attrs["heads"] for result in results])
    names = dict(zip(STYLES, _key(results, heads), strict=True))
    panels = []
    for measure, (axis, _) in MEASURES.items():
        row = [
            Panel(
                TRAINING_STEP,
                axis,
                [line for condition in STYLES for line in _lines(result, measure, condition, names[condition])],
                result.dataset.attrs["how"],
            )
            for result in results
        ]
        panels += on_one_scale(row)
    key = [
        KeyEntry(names[name], style["color"], style.get("dash", "-"), style["width"]) for name, style in STYLES.items()
    ]
    return Drawing(panels, columns=len(results), key=key)


def only(values: Sequence[Any]) -> Any:
    """The one value that results drawn together share."""
    if len(set(values)) != 1:
        raise ValueError(f"a figure of ablations needs results of the same heads and step, got {values or 'none'}")
    return values[0]


def _lines(result: HeadAblation, measure: str, condition: str, key: str) -> list[Line]:
    """The mean over draws with its interval, and single draws where there are several."""
    values, ends = result[measure], result.interval(measure)
    if measure == "loss":
        values, ends = result.effect(measure), result.effect_interval(measure)
    scale, style, label = MEASURES[measure][1], STYLES[condition], LABELS[condition]
    draws, low, high = (scale * each.sel(condition=condition) for each in (values, *ends))
    steps, draws = draws["checkpoint"].to_numpy(), draws.transpose("draw", "checkpoint")
    single = draws.to_numpy() if condition == "random" and len(draws) > 1 else []
    faint = [Line(steps, draw, label, style["color"], key, faint=True) for draw in single]
    bounds = {"low": low.to_numpy(), "high": high.to_numpy()}
    return [*faint, Line(steps, draws.mean("draw").to_numpy(), label, key=key, dotted=True, **bounds, **style)]


def _key(results: Sequence[HeadAblation], heads: str) -> list[str]:
    """In the order of `STYLES`; the controls are named where there is one choice."""
    random, nearest = (
        {
            name
            for result in results
            for name in result.dataset["heads"].sel(condition=control).to_numpy().ravel().tolist()
        }
        for control in ("random", "entropy")
    )
    return [
        f"without random heads{'' if results[0].controls_are_elsewhere else ' of the same layers'}: "
        + _one_of(random, f"mean of {len(random)} draws"),
        "without the heads closest in attention entropy: " + _one_of(nearest, "chosen at each step"),
        "intact",
        f"without {heads}",
    ]


def _one_of(names: set[str], several: str) -> str:
    return (next(iter(names)) or "none left") if len(names) == 1 else several
