"""Copying over training without groups of edges between heads."""

from __future__ import annotations

from grok_interp.analysis.edge_ablation import EdgeAblation
from grok_interp.plots.drawing import Drawing, Panel
from grok_interp.plots.marks import TRAINING_STEP, Axis, Line
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import BLACK, layer_color

MEASURES = {
    "exact_match": (Axis("exact match", "%", (0, 105), format=".1f"), 100),
    "per_token": (Axis("per-token accuracy", "%", (0, 105), format=".1f"), 100),
}


@picture(EdgeAblation)
def edge_ablation(result: EdgeAblation) -> Drawing:
    """Accuracies without each group of edges, and with all of them, against the training step.

    Bands are 95% intervals over samples.

    Args:
        result: at one checkpoint or more.

    Example:
        >>> from grok_interp import CopyTask, Transformer, preset
        >>> from grok_interp.analysis.edge_ablation import Edge, edge_ablation as measured
        >>> model = Transformer(preset("copier-tiny"), seed=0)
        >>> samples = CopyTask.fitting(64, n_samples=3).sample()
        >>> groups = {"one edge": [Edge((0, 1), (1, 0))]}
        >>> edge_ablation(measured(model, samples, samples.context, groups=groups, reference=samples.context))
        Drawing of 2 panels: exact match (%) against training step (updates); ...
    """
    panels = [Panel(TRAINING_STEP, axis, _lines(result, name, scale)) for name, (axis, scale) in MEASURES.items()]
    return Drawing(panels, aligned=True)


def _lines(result: EdgeAblation, measure: str, scale: float) -> list[Line]:
    steps = result.dataset["checkpoint"].to_numpy()
    intact = Line(steps, scale * result[f"{measure}_intact"].to_numpy(), "intact", BLACK, width=0.9, dotted=True)
    lines = [intact]
    for number, group in enumerate(result.dataset["group"].values.tolist()):
        value, low, high = (
            scale * result[name].sel(group=group).to_numpy() for name in (measure, f"{measure}_low", f"{measure}_high")
        )
        style = {"dash": "-" if number == 0 else "--", "dotted": True, "width": 1.8 if number == 0 else 1.0}
        lines.append(Line(steps, value, f"without {group}", layer_color(number + 2), low=low, high=high, **style))
    return lines
