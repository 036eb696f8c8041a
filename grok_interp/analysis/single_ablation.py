"""Single heads: what copying and loss are without each head alone.

Beside I(L, H) they say whether the score finds the heads that matter. It finds those that look at induction targets and
copy from there; the previous-token head that such a head reads has an I of 0 and may matter as much. Intervals are 95%
over samples and windows (see `ablation_samples`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from grok_interp.analysis.ablated_model import ablated
from grok_interp.analysis.ablation_arguments import Head, named
from grok_interp.analysis.ablation_samples import (
    MEASURES,
    BesideIntact,
    arrays_by_sample,
    bounds,
    cis_over_samples,
    effect_bounds,
    in_words,
    means,
    measured_by_sample,
    value_bounds,
)
from grok_interp.analysis.checkpoints_of import EACH_HEAD, Checkpoints, checkpoints_of
from grok_interp.arguments import checked
from grok_interp.counted import counted
from grok_interp.data.copying import CopySamples
from grok_interp.data.token_rows import Tokens, token_rows
from grok_interp.models.activations import HookedModel


class SingleAblation(BesideIntact):
    """Copying accuracy (between 0 and 1) and loss (nats) without each head; `exact_match_intact`: with all heads.

    `exact_match_low` and `exact_match_high` are the ends of the 95% interval, `exact_match_effect_low` and
    `exact_match_effect_high` those of the difference to intact, paired by sample, `exact_match_intact_low` and
    `exact_match_intact_high` those of intact; the same for `per_token` and `loss`.
    """

    name = "single_ablation"
    dims = ("checkpoint", "layer", "head")
    measures: ClassVar = {
        **MEASURES,
        **bounds("", dims),
        **bounds("_effect", dims),
        **{f"{name}_intact": replace(each, dims=("checkpoint",)) for name, each in MEASURES.items()},
        **bounds("_intact", ("checkpoint",)),
    }

    def in_words(self, measure: str, head: Head | None = None) -> str:
        """Of the last checkpoint, without a head or intact: 96.6% [95.8, 97.3]

        Args:
            measure: exact_match, per_token (fractions) or loss (nats).
            head: (layer, head), from 0; None for the intact model.
        """
        name, place = (f"{measure}_intact", ()) if head is None else (measure, head)
        ends = (self[each][-1] for each in (name, f"{name}_low", f"{name}_high"))
        return in_words(measure, *(float(end[place]) for end in ends))

    def costliest(self) -> list[Head]:
        """Every head by what copying loses without it at the last checkpoint, most first: exact-match accuracy, and
        per-token accuracy where that is equal."""
        exact_match, per_token = self["exact_match"][-1], self["per_token"][-1]
        left = {head: (float(exact_match[head]), float(per_token[head])) for head in np.ndindex(exact_match.shape)}
        return sorted(left, key=left.__getitem__)

    def __str__(self) -> str:
        most = self.costliest()[0]
        return (
            f"each of {counted(self['exact_match'][-1].size, 'head')} ablated alone ({self.dataset.attrs['how']}); "
            f"exact-match accuracy at the last checkpoint: {self.in_words('exact_match')} intact, lowest without "
            f"{named([most])}, {self.in_words('exact_match', most)}"
            f"{cis_over_samples(self.dataset.attrs)}{self.warning()}"
        )


@checked
def single_ablation(
    checkpoints: Checkpoints,
    samples: CopySamples,
    windows: Tokens,
    *,
    how: str,
    reference: Tokens | None = None,
    n_match: int | None = None,
    seed: int = 0,
    batch_size: int = 64,
    on_model: Callable[[int, int], None] | None = None,
) -> SingleAblation:
    """Every (step, model) without each of its heads in turn.

    Args:
        checkpoints: a run, a series, one model, or (step, model) pairs.
        samples: of the copying test.
        windows: token indices of validation text, batch x pos.
        how: the way of ablation, as in `ablated`; so are its options.
        reference: sequences that mean and resample ablation take the heads' z from.
        n_match: a length in tokens, for the ablation of edges.
        seed: draws what resample ablation takes.
        batch_size: rows per forward pass; changes memory, never the result.
        on_model: is told (models done, models to do) of each checkpoint: the intact one, and one without each
            head.

    Raises:
        ValueError: for what `ablated` and `checkpoints_of` refuse.
    """
    windows = token_rows(windows, "windows")
    options = dict(how=how, reference=reference, n_match=n_match, seed=seed)
    steps, rows, shape = [], [], (0, 0)
    for step, model in checkpoints_of(checkpoints, same=EACH_HEAD):
        shape = model.cfg.n_layers, model.cfg.n_heads
        n_models = 1 + int(np.prod(shape))
        for done, without in enumerate(_without_each(model, options), start=1):
            rows.append(measured_by_sample(without, samples, windows, batch_size=batch_size))
            if on_model:
                on_model(done, n_models)
        steps.append(step)
    by_sample = arrays_by_sample(rows, (len(steps), 1 + int(np.prod(shape))))  # intact, then head by head
    without_head = [each[:, 1:].reshape(len(steps), *shape, -1) for each in by_sample]
    n_strings, of_intact = len(samples.task.queries), [each[:, 0] for each in by_sample]
    arrays = means(without_head) | value_bounds(without_head, n_strings)
    arrays |= effect_bounds(without_head, [each[:, None, None] for each in of_intact], n_strings)
    arrays |= means(of_intact, suffix="_intact") | value_bounds(of_intact, n_strings, suffix="_intact")
    coords = {"checkpoint": steps, "layer": np.arange(shape[0]), "head": np.arange(shape[1])}
    attrs = dict(how=how, n_match=n_match, seed=seed, n_samples=len(samples.strings), n_windows=len(windows))
    return SingleAblation.of_arrays(arrays, coords, attrs)


def _without_each(model: HookedModel, options: dict[str, Any]) -> Iterator[HookedModel]:
    """The intact model, then one without each head."""
    yield model
    for head in np.ndindex(model.cfg.n_layers, model.cfg.n_heads):
        yield ablated(model, [head], **options)
