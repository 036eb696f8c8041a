"""Single heads: what copying and loss are without each head alone.

Beside I(L, H) they say whether the score finds the heads that matter. It finds those that look at induction targets and
copy from there; the previous-token head that such a head reads has an I of 0 and may matter as much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Int64
from torch import Tensor

from grok_interp.activations import HookedModel
from grok_interp.analysis.ablated_model import Head, ablated, named
from grok_interp.analysis.ablation import MEASURES
from grok_interp.analysis.checkpoints_of import Checkpoints, checkpoints_of
from grok_interp.analysis.copying import copying_accuracy
from grok_interp.analysis.loss import position_losses
from grok_interp.data.copying import CopySamples
from grok_interp.data.token_rows import Tokens, token_rows
from grok_interp.results import LabelledResult


class SingleAblation(LabelledResult):
    """Copying accuracy (between 0 and 1) and loss (nats) without each head; the coordinate `intact`: with all heads."""

    name = "single_ablation"
    dims = ("measure", "checkpoint", "layer", "head")

    def effect(self) -> xr.DataArray:
        """Without the head less intact: negative where accuracy is lost, positive where loss is added."""
        return self.array - self.array["intact"]

    def costliest(self) -> list[Head]:
        """Every head by what copying loses without it at the last checkpoint, most first: suffixes copied whole, and
        suffix tokens where these are equal."""
        whole, per_token, _ = self.at()
        left = {head: (float(whole[head]), float(per_token[head])) for head in np.ndindex(whole.shape)}
        return sorted(left, key=left.__getitem__)

    def __str__(self) -> str:
        last = self.array.sel(measure="whole").isel(checkpoint=-1)
        most = self.costliest()[0]
        return (
            f"each of {last.size} heads taken away alone ({self.array.attrs['how']}); suffixes copied whole at the "
            f"last checkpoint: {float(last['intact']):.1%} intact, fewest without "
            f"{named([most])}, {float(last[most]):.1%}{self.warning()}"
        )


def single_ablation(
    checkpoints: Checkpoints,
    samples: CopySamples,
    windows: Tokens,
    *,
    how: str,
    reference: Int64[Tensor, "reference reference_pos"] | None = None,
    n_match: int | None = None,
    seed: int = 0,
    batch_size: int = 64,
    on_model: Callable[[int, int], None] | None = None,
) -> SingleAblation:
    """Every (step, model) without each of its heads in turn; `how` and its options as in `ablated`.

    `on_model` is told (models done, models to do) of each checkpoint: the intact one, and one without each head.
    Raises ValueError for what `ablated` and `checkpoints_of` refuse.
    """
    windows = token_rows(windows, "windows")
    options = dict(how=how, reference=reference, n_match=n_match, seed=seed)
    steps, rows, shape = [], [], (0, 0)
    for step, model in checkpoints_of(checkpoints):
        shape = model.cfg.n_layers, model.cfg.n_heads
        found, n_models = [], 1 + int(np.prod(shape))
        for done, without in enumerate(_without_each(model, options), start=1):
            found.append(_measured(without, samples, windows, batch_size))
            if on_model:
                on_model(done, n_models)
        steps.append(step)
        rows.append(found)
    values = np.moveaxis(np.array(rows), -1, 0)  # measure x checkpoint x (intact, then head by head)
    coords = {
        "measure": MEASURES,
        "checkpoint": steps,
        "layer": np.arange(shape[0]),
        "head": np.arange(shape[1]),
        "intact": (SingleAblation.dims[:2], values[..., 0]),
    }
    attrs = dict(how=how, n_match=n_match, seed=seed, n_samples=len(samples.strings), n_windows=len(windows))
    without_head = values[..., 1:].reshape(*values.shape[:2], *shape)
    return SingleAblation(xr.DataArray(without_head, dims=SingleAblation.dims, coords=coords, attrs=attrs))


def _without_each(model: HookedModel, options: dict[str, Any]) -> Iterator[HookedModel]:
    """The intact model, then one without each head."""
    yield model
    for head in np.ndindex(model.cfg.n_layers, model.cfg.n_heads):
        yield ablated(model, [head], **options)


def _measured(model: HookedModel, samples: CopySamples, windows: Tensor, batch_size: int) -> list[float]:
    """In the order of `MEASURES`."""
    copied = copying_accuracy(model, samples, batch_size=batch_size)
    loss = position_losses(model, windows, batch_size=batch_size)
    return [float(each[0]) for each in (copied.exact(), copied.per_token(), loss.mean())]
