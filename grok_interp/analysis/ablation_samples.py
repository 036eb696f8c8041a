"""What an ablation is measured on, sample by sample, and the intervals of what it finds.

    exact_match  fraction of the suffixes of each copying sample that are copied exactly       0 to 1
    per_token    fraction of its suffix tokens that are predicted, earlier ones given           0 to 1
    loss         of each window of held-out text, the mean over its tokens                      nats

All conditions are measured on the same samples and windows. 95% intervals of a value: Wilson's over samples and strings
for `exact_match` and over samples for `per_token`, as for copying accuracy; mean ± t s.e. over windows for `loss`. An
effect is a difference of two conditions on the same samples, and its interval is that of the paired differences, mean
± t s.e. Where an accuracy changes by the same amount d in all samples, that has no width. The interval is then the one
of Bonett and Price ("Adjusted Wald confidence interval for a difference of binomial proportions based on paired data",
2012), each string of each sample one of n answers, of which n |d| changed: n d / (n + 2) ± 1.96 s.e., cut off at -1 and
1. With d = 0 that is ± 1.96 sqrt(2) / (n + 2). If not even the loss changes, the model is the same and its effect is 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from torch import Tensor

from grok_interp.analysis.copying import copying_accuracy
from grok_interp.analysis.intervals import BOUNDS, Z, in_percent, wilson_interval
from grok_interp.analysis.loss import window_losses
from grok_interp.analysis.sample_intervals import fraction_interval, mean_interval
from grok_interp.counted import over
from grok_interp.data.copying import CopySamples
from grok_interp.models.activations import HookedModel
from grok_interp.results.result import Measure, Result

MEASURES = {
    "exact_match": Measure("exact-match accuracy", "fraction"),
    "per_token": Measure("per-token accuracy", "fraction"),
    "loss": Measure("validation loss", "nats"),
}
BySample = Sequence[np.ndarray]  # of each measure: any leading axes, then samples or windows


class BesideIntact(Result):
    """Ablations with the intact model beside them: `exact_match` and `exact_match_intact`, and so on."""

    def effect(self, measure: str) -> xr.DataArray:
        """Ablated minus intact: negative where accuracy is lost, positive where loss is added.

        Args:
            measure: exact_match, per_token (fractions) or loss (nats).
        """
        return self[measure] - self[f"{measure}_intact"]

    def effect_interval(self, measure: str) -> tuple[xr.DataArray, xr.DataArray]:
        """With the dims of `effect`, low and high.

        Args:
            measure: exact_match, per_token (fractions) or loss (nats).
        """
        return self[f"{measure}_effect_low"], self[f"{measure}_effect_high"]


def measured_by_sample(
    model: HookedModel, samples: CopySamples, windows: Tensor, *, batch_size: int
) -> list[np.ndarray]:
    """In the order of `MEASURES`: one number per sample, sample and window.

    Args:
        model: a hooked model.
        samples: of the copying test.
        windows: token indices, batch x pos.
        batch_size: rows per forward pass; changes memory, never the result.
    """
    correct = copying_accuracy(model, samples, batch_size=batch_size)["correct"].isel(checkpoint=0).astype(float)
    exact_match = correct.min("char", skipna=False).mean("sequence", skipna=False)
    per_token = correct.mean(("sequence", "char"), skipna=False)
    losses = window_losses(model, windows, batch_size=batch_size)
    return [exact_match.to_numpy(), per_token.to_numpy(), losses.numpy()]


def arrays_by_sample(rows: Sequence[BySample], shape: tuple[int, ...]) -> list[np.ndarray]:
    """One array per measure, of this shape with the samples as a last axis.

    Args:
        rows: values of each measure by sample, one entry for each cell of `shape`, in row-major order.
        shape: of the axes before the samples.
    """
    return [np.array(of_measure).reshape(*shape, -1) for of_measure in zip(*rows, strict=True)]


def means(values: BySample, *, suffix: str = "") -> dict[str, np.ndarray]:
    """Measure, with a suffix -> the mean over samples.

    Args:
        values: measure -> values by sample, the samples as the last axis.
        suffix: is appended to each measure's name.
    """
    return {name + suffix: each.mean(axis=-1) for name, each in zip(MEASURES, values, strict=True)}


def value_bounds(values: BySample, n_strings: int, *, suffix: str = "") -> dict[str, np.ndarray]:
    """The ends of the interval of each mean over samples, named as `bounds` does.

    Args:
        values: of each measure, samples along the last axis.
        n_strings: that are asked for in each sample.
        suffix: of the names of the measures.
    """
    exact_match, per_token, loss = values
    exact = wilson_interval(exact_match.mean(axis=-1), exact_match.shape[-1] * n_strings)
    return _named([exact, fraction_interval(per_token), mean_interval(loss)], suffix)


def effect_bounds(values: BySample, intact: BySample, n_strings: int) -> dict[str, np.ndarray]:
    """The same of each mean difference to `intact`, which broadcasts against the values.

    Args:
        values: measure -> values by sample, the samples as the last axis.
        intact: the same of the intact model.
        n_strings: that are asked for in each sample.
    """
    *accuracies, loss = (each - same for each, same in zip(values, intact, strict=True))
    same_model = (loss == 0).all(axis=-1)
    return _named(
        [*(_paired_interval(each, n_strings, same_model) for each in accuracies), mean_interval(loss)], "_effect"
    )


def _paired_interval(differences: np.ndarray, n_strings: int, same_model: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = mean_interval(differences)
    n_samples, d = differences.shape[-1], differences.mean(axis=-1)
    agree = (np.ptp(differences, axis=-1) < 1e-9) & np.where(d == 0, ~same_model, n_samples > 1)
    n = n_samples * n_strings
    center = n * d / (n + 2)
    half = Z * np.sqrt(((n * np.abs(d) + 2) / (n + 2) - center**2) / (n + 2))
    return np.where(agree, (center - half).clip(-1, 1), low), np.where(agree, (center + half).clip(-1, 1), high)


def _named(ends: Sequence[Iterable[np.ndarray]], suffix: str) -> dict[str, np.ndarray]:
    return {
        f"{name}{suffix}_{bound}": end
        for name, both in zip(MEASURES, ends, strict=True)
        for bound, end in zip(BOUNDS, both, strict=True)
    }


def bounds(suffix: str, dims: tuple[str, ...]) -> dict[str, Measure]:
    """The measures `exact_match_low`, `exact_match_high` and so on, with a suffix before the bound.

    Args:
        suffix: as `means` takes it; may be empty.
        dims: of the bounds.
    """
    return {
        f"{name}{suffix}_{bound}": Measure(
            f"{each.long_name}{suffix.replace('_', ', ')}, {bound} end of the 95% interval", each.units, dims, True
        )
        for name, each in MEASURES.items()
        for bound in BOUNDS
    }


def cis_over_samples(attrs: Mapping[Any, Any]) -> str:
    """What intervals in a sentence are over, to follow them: " (95% CIs over 100 samples)".

    Args:
        attrs: of the result.
    """
    return f" (95% CIs{over(attrs.get('n_samples'), 'sample')})"


def in_words(measure: str, value: float, low: float, high: float) -> str:
    """96.6% [95.8, 97.3] of accuracies, 2.31 [2.25, 2.37] of the loss.

    Args:
        measure: one of `MEASURES`.
        value: an accuracy between 0 and 1, or a loss in nats.
        low: lower end of its interval; not finite where there is none.
        high: upper end of its interval.
    """
    if measure != "loss":
        return in_percent(value, low, high)
    if np.isnan(value):
        return "undefined"
    return f"{value:.2f}" + (f" [{low:.2f}, {high:.2f}]" if np.isfinite([low, high]).all() else "")
