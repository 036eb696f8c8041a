"""The first screen of the report: when copying emerged and which head carries it, in one sentence and one figure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr

from grok_interp.analysis.ablation import HeadAblation
from grok_interp.analysis.ablation_arguments import named
from grok_interp.analysis.emergence import Emergence, Estimate
from grok_interp.analysis.fraction_of_change import fraction_of_change
from grok_interp.counted import counted, over
from grok_interp.plots.drawing import Drawing
from grok_interp.plots.page import Headline, Section
from grok_interp.plots.pictures.copying_emergence import copying_emergence
from grok_interp.runs.run import Run
from grok_interp.studies.change_points import ONE_SEED, rise, rise_in_words, step_in_words, too_few_in_words
from grok_interp.studies.copying.ablation_results import stored_ablation
from grok_interp.studies.copying.copying_results import CopyingResults

CARRIES = 0.5  # fraction of the exact-match accuracy that an ablation removes, above which the heads carry copying
LEAST_EXACT = 0.01  # of the strings: fewer are hardly copied, whatever the accuracy per token
MOST_NAMED = 3  # heads in a sentence


@dataclass(frozen=True)
class FirstScreen:
    """What is said first of one series of checkpoints.

    Args:
        results: of every checkpoint.
        ablation: of the induction heads, over training; None where it was not evaluated.
    """

    results: CopyingResults
    ablation: HeadAblation | None

    @classmethod
    def of_run(cls, run: Run, results: CopyingResults) -> FirstScreen:
        """With the ablation that is stored with the run."""
        return cls(results, stored_ablation(run))

    @cached_property
    def rise(self) -> Emergence | None:
        """Of per-token accuracy; None with too few checkpoints."""
        accuracy = self.results.accuracy
        return rise(
            accuracy.per_token().dropna("checkpoint"),
            chance=accuracy.chance["per_token"],
            trials=accuracy.trials["per_token"],
        )

    @property
    def onset(self) -> Estimate:
        """Of copying, in steps; NaN where it has none."""
        return self.rise.onset if self.rise and self.rise.rises else Estimate()

    @property
    def loss_made(self) -> Estimate:
        """The fraction of the total drop in validation loss that precedes the onset, over the onset's interval."""
        curve = self.results.loss.mean().dropna("checkpoint") if self.results.loss else None
        if curve is None or curve.size < 2 or not float(curve[-1]) < float(curve[0]) or np.isnan(self.onset.value):
            return Estimate()
        made, step = fraction_of_change(curve), self.onset
        inside = made["checkpoint"].to_numpy()
        inside = inside[(step.low < inside) & (inside < step.high)].tolist()
        within = made.interp(checkpoint=[step.value, step.low, *inside, step.high]).to_numpy()
        return Estimate(float(within[0]), float(within.min()), float(within.max()))

    def answer(self, observed: str = ONE_SEED) -> str:
        """One sentence, and what it was observed on."""
        if self.rise is None or not self.rise.rises:
            return f"{self._no_onset()} {observed}"
        step, made = self.onset, self.loss_made
        text = f"{self._copied()} emerged at step {step_in_words(step, self.rise.n_checkpoints)}"
        if np.isfinite(made.value):
            text += f", after {made.value:.0%} of the drop in validation loss"
        return f"{text}; {self._carriers()}. {observed}"

    def _copied(self) -> str:
        """Per-token accuracy can rise where no string is copied to its end."""
        accuracy = self.results.accuracy
        if not float(accuracy.exact_match_interval().sel(bound="low")[-1]) < LEAST_EXACT:
            return "Copying"
        return f"Copying of single tokens (exact match is {accuracy.exact_match_in_words(digits=0)} at the end)"

    def _no_onset(self) -> str:
        accuracy = self.results.accuracy
        last = (
            f"Per-token accuracy is {accuracy.per_token_in_words()} at step {self.results.steps[-1]:,} (95% CI over "
            f"{accuracy.sizes_in_words}); chance is {accuracy.chance['per_token']:.1%}."
        )
        if self.rise is None:
            few = too_few_in_words(int(accuracy.per_token().notnull().sum()), len(self.results.steps))
            return f"Cannot tell when copying emerged: {few}. {last}"
        if self.rise.outcome == "cannot tell":
            checkpoints = counted(self.rise.n_checkpoints, "checkpoint")
            return (
                f"Cannot tell whether copying emerged: at these {checkpoints} a clear rise would be detected with a "
                f"probability of {self.rise.power:.0%} only. {last}"
            )
        return f"Copying did not emerge within {self.results.steps[-1]:,} updates. {last}"

    def _carriers(self) -> str:
        """Which heads carry it, and how that is known."""
        if self.ablation is None:
            head, score = named(self.results.induction.strongest()), self._strongest_score()
            return f"no head has been ablated yet ({head} has the largest induction score, {score:.2f})"
        heads, removed = self._heads, self.ablation.fraction_removed()
        if np.isnan(removed.value):
            return "too little is copied exactly to say which head carries it"
        one = len(self.ablation.dataset.attrs["heads"].split()) == 1
        control = self.ablation.fraction_removed("random")
        if removed.low <= 0 or removed.low <= control.high:
            effect = f"ablating {heads} removes {fraction_in_words(removed)} of it{self._of_control()}"
            return f"no head is found that carries it: {effect}"
        part = "" if removed.low > CARRIES else " part of"
        effect = f"ablating {'it' if one else 'them'} removes {fraction_in_words(removed)} of it{self._of_control()}"
        return f"{heads} {'carries' if one else 'carry'}{part} it: {effect}"

    def _of_control(self) -> str:
        """What random heads remove, where there are any left, and what the intervals are over."""
        assert self.ablation
        control = self.ablation.fraction_removed("random")
        random = f"random heads: {fraction_in_words(control)}; " if np.isfinite(control.value) else ""
        return f" ({random}95% CI{over(self.ablation.dataset.attrs['n_samples'], 'sample')})"

    @property
    def _heads(self) -> str:
        """L1H0, L2H1 and L2H2; more than three are counted."""
        assert self.ablation
        heads = self.ablation.dataset.attrs["heads"].split()
        if len(heads) > MOST_NAMED:
            return f"{heads[0]} and {len(heads) - 1} other induction heads"
        return " and ".join([", ".join(heads[:-1]), heads[-1]]) if len(heads) > 1 else heads[0]

    def _strongest_score(self) -> float:
        layer, head = self.results.induction.strongest()[0]
        return float(self.results.induction["I"].isel(checkpoint=-1).sel(layer=layer, head=head))

    def cards(self) -> list[Headline]:
        """At most six numbers with their intervals."""
        step, found = f"at step {self.results.steps[-1]:,}", []
        for accuracy in self.results.accuracies:
            alphabet = accuracy.dataset.attrs["alphabet"]
            label = f"exact match on {alphabet} strings {step}, 95% CI ({accuracy.sizes_in_words})"
            found.append(Headline(accuracy.exact_match_in_words(digits=0), label))
        found.append(
            Headline(rise_in_words(self.rise, "onset"), f"onset of per-token accuracy (step, {_ci(self.rise)})")
        )
        if np.isfinite((made := self.loss_made).value):
            label = "of the drop in validation loss precedes the onset (95% CI of the onset)"
            found.append(Headline(fraction_in_words(made), label))
        return [*found, self._head_card(), *self._ablation_card()]

    def _head_card(self) -> Headline:
        layer, head = self.results.induction.strongest()[0]
        curve = self.results.induction["I"].sel(layer=layer, head=head).dropna("checkpoint")
        found = rise(curve, chance=0.0)
        label = (
            f"onset of I(L, H) of L{layer}H{head} (step, {_ci(found)}), the strongest head: "
            f"{self._strongest_score():.2f} at the last checkpoint"
        )
        return Headline(rise_in_words(found, "onset"), label)

    def _ablation_card(self) -> list[Headline]:
        if self.ablation is None or np.isnan((removed := self.ablation.fraction_removed()).value):
            return []
        how = self.ablation.dataset.attrs["how"]
        label = f"of exact match removed by {how} ablation of {self._heads}{self._of_control()}"
        return [Headline(fraction_in_words(removed), label)]

    @property
    def _loss_fall(self) -> xr.DataArray | None:
        """None without a text, and where no loss is finite."""
        loss = self.results.loss.mean().dropna("checkpoint") if self.results.loss else None
        return fraction_of_change(loss) if loss is not None and loss.size else None

    @property
    def drawing(self) -> Drawing:
        """Copying, induction scores and ablation on one step axis."""
        return copying_emergence(
            self.results.accuracy,
            self.results.induction,
            loss_fall=self._loss_fall,
            ablation=self.ablation,
            onset=self.onset,
        )

    def overview(self) -> Section:
        """The figure with its caption."""
        return Section("Overview", "", self.drawing, self._caption(), file="overview")

    def _caption(self) -> str:
        has_loss = self._loss_fall is not None
        text = (
            f"Top: accuracy{', and the drop in validation loss as a fraction of its total' * has_loss}. "
            f"{'Middle' if self.ablation else 'Bottom'}: induction score of every head. "
        )
        if self.ablation:
            how, n_samples = (self.ablation.dataset.attrs[name] for name in ("how", "n_samples"))
            text += f"Bottom: exact match after {how} ablation{over(n_samples, 'sample')}. {self._of_nearest()}"
        shaded = f" Shaded: onset, {_ci(self.rise)}." if np.isfinite(self.onset.value) else ""
        return f"{text}Bands: 95% CI over {self.results.accuracy.sizes_in_words}.{shaded}"

    def _of_nearest(self) -> str:
        """The heads closest in attention entropy may belong to the same circuit: then they are named."""
        assert self.ablation
        removed = self.ablation.fraction_removed("entropy")
        if not removed.low > CARRIES:
            return ""
        heads = self.ablation.dataset["heads"].isel(checkpoint=-1, draw=0).sel(condition="entropy").item()
        return (
            f"At the last checkpoint the ablation of {heads.replace(' ', ', ')}, the heads closest to these in "
            f"attention entropy, removes {fraction_in_words(removed)}: copying depends on them, too. "
        )


def _ci(found: Emergence | None) -> str:
    """95% CI over 57 checkpoints"""
    return f"95% CI{over(found.n_checkpoints, 'checkpoint')}" if found else "95% CI"


def fraction_in_words(estimate: Estimate) -> str:
    """97% [95, 98]; 100% (all 3 seeds agree); undefined where it is NaN."""
    if estimate.agreement:
        return f"{estimate.value:.0%} ({estimate.agreement})"
    if not np.isfinite([estimate.value, estimate.low, estimate.high]).all():
        return "undefined" if np.isnan(estimate.value) else f"{estimate.value:.0%}"
    value, low, high = (round(100 * each) for each in (estimate.value, estimate.low, estimate.high))
    return f"{value}% [{low}, {high}]"
