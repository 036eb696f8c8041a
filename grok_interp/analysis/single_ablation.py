"""Single heads: what copying and loss are without each head alone.

Beside I(L, H) they say whether the score finds the heads that matter. It finds those that look at induction targets and
copy from there; the previous-token head that such a head reads has an I of 0 and may matter as much. Intervals are 95%
over samples and windows (see `ablation_samples`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Int64
from torch import Tensor

from grok_interp.activations import HookedModel
from grok_interp.analysis.ablated_model import Head, ablated, named
from grok_interp.analysis.ablation_samples import (
    MEASURES,
    effect_bounds,
    in_words,
    means,
    measured_by_sample,
    stacked,
    value_bounds,
)
from grok_interp.analysis.checkpoints_of import Checkpoints, checkpoints_of
from grok_interp.analysis.intervals import BOUNDS
from grok_interp.data.copying import CopySamples
from grok_interp.data.token_rows import Tokens, token_rows
from grok_interp.results.result import LabelledResult


class SingleAblation(LabelledResult):
    """Copying accuracy (between 0 and 1) and loss (nats) without each head; the coordinate `intact`: with all heads.

    The coordinates `low` and `high`, `effect_low` and `effect_high`, `intact_low` and `intact_high` are the ends of the
    95% intervals of the values, of their differences to intact, paired by sample, and of intact.
    """

    name = "single_ablation"
    dims = ("measure", "checkpoint", "layer", "head")

    def effect(self) -> xr.DataArray:
        """Without the head minus intact: negative where accuracy is lost, positive where loss is added."""
        return self.array - self.array["intact"]

    def effect_interval(self) -> tuple[xr.DataArray, xr.DataArray]:
        """With the dims of `effect`, low and high."""
        return self.array["effect_low"].reset_coords(drop=True), self.array["effect_high"].reset_coords(drop=True)

    def in_words(self, measure: str, head: Head | None = None) -> str:
        """Of the last checkpoint, without a head or intact: 96.6% [95.8, 97.3]"""
        last = self.at().sel(measure=measure)
        if head is None:
            return in_words(measure, *(float(last[name]) for name in ("intact", "intact_low", "intact_high")))
        return in_words(measure, *(float(each[head]) for each in (last, last["low"], last["high"])))

    def to_frame(self) -> pd.DataFrame:
        """One row per head, checkpoint and measure, with intervals; `intact` has the same values for all heads."""
        return self.array.to_dataframe(self.name).reset_index()

    def costliest(self) -> list[Head]:
        """Every head by what copying loses without it at the last checkpoint, most first: suffixes copied whole, and
        suffix tokens where these are equal."""
        whole, per_token, _ = self.at()
        left = {head: (float(whole[head]), float(per_token[head])) for head in np.ndindex(whole.shape)}
        return sorted(left, key=left.__getitem__)

    def __str__(self) -> str:
        most = self.costliest()[0]
        return (
            f"each of {self.at()[0].size} heads taken away alone ({self.array.attrs['how']}); suffixes copied whole at "
            f"the last checkpoint: {self.in_words('whole')} intact, fewest without "
            f"{named([most])}, {self.in_words('whole', most)}{self.warning()}"
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
        n_models = 1 + int(np.prod(shape))
        for done, without in enumerate(_without_each(model, options), start=1):
            rows.append(measured_by_sample(without, samples, windows, batch_size=batch_size))
            if on_model:
                on_model(done, n_models)
        steps.append(step)
    by_sample = stacked(rows, (len(steps), 1 + int(np.prod(shape))))  # intact, then head by head
    intact = [each[:, :1] for each in by_sample]
    without_head = [each[:, 1:].reshape(len(steps), *shape, -1) for each in by_sample]
    array = xr.DataArray(
        means(without_head),
        dims=SingleAblation.dims,
        coords={
            "measure": MEASURES,
            "checkpoint": steps,
            "layer": np.arange(shape[0]),
            "head": np.arange(shape[1]),
            **_bounds(intact, without_head, len(samples.task.queries)),
        },
        attrs=dict(how=how, n_match=n_match, seed=seed, n_samples=len(samples.strings), n_windows=len(windows)),
    )
    return SingleAblation(array)


def _without_each(model: HookedModel, options: dict[str, Any]) -> Iterator[HookedModel]:
    """The intact model, then one without each head."""
    yield model
    for head in np.ndindex(model.cfg.n_layers, model.cfg.n_heads):
        yield ablated(model, [head], **options)


def _bounds(
    intact: Sequence[np.ndarray], without_head: Sequence[np.ndarray], n_strings: int
) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """`intact` and the ends of all intervals as coordinates."""
    of_checkpoint, of_head = SingleAblation.dims[:2], SingleAblation.dims
    effects = effect_bounds(without_head, [each[:, :, None] for each in intact])
    found = {"intact": (of_checkpoint, means(intact)[..., 0])}
    for bound, values in zip(BOUNDS, value_bounds(intact, n_strings), strict=True):
        found[f"intact_{bound}"] = (of_checkpoint, values[..., 0])
    for bound, values, effect in zip(BOUNDS, value_bounds(without_head, n_strings), effects, strict=True):
        found |= {bound: (of_head, values), f"effect_{bound}": (of_head, effect)}
    return found
