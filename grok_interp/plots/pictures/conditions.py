"""Conditions beside each other over training (Figures 3 to 5 and 7 of "Language Models 'Grok' to Copy")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from grok_interp.analysis.comparison import TrainingCurves
from grok_interp.plots.drawing import Drawing, Panel
from grok_interp.plots.marks import TRAINING_STEP, Axis, Line
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import layer_color

Against = Literal["updates", "tokens"]
MEASURES = {
    "exact_match": Axis("exact-match accuracy", "%", limits=(0, None), format=".1f"),
    "per_token": Axis("per-token accuracy", "%", limits=(0, None), format=".1f"),
    "loss": Axis("validation loss", "nats"),
    "induction": Axis("largest induction score I(L, H)"),
}
OVER_UPDATES: tuple[tuple[str, Against], ...] = (
    ("per_token", "updates"),
    ("exact_match", "updates"),
    ("loss", "updates"),
)


@picture(TrainingCurves)
def conditions(
    curves: TrainingCurves, panels: Sequence[tuple[str, Against]] = OVER_UPDATES, *, columns: int = 3
) -> Drawing:
    """One color for each condition: the mean over seeds, and each seed thinly where there are several.

    Args:
        curves: of one condition or more.
        panels: (measure, "updates" or "tokens") of each panel.
        columns: panels side by side.

    Example:
        >>> from grok_interp import load_reference, training_curves
        >>> from grok_interp.studies import copying
        >>> run = load_reference("copier-mini")
        >>> results = copying.analyze(run)
        >>> curves = training_curves([results.with_config(run.config)])
        >>> conditions(curves)
        Drawing of 3 panels: per-token accuracy (%) against training step (updates); ...
    """
    names = curves.dataset["condition"].values.tolist()
    tokens = curves.dataset["tokens_per_step"].values.tolist()
    of_tokens = {layer_color(index): float(each) for index, each in enumerate(tokens)}
    against_axes = {
        "updates": TRAINING_STEP,
        "tokens": Axis("training tokens", per_step=of_tokens, format=",.0f"),
    }
    drawn = [
        Panel(
            against_axes[against],
            MEASURES[measure],
            [line for name in names for line in _lines(curves, measure, against, name)],
        )
        for measure, against in panels
    ]
    return Drawing(drawn, columns)


def condition_label(condition: str) -> str:
    """A condition as a color key names it: "batch_size=8" is "batch size 8"."""
    fields = condition.replace("attn_", "attention_").split(" ")
    return ", ".join(field.replace("_", " ").replace("=", " ") for field in fields)


def _lines(curves: TrainingCurves, measure: str, against: Against, condition: str) -> list[Line]:
    chosen, mean = curves.of(measure, condition), curves.mean(measure, condition)
    x = chosen["checkpoint"].to_numpy() * (int(chosen["tokens_per_step"]) if against == "tokens" else 1)
    scale = 100 if MEASURES[measure].unit == "%" else 1
    color = layer_color(curves.dataset["condition"].values.tolist().index(condition))
    name = condition_label(condition)
    seeds = chosen.transpose("seed", "checkpoint").to_numpy() if chosen.sizes["seed"] > 1 else []
    faint = [Line(x, scale * seed, name, color, faint=True) for seed in seeds]
    return [*faint, Line(x, scale * mean.to_numpy(), name, color, width=1.6)]
