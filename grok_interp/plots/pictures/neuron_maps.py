"""Maps of MLP neurons over all pairs (x, y) (B.5 of "Learning to grok")."""

from __future__ import annotations

from collections.abc import Sequence

from grok_interp.analysis.mlp import MLPActivations
from grok_interp.plots.drawing import Drawing, Panel
from grok_interp.plots.marks import Axis, Cells, ColorScale
from grok_interp.plots.pictures.similarity import number_ticks
from grok_interp.plots.registry import picture
from grok_interp.plots.theme import DIVERGING, WHITE_TO_BLUE

COLUMNS = 6


@picture(MLPActivations)
def neuron_maps(activations: MLPActivations, neurons: Sequence[int] | None = None) -> Drawing:
    """A p x p map for each neuron over training; one color scale, white at 0. Activations without negative values, as
    of ReLU, have a scale from 0.

    Args:
        activations: of one block.
        neurons: those drawn; the 12 most varied at the last checkpoint if None.

    Raises:
        ValueError: when no neuron is named.

    Example:
        >>> from grok_interp import Transformer, mlp_activations, preset, slot_sequences
        >>> model = Transformer(preset("modular-tiny"), seed=0)
        >>> tokens = slot_sequences((2, 1), 5, slot=1, n_examples=8, seed=0)
        >>> neuron_maps(mlp_activations(model, p=5, tokens=tokens, slot=1, position="y", layer=0))
        Drawing of 12 panels: x against y
    """
    chosen = activations.most_varied(12) if neurons is None else list(neurons)
    if not chosen:
        raise ValueError("no neuron to draw: name some, for example activations.most_varied(12)")
    attrs, maps = activations.dataset.attrs, activations["activation"].sel(neuron=chosen)
    limit = float(abs(maps).max()) or 1.0
    is_signed = float(maps.min()) < 0
    scale = ColorScale("activation", (-limit if is_signed else 0, limit), DIVERGING if is_signed else WHITE_TO_BLUE)
    places, ticks = list(range(attrs["p"])), {number: str(number) for number in number_ticks(attrs["p"])}
    panels = [
        Panel(
            Axis("y", ticks=ticks),
            Axis("x", ticks=ticks),
            title=f"neuron {neuron}",
            frames={
                int(step): [Cells(maps.sel(checkpoint=step, neuron=neuron).to_numpy(), places, places, scale)]
                for step in maps["checkpoint"].values
            },
            square=True,
        )
        for neuron in chosen
    ]
    title = (
        f"MLP of block {attrs['layer']} at {attrs['position']} of slot {attrs['slot']}, task ({attrs['a']}, "
        f"{attrs['b']})"
    )
    return Drawing(panels, columns=min(COLUMNS, len(chosen)), title=title)
