"""What each head adds to the logit of the copied token, over training."""

from __future__ import annotations

import numpy as np

from grok_interp.analysis.ablation_arguments import named
from grok_interp.analysis.logit_attribution import LogitAttribution
from grok_interp.plots.drawing import Drawing, Panel
from grok_interp.plots.marks import TRAINING_STEP, Axis, Level, Line
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import BLACK, GRAY, layer_color


@picture(LogitAttribution)
def logit_attribution(result: LogitAttribution) -> Drawing:
    """Direct contributions to the logit of the copied token: of every head, and below it of all other parts.

    One line per head, one color per layer; bands are 95% intervals over samples.

    Args:
        result: at one checkpoint or more.

    Example:
        >>> from grok_interp import CopyTask, Transformer, direct_logit_attribution, preset
        >>> model = Transformer(preset("copier-tiny"), seed=0)
        >>> samples = CopyTask.fitting(64, n_samples=3).sample()
        >>> logit_attribution(direct_logit_attribution(model, samples))
        Drawing of 2 panels: added by a head (nats) against training step (updates); ...
    """
    heads, rest = Axis("added by a head", "nats", format="+.2f"), Axis("added by the rest", "nats", format="+.2f")
    zero = [Level(0, dash="-")]
    panels = [
        Panel(TRAINING_STEP, heads, _heads(result), levels=zero),
        Panel(TRAINING_STEP, rest, _rest(result), levels=zero),
    ]
    return Drawing(panels, aligned=True)


def _heads(result: LogitAttribution) -> list[Line]:
    return [
        _line(result, "contribution", {"layer": layer, "head": head}, named([(layer, head)]), layer_color(layer), layer)
        for layer, head in np.ndindex(result["contribution"].shape[1:])
    ]


def _rest(result: LogitAttribution) -> list[Line]:
    layers = [
        _line(result, "mlp", {"layer": layer}, f"MLP and biases of layer {layer}", layer_color(layer), layer)
        for layer in range(result.dataset.sizes["layer"])
    ]
    embedding = _line(result, "embedding", {}, "embedding", GRAY)
    return [*layers, embedding, _line(result, "logit", {}, "total logit", BLACK)]


def _line(
    result: LogitAttribution, name: str, place: dict[str, int], label: str, color: str, layer: int | None = None
) -> Line:
    values, low, high = (result[each].sel(place).to_numpy() for each in (name, f"{name}_low", f"{name}_high"))
    steps, key = result.dataset["checkpoint"].to_numpy(), "" if layer is None else f"layer {layer}"
    return Line(steps, values, label, color, key, low=low, high=high)
