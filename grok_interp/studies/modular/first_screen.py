"""The first screen of the report: when a run generalizes to unseen tasks, and in which phase it is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from grok_interp.analysis.emergence import Estimate
from grok_interp.analysis.intervals import in_percent
from grok_interp.analysis.phases import PhaseProbabilities, percent, phases
from grok_interp.analysis.sampled_over import each_sampled_over
from grok_interp.counted import counted, over
from grok_interp.data.modular import SPLITS
from grok_interp.plots.drawing import Drawing
from grok_interp.plots.page import Headline, Section
from grok_interp.plots.pictures.modular_emergence import modular_emergence
from grok_interp.plots.pictures.shots import SPLIT_NAMES
from grok_interp.studies.change_points import ONE_SEED, rise_in_words, step_in_words, too_few_in_words
from grok_interp.studies.modular.modular_results import ModularResults


@dataclass(frozen=True)
class FirstScreen:
    """What is said first of one run.

    Args:
        results: of every checkpoint.
        threshold: a split counts as learned when its last-shot accuracy is above it.
    """

    results: ModularResults
    threshold: float

    @property
    def _chance(self) -> float:
        return 1 / self.results.shots.dataset.attrs["p"]

    @property
    def onset(self) -> Estimate:
        rise = self.results.rise
        return rise.onset if rise and rise.rises else Estimate()

    @cached_property
    def phases(self) -> dict[int, PhaseProbabilities]:
        return phases(self.results.shots, threshold=self.threshold)

    def answer(self) -> str:
        """One sentence, and what it was observed on."""
        step = self.results.best_step
        phase = str(self.phases[step]) if step in self.phases else "not defined: the logits are not finite"
        contexts = each_sampled_over(self.results.shots.dataset)
        best = f"at step {step:,}, where it is best, the phase is {phase} (probability over {contexts})"
        return f"{self._rise()}; {best}. {ONE_SEED}"

    def _rise(self) -> str:
        what = "accuracy on unseen tasks"
        if self.results.rise is None:
            n_finite = int(self.results.shots.last_shot().sel(split="ood_train").notnull().sum())
            return f"Cannot tell when {what} rose: {too_few_in_words(n_finite, len(self.results.steps))}"
        if self.results.rise.rises:
            return f"{what.capitalize()} rose at step {step_in_words(self.onset, self.results.rise.n_checkpoints)}"
        if self.results.rise.outcome == "cannot tell":
            return (
                f"Cannot tell whether {what} rose: at these {counted(self.results.rise.n_checkpoints, 'checkpoint')} a "
                f"clear rise would be detected with a probability of {self.results.rise.power:.0%} only"
            )
        return f"{what.capitalize()} did not rise above chance ({self._chance:.1%}) by more than 5 percentage points"

    def cards(self) -> list[Headline]:
        """Six numbers with their intervals."""
        step, shots, rise = self.results.best_step, self.results.shots, self.results.rise
        best, contexts = self.phases.get(step), each_sampled_over(shots.dataset)
        checkpoints = over(rise.n_checkpoints if rise else None, "checkpoint")
        accuracies = [
            Headline(
                in_percent(*shots.last_shot_with_interval(split, step), digits=0),
                f"accuracy, {SPLIT_NAMES[split]}, last shot, step {step:,} "
                f"(95% CI{over(int(shots.dataset['n_contexts'].sel(split=split)), 'context')})",
            )
            for split in SPLITS
        ]
        return [
            *accuracies,
            Headline(rise_in_words(rise, "onset"), f"onset of o.o.d. train accuracy (step, 95% CI{checkpoints})"),
            Headline(
                percent(best.probability) if best else "undefined",
                f"probability over {contexts} of the phase at step {step:,}: {best.most_probable if best else 'none'} "
                f"(a split is learned above {self.threshold:.0%})",
            ),
        ]

    @property
    def drawing(self) -> Drawing:
        """Accuracy by split, and the probability of each phase."""
        return modular_emergence(self.results.shots, self.phases, threshold=self.threshold, onset=self.onset)

    def overview(self) -> Section:
        """The figure with its caption."""
        caption = (
            "Top: accuracy of the last answer of the context, by split: tasks trained on or not (i.d., o.o.d.), inputs "
            "trained on or not (train, test). Bottom: probability of each phase. Bands: 95% CI over "
            f"{each_sampled_over(self.results.shots.dataset)}; probabilities: over the same contexts."
        )
        return Section("Overview", "", self.drawing, caption, file="overview")
