"""MLP activations against (x, y): what each neuron answers to every pair (B.5 of "Learning to grok")."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from grok_interp.analysis.arguments import require_count, require_layer
from grok_interp.analysis.checkpoints_of import Checkpoints, checkpoints_of
from grok_interp.analysis.slot_vectors import activations_at
from grok_interp.arguments import checked
from grok_interp.counted import counted
from grok_interp.data.slot import Position, slot_position, slot_task
from grok_interp.data.token_rows import Tokens, token_rows
from grok_interp.results.result import Measure, Result


class MLPActivations(Result):
    """The activation of every neuron, after its nonlinearity, for every pair."""

    name = "mlp_activation"
    dims = ("checkpoint", "neuron", "x", "y")
    measures: ClassVar = {"activation": Measure("activation", "1")}

    @checked
    def most_varied(self, n_neurons: int, step: int | None = None) -> list[int]:
        """The neurons of the largest variance over all pairs, largest first, at a step or at the last.

        All neurons when there are fewer. Raises ValueError for a step that was not analyzed, and for `n_neurons` below
        1.

        Args:
            n_neurons: at least 1.
            step: of a checkpoint.
        """
        require_count(n_neurons, "n_neurons")
        variance = self.at(step)["activation"].var(("x", "y"), skipna=False).to_series()
        return [int(neuron) for neuron in variance.sort_values(ascending=False, kind="stable").index[:n_neurons]]

    def __str__(self) -> str:
        sizes, attrs = self.dataset.sizes, self.dataset.attrs
        return (
            f"{sizes['neuron']} neurons of block {attrs['layer']} over {counted(sizes['x'] * sizes['y'], 'pair')} at "
            f"{attrs['position']} of slot {attrs['slot']}, {counted(sizes['checkpoint'], 'checkpoint')}{self.warning()}"
        )


@checked
def mlp_activations(
    checkpoints: Checkpoints,
    p: int,
    tokens: Tokens,
    *,
    slot: int,
    position: Position,
    layer: int,
    batch_size: int = 256,
) -> MLPActivations:
    """`mlp.hook_post` of one block of each (step, model), at one token of the slot, for every pair (x, y).

    Args:
        checkpoints: a run, one model, or any iterable of (step, model), as `checkpoints_of` takes them.
        p: the modulus.
        tokens: from `slot_sequences`, pair x pos.
        slot: the example that is looked at, counted from 0.
        position: "x", "y" or "z" of the slot.
        layer: of the block.
        batch_size: sequences per forward pass; changes memory, never the result.

    Returns:
        Activations with dims (checkpoint, neuron, x, y).

    Raises:
        ValueError: for tokens of another slot and for a layer that is not there.

    Example:
        >>> from grok_interp import Transformer, preset, slot_sequences
        >>> tokens = slot_sequences((2, 1), 5, slot=1, n_examples=3, seed=0)
        >>> model = Transformer(preset("modular-tiny"), seed=0)
        >>> found = mlp_activations(model, 5, tokens, slot=1, position="y", layer=0)
        >>> found.dataset.sizes["neuron"]
        64
    """
    require_layer(layer)
    tokens = token_rows(tokens)
    a, b = slot_task(tokens, p, slot)
    name, where = f"blocks.{layer}.mlp.hook_post", [slot_position(slot, position)]
    steps, rows = [], []
    for step, model in checkpoints_of(checkpoints, tokens=tokens, n_read=max(where) + 1, same=["d_mlp"]):
        found = activations_at(model, tokens, name, positions=where, batch_size=batch_size)
        steps.append(step)
        rows.append(found[:, 0].T.unflatten(1, (p, p)))
    values = torch.stack(rows)
    coords = {"checkpoint": steps, "neuron": np.arange(values.shape[1]), "x": np.arange(p), "y": np.arange(p)}
    attrs = {"p": p, "a": a, "b": b, "slot": slot, "position": position, "layer": layer}
    return MLPActivations.of_arrays({"activation": values}, coords, attrs)
