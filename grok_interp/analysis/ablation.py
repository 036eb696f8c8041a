"""Head ablation: do the heads that an induction score finds do the copying, and from which step on?

The paper measures heads and copying side by side and ablates none (A.4). Here copying accuracy (exact match and per
token, between 0 and 1) and the loss of held-out text (nats) are measured at every checkpoint under four conditions:
intact; without the heads; without as many random heads of the same layers, or of others where these have too few;
without the heads nearest to them in attention entropy on the copying test. Heads that are `spared` are never controls:
give the induction heads that are not ablated. Without as many heads left, the controls are NaN. The same heads are
ablated, and the same random ones, at all checkpoints; the nearest in entropy are chosen at each. `heads` of the largest
I(L, H): `scores.strongest(k)`.

Intervals are 95% over samples and windows (see `ablation_samples`), of the mean over draws.

A draw is a choice of random heads and, under resample, of donors. What is not random has the same value in every draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import xarray as xr

from grok_interp.analysis.ablated_model import ablated
from grok_interp.analysis.ablation_arguments import Head, named, require_ablation
from grok_interp.analysis.ablation_conditions import CONDITIONS, CONTROLS, Cell, cells, drawn_conditions
from grok_interp.analysis.ablation_samples import (
    MEASURES,
    arrays_by_sample,
    bounds,
    cis_over_samples,
    effect_bounds,
    in_words,
    means,
    measured_by_sample,
    value_bounds,
)
from grok_interp.analysis.checkpoints_of import Checkpoints, checkpoints_of
from grok_interp.analysis.emergence import Estimate
from grok_interp.analysis.intervals import ratio_interval
from grok_interp.arguments import checked
from grok_interp.counted import counted
from grok_interp.data.copying import CopySamples
from grok_interp.data.token_rows import Tokens, token_rows
from grok_interp.models.activations import HookedModel
from grok_interp.results.result import Result


class HeadAblation(Result):
    """Copying accuracy and loss under each condition; the coordinate `heads` names those that were ablated.

    `exact_match_low` and `exact_match_high` are the ends of the 95% interval of the mean over draws,
    `exact_match_effect_low` and `exact_match_effect_high` those of its difference to intact, paired by sample; the same
    for `per_token` and `loss`.
    """

    name = "ablation"
    dims = ("checkpoint", "condition", "draw")
    measures: ClassVar = {**MEASURES, **bounds("", dims[:2]), **bounds("_effect", dims[:2])}

    def effect(self, measure: str) -> xr.DataArray:
        """Each condition minus intact: negative where accuracy is lost, positive where loss is added.

        Args:
            measure: exact_match, per_token (fractions) or loss (nats).
        """
        return self[measure] - self[measure].sel(condition="intact", drop=True)

    @property
    def has_controls(self) -> bool:
        """Whether as many heads were left as are ablated; without them the controls are NaN."""
        return bool((self.dataset["heads"].sel(condition=CONTROLS) != "").all())

    @property
    def controls_are_elsewhere(self) -> bool:
        """Whether random controls of other layers take the place of those that the same layers lack."""
        random = self.dataset["heads"].sel(condition="random").isel(checkpoint=0, draw=0).item()
        ablated_layers, layers = (
            sorted(name.partition("H")[0] for name in heads.split()) for heads in (self.dataset.attrs["heads"], random)
        )
        return self.has_controls and layers != ablated_layers

    def expected(self) -> xr.Dataset:
        """Without the controls where there are none."""
        expected = super().expected()
        return expected if self.has_controls else expected.drop_sel(condition=CONTROLS)

    def interval(self, measure: str) -> tuple[xr.DataArray, xr.DataArray]:
        """Of the mean over draws: checkpoint x condition, low and high.

        Args:
            measure: exact_match, per_token (fractions) or loss (nats).
        """
        return self[f"{measure}_low"], self[f"{measure}_high"]

    def effect_interval(self, measure: str) -> tuple[xr.DataArray, xr.DataArray]:
        """Of the mean effect over draws: checkpoint x condition, low and high.

        Args:
            measure: exact_match, per_token (fractions) or loss (nats).
        """
        return self.interval(f"{measure}_effect")

    def in_words(self, measure: str, condition: str) -> str:
        """Of the last checkpoint, the mean over draws: 96.6% [95.8, 97.3]

        Args:
            measure: exact_match, per_token (fractions) or loss (nats).
            condition: intact, ablated, random or entropy.
        """
        ends = [self[measure].mean("draw"), *self.interval(measure)]
        return in_words(measure, *(float(each.sel(condition=condition).isel(checkpoint=-1)) for each in ends))

    def fraction_removed(self, condition: str = "ablated") -> Estimate:
        """The fraction of intact exact-match accuracy that a condition removes at the last checkpoint, 95% CI.

        At most 1, negative where accuracy is gained, NaN where the intact accuracy may be 0. The errors of both are
        taken as independent, so the interval is too wide rather than too narrow.

        Args:
            condition: intact, ablated, random or entropy.
        """
        ends = [self["exact_match"].mean("draw"), *self.interval("exact_match")]

        def last(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            value, low, high = (each.isel(checkpoint=[-1]).sel(condition=name).to_numpy() for each in ends)
            return value, low, high

        without, intact = last(condition), last("intact")
        if not intact[1] > 0 or not np.isfinite(without).all():
            return Estimate()
        left = (without[0] / intact[0], *ratio_interval(without, intact))
        value, high, low = (1 - float(each.item()) for each in left)
        return Estimate(value, low, high)

    @checked
    def onset(self, *, threshold: float) -> float:
        """The first step at which exact-match accuracy without the heads is below that of every control, by more than
        `threshold`; NaN if there is none. Raises ValueError for a threshold that is not a finite number.

        Args:
            threshold: a difference of accuracies, from 0 to 1.
        """
        exact_match = self["exact_match"]
        controls = exact_match.sel(condition=CONTROLS).min(("condition", "draw"))
        above = controls - exact_match.sel(condition="ablated").max("draw") > threshold
        return float(above["checkpoint"][int(above.argmax("checkpoint"))]) if bool(above.any()) else np.nan

    def __str__(self) -> str:
        intact, without, random, entropy = (self.in_words("exact_match", each) for each in CONDITIONS)
        controls = f"{random} without random heads, {entropy} without heads of the nearest entropy"
        if not self.has_controls:
            controls = "no controls, because too few heads are left"
        attrs, steps = self.dataset.attrs, counted(self.dataset.sizes["checkpoint"], "checkpoint")
        return (
            f"without {attrs['heads']} ({attrs['how']}) at {steps}; exact-match accuracy at the last: "
            f"{intact} intact, {without} ablated, {controls}{cis_over_samples(self.dataset.attrs)}{self.warning()}"
        )


@checked
def head_ablation(
    checkpoints: Checkpoints,
    samples: CopySamples,
    windows: Tokens,
    *,
    heads: Sequence[Head],
    how: str,
    n_draws: int,
    seed: int,
    spared: Sequence[Head] = (),
    reference: Tokens | None = None,
    n_match: int | None = None,
    batch_size: int = 64,
) -> HeadAblation:
    """Copying accuracy and loss of every (step, model) with and without `heads`, beside controls.

    The controls are NaN, and their names empty, where fewer heads are left than are ablated.

    Args:
        checkpoints: a run, one model, or any iterable of (step, model), as `checkpoints_of` takes them.
        samples: strings of the copying test, from `CopyTask.sample()`.
        windows: held-out text as in `position_losses`, batch x pos.
        heads: (layer, head) of those that are ablated, one or more.
        how: "zero", "mean", "resample" or "edges", as in `ablated`.
        n_draws: sets of random control heads, 1 or more.
        seed: draws the controls, and the reference sequences of "resample".
        spared: heads that are never controls: induction heads that are not ablated, and heads of the same circuit.
        reference: as in `ablated`.
        n_match: as in `ablated`.
        batch_size: samples or windows per forward pass; changes memory, never the result.

    Returns:
        Accuracies and loss by checkpoint, condition and draw.

    Raises:
        ValueError: for what `ablated` refuses and for more draws than there are sets of controls.

    Example:
        >>> import torch
        >>> from grok_interp import CopyTask, Transformer, preset
        >>> model, samples = Transformer(preset("copier-tiny"), seed=0), CopyTask.fitting(64, n_samples=2).sample()
        >>> text = torch.randint(256, (2, 65), generator=torch.Generator().manual_seed(0))
        >>> found = head_ablation(model, samples, text, heads=[(1, 0)], how="zero", n_draws=1, seed=0)
        >>> found.dataset["condition"].values.tolist()
        ['intact', 'ablated', 'random', 'entropy']
    """

    def measured(model: HookedModel, chosen: tuple[Head, ...], donors: int) -> list[np.ndarray]:
        without = ablated(model, chosen, how, reference=reference, n_match=n_match, seed=donors) if chosen else model
        return measured_by_sample(without, samples, text, batch_size=batch_size)

    text = token_rows(windows, "windows")
    steps, rows, names = [], [], []
    for step, model in checkpoints_of(checkpoints):
        require_ablation(model.cfg, heads, how, reference=reference, n_match=n_match)
        conditions = drawn_conditions(model, samples, heads, n_draws=n_draws, seed=seed, spared=spared)
        planned = cells(conditions, resampled=how == "resample", seed=seed)
        distinct = dict.fromkeys(cell for draws in planned for cell in draws if cell is not None)
        known: dict[Cell, list[np.ndarray]] = {cell: measured(model, *cell) for cell in distinct}
        known[None] = [np.full_like(each, np.nan) for each in next(iter(known.values()))]
        steps.append(step)
        rows.extend(known[cell] for draws in planned for cell in draws)
        names.append([[named(chosen or ()) for chosen in draws] for draws in conditions])
    by_sample = arrays_by_sample(rows, (len(steps), len(CONDITIONS), n_draws))
    over_draws = [each.mean(axis=-2) for each in by_sample]
    arrays = means(by_sample) | value_bounds(over_draws, len(samples.task.queries))
    arrays |= effect_bounds(over_draws, [each[:, :1] for each in over_draws], len(samples.task.queries))
    coords = {
        "checkpoint": steps,
        "condition": CONDITIONS,
        "draw": np.arange(n_draws),
        "heads": (HeadAblation.dims, np.array(names)),
    }
    attrs = dict(heads=named(heads), how=how, spared=named(spared), n_match=n_match, seed=seed)
    attrs |= dict(n_samples=len(samples.strings), n_windows=len(text))
    return HeadAblation.of_arrays(arrays, coords, attrs)
