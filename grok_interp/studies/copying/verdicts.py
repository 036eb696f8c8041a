"""Each claim of claims.py, with a test of its own and a verdict at the size that was run.

An interval (95%, over seeds) decides: wholly on the claim's side it is supported, wholly on the other not supported,
anything else is undecided, too few runs and onsets that never came included. Each function says which side is which.
Runs are paired by seed: a seed has the same initial weights in all conditions, so these are compared within each seed
(slopes have an intercept for each seed), and a seed with a value in one condition only does not count.
Onsets are change points (`emergence`), final values means over the last tenth of training. Copying is judged twice: by
exact-match accuracy, the paper's, and by per-token accuracy.

Each claim says how many seeds would decide it with a probability of 80%, from the spread over the seeds that there are:
`seeds_needed` if the effect is as far from the boundary as observed, `seeds_needed_half` if it is half as far. Seeds
without an onset do not count. For formation order, whose verdict is a permutation test, this is the t-test of each
seed's own tau.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from grok_interp.analysis.ablation import HeadAblation
from grok_interp.analysis.comparison import NEITHER, final
from grok_interp.analysis.effects_over_seeds import Effect, mean_effect, slope
from grok_interp.analysis.emergence import emergence
from grok_interp.analysis.formation import FormationOrder, pooled_depth_order
from grok_interp.analysis.fraction_of_change import fraction_of_change
from grok_interp.studies.claim import NOT_SUPPORTED, SUPPORTED, UNDECIDED, Claim, JudgedClaim
from grok_interp.studies.copying.claims import (
    AFTER_THE_LOSS,
    BETTER_WITH,
    BY_UPDATES,
    EARLIER_AT_HIGHER_RATES,
    EARLIER_WITH_DROPOUT,
    HEADS_THAT_COPY,
    LOSS_BY_TOKENS,
    REGULARIZERS,
    SHALLOW_TO_DEEP,
    STRONGER_AT_HIGHER_RATES,
)
from grok_interp.studies.copying.onsets import (
    ByMeasure,
    Onsets,
    by_run,
    log_slope,
    paired_effect,
    seeds_of,
    varied_value,
)
from grok_interp.studies.verdict import judged, verdict

COPYING = {"exact_match": "exact match", "per_token": "per token"}
HALFWAY = -0.5  # between the slopes of what counts updates (0) and of what counts tokens (-1)


def after_the_loss(baseline: Onsets) -> JudgedClaim:
    """Onset of copying minus the end of the loss's fall; supported above 0.

    Args:
        baseline: of one measure of copying.
    """
    losses, onsets = baseline.curves.each("loss"), baseline.onsets.dropna()
    settled = by_run({run: emergence(losses[run]).end.value for run in onsets.index})
    delay = mean_effect((onsets - settled).dropna().to_numpy())
    made = [float(fraction_of_change(losses[run]).interp(checkpoint=onsets[run])) for run in onsets.index]
    fallen = f"; {np.mean(made):.0%} of its fall was made at the onset" if made else ""
    unit = " updates" if np.isfinite(delay.value) else ""
    text = f"onset minus the end of the loss's fall: {delay}{unit}{fallen}"
    return _on_copying(AFTER_THE_LOSS, baseline, delay, text)


def by_updates(batches: Onsets) -> JudgedClaim:
    """Slope of log onset on log batch size: 0 if updates count, -1 if tokens do; supported above -1/2.

    Args:
        batches: of one measure of copying, at several batch sizes, one run or more.
    """
    onsets = batches.onsets
    found, sizes = log_slope(onsets), varied_value(onsets)
    text = f"slope of log onset on log batch size {found} (0: updates count, -1: tokens)"
    larger = log_slope(onsets[sizes > sizes.min()])
    if onsets[sizes == sizes.min()].isna().any() and not np.isnan(larger.value):
        text += f", {larger} without the smallest, at which some runs never emerged"
    return _on_copying(BY_UPDATES, batches, found, text, boundary=HALFWAY)


def loss_by_tokens(batches: Onsets) -> JudgedClaim:
    """The same slope, of the step at which the loss first is where the worst run ends; supported below -1/2.

    Args:
        batches: of the loss, at several batch sizes.
    """
    losses = batches.curves.each("loss")
    level = max(final(curve) for curve in losses.values())
    found = log_slope(by_run({run: float(curve["checkpoint"][curve <= level][0]) for run, curve in losses.items()}))
    text = f"slope of log updates to a loss of {level:.2f} on log batch size {found} (0: updates count, -1: tokens)"
    decided = verdict(found, boundary=HALFWAY, above=False)
    seeds = [seed for _, seed in losses]
    return judged(LOSS_BY_TOKENS, "loss", found, text, boundary=HALFWAY, verdict=decided, seeds=seeds)


def earlier_at_higher_rates(rates: Onsets) -> JudgedClaim:
    """Slope of log onset on log learning rate; supported below 0.

    Args:
        rates: of one measure of copying, at several learning rates.
    """
    found = log_slope(rates.onsets)
    text = f"slope of log onset on log learning rate {found}"
    return _on_copying(EARLIER_AT_HIGHER_RATES, rates, found, text, above=False)


def stronger_at_higher_rates(rates: Onsets) -> JudgedClaim:
    """Slope of the final value on log2 of the learning rate; supported above 0.

    Args:
        rates: of one measure of copying, at several learning rates.
    """
    finals = rates.finals
    found = slope(np.log2(varied_value(finals)), finals.to_numpy(), seeds_of(finals))
    text = f"final accuracy gained by each doubling of the learning rate {found}"
    return _on_copying(STRONGER_AT_HIGHER_RATES, rates, found, text)


def shallow_to_deep(orders: Sequence[FormationOrder]) -> JudgedClaim:
    """Kendall's tau of depth against onset, over the heads of all runs; supported above 0 at p <= .05, permuted.

    Args:
        orders: one per run.
    """
    found = pooled_depth_order(orders)
    decided = UNDECIDED
    if found.p_value <= 0.05:
        decided = SUPPORTED if found.tau > 0 else NOT_SUPPORTED
    taus = np.array([order.depth_order().tau for order in orders])
    of_seeds = mean_effect(taus[np.isfinite(taus)])
    return judged(SHALLOW_TO_DEEP, "I(L, H)", of_seeds, str(found), verdict=decided, seeds=range(len(orders)))


def better_with(condition: str, name: str, regularized: Onsets) -> JudgedClaim:
    """Final value with minus without, seed by seed; supported above 0.

    Args:
        condition: with the regularizer, as the results name it.
        name: of the regularizer.
        regularized: of all three conditions.
    """
    found = paired_effect(regularized.finals, condition, NEITHER)
    text = f"final accuracy with {name} minus without {found}"
    return _on_copying(BETTER_WITH[name], regularized, found, text, conditions=(condition, NEITHER))


def earlier_with_dropout(condition: str, regularized: Onsets) -> JudgedClaim:
    """Log2 of the onset with minus without, seed by seed; supported below 0.

    Args:
        condition: with dropout, as the results name it.
        regularized: of all three conditions.
    """
    onsets = regularized.onsets
    found = paired_effect(onsets.where(onsets > 0).map(np.log2), condition, NEITHER)
    text = f"log2 of the onset with attention dropout minus without {found}"
    compared = condition, NEITHER
    return _on_copying(EARLIER_WITH_DROPOUT, regularized, found, text, above=False, conditions=compared)


def heads_that_copy(ablations: Sequence[HeadAblation]) -> list[JudgedClaim]:
    """Beyond the paper. At the last checkpoint: accuracy under the kinder control minus accuracy without the
    heads, of each measure; supported above 0. The interval is cut at 1, the largest loss of accuracy that is possible.

    Args:
        ablations: one per run.
    """
    claims = []
    for measure, name in COPYING.items():
        last = [each[measure].isel(checkpoint=-1).mean("draw") for each in ablations]
        lost = np.array(
            [float(each.sel(condition=["random", "entropy"]).min() - each.sel(condition="ablated")) for each in last]
        )
        known = lost[np.isfinite(lost)]  # a run without heads that may be controls has none
        found = mean_effect(known).within(-1.0, 1.0)  # Student's interval may go beyond
        heads = ", ".join(each.dataset.attrs["heads"] for each in ablations)
        text = f"accuracy lost without {heads} beyond what the worse control loses {found}"
        claims.append(judged(HEADS_THAT_COPY, name, found, text, verdict=verdict(found), seeds=range(len(ablations))))
    return claims


def curve_claims(
    baseline: ByMeasure,
    batches: ByMeasure | None = None,
    rates: ByMeasure | None = None,
    regularized: ByMeasure | None = None,
) -> Iterator[JudgedClaim]:
    """All claims that the training curves of these experiments can decide, in the paper's order.

    Args:
        baseline: onsets of the baseline, by measure.
        batches: at three batch sizes; their claims are left out if None.
        rates: at three learning rates.
        regularized: with dropout, with weight decay and with neither.
    """
    tests: list[tuple[Callable[[Onsets], JudgedClaim], ByMeasure | None]] = [
        (after_the_loss, baseline),
        (by_updates, batches),
        (earlier_at_higher_rates, rates),
        (stronger_at_higher_rates, rates),
    ]
    if regularized:
        _, dropout, decay = regularized["loss"].curves.dataset["condition"].values.tolist()
        by_dropout, by_decay = REGULARIZERS
        tests += [
            (partial(better_with, dropout, by_dropout), regularized),
            (partial(earlier_with_dropout, dropout), regularized),
            (partial(better_with, decay, by_decay), regularized),
        ]
    for test, onsets in tests:
        if onsets is None:
            continue
        yield from (test(onsets[measure]) for measure in COPYING)
        if test is by_updates:
            yield loss_by_tokens(onsets["loss"])


def _on_copying(
    claim: Claim,
    onsets: Onsets,
    found: Effect,
    evidence: str,
    *,
    boundary: float = 0.0,
    above: bool = True,
    conditions: Sequence[str] | None = None,
) -> JudgedClaim:
    runs = onsets.onsets
    if conditions:
        runs = runs[runs.index.get_level_values("condition").isin(conditions)]
    never = int(runs.isna().sum())
    note = f"; never emerged in {never} of {len(runs)} runs" if never else ""
    decided = verdict(found, boundary=boundary, above=above)
    measure = COPYING[onsets.measure]
    seeds = seeds_of(runs).tolist()
    return judged(claim, measure, found, evidence + note, boundary=boundary, verdict=decided, seeds=seeds)
