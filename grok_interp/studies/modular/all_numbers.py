"""The numbers of the report of a modular run: accuracies, early stopping, phase, transience."""

from __future__ import annotations

import numpy as np
import xarray as xr

from grok_interp.analysis.intervals import effective_number, in_percent, wilson_interval
from grok_interp.analysis.phases import Transience, fraction_left, phases, transience
from grok_interp.analysis.sampled_over import sampled_over
from grok_interp.analysis.shots import ShotCurves
from grok_interp.counted import over
from grok_interp.data.modular import SPLITS, Split
from grok_interp.plots.pictures.shots import SPLIT_NAMES
from grok_interp.studies.change_points import rise_in_words
from grok_interp.studies.modular.modular_results import EARLY_STOPPING, ModularResults


def numbers(results: ModularResults, *, threshold: float) -> dict[str, str]:
    """Every number of the report: label -> value."""
    shots, step = results.shots, results.best_step
    found = {
        _accuracy_label(shots, split, step): f"{shots.last_shot_with_interval(split, step)[0]:.1%}" for split in SPLITS
    }
    ood = transience(_ood_curve(results))
    best = results.agreement.best().sel(checkpoint=step, split="ood_train").isel(shot=-1)
    checkpoints = over(results.rise.n_checkpoints if results.rise else None, "checkpoint")
    return found | {
        "step of the best o.o.d. accuracy over new queries (early stopping)": f"{step:,}",
        f"phase at that step (learned: above {threshold:g}), probability over contexts, 1 seed": str(
            phases(shots, threshold=threshold).get(step, "undefined: not finite")
        ),
        "most likely algorithm at that step, last shot, o.o.d. train": str(best.values),
        f"midpoint of the rise of o.o.d. train accuracy (step, 95% CI{checkpoints})": rise_in_words(
            results.rise, "midpoint"
        ),
        f"o.o.d. accuracy over new queries at the last checkpoint, as a fraction of the best, {_peak(results, ood)} "
        "(95% CI over contexts, 1 seed)": _kept(results, ood),
        "chance": f"{1 / shots.dataset.attrs['p']:.1%}",
    }


def _ood_curve(results: ModularResults) -> xr.DataArray:
    """Over new queries, 0 where there are none; NaN at checkpoints that are not finite."""
    curve = results.shots.last_shot("new").sel(split=list(EARLY_STOPPING)).mean("split").fillna(0)
    return curve.where(~curve["checkpoint"].isin(results.not_finite()))


def _ood_queries(results: ModularResults, step: int) -> float:
    """Effective number of new queries of `_ood_curve` at a checkpoint; the two splits have contexts of their own."""
    at = results.shots.dataset.sel(checkpoint=step, split=list(EARLY_STOPPING), queries="new").isel(shot=-1)
    errors = at["accuracy_se"]
    error = (errors**2).sum("split") ** 0.5 / errors.notnull().sum("split")
    counted = (at["fraction"] * at["n_contexts"]).sum("split")
    found = effective_number(at["accuracy"].mean("split"), error, counted)
    return float(found) if float(found) > 0 else np.nan


def _accuracy_label(shots: ShotCurves, split: Split, step: int) -> str:
    _, low, high = shots.last_shot_with_interval(split, step)
    new, new_low, new_high = shots.last_shot_with_interval(split, step, "new")
    return (
        f"last-shot accuracy, {SPLIT_NAMES[split]}, 95% CI {low:.1%} to {high:.1%} over "
        f"{sampled_over(shots.dataset, split)}; new queries: {new:.1%} [{new_low:.1%}, {new_high:.1%}]"
    )


def _peak(results: ModularResults, found: Transience) -> str:
    n = _ood_queries(results, found.step)
    if not np.isfinite([found.peak, n]).all():
        return f"{found.peak:.1%}"
    return in_percent(found.peak, *(float(end[0]) for end in wilson_interval(np.array([found.peak]), n)))


def _kept(results: ModularResults, found: Transience) -> str:
    last = results.steps[-1]
    left = fraction_left(found, _ood_queries(results, found.step), _ood_queries(results, last))
    if np.isnan(left.value):
        return "not defined"
    if left.low == left.high:
        return "100%: the last checkpoint is the best"
    return f"{left.value:.0%} [{100 * left.low:.0f}, {100 * left.high:.0f}]"
