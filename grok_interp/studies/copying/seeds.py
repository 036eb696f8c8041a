"""Several seeds of one configuration: in how many copying emerged, when, after how much of the loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from grok_interp.analysis.aligned_curves import aligned_curves
from grok_interp.analysis.comparison import TrainingCurves
from grok_interp.analysis.effects_over_seeds import Effect, mean_effect
from grok_interp.analysis.intervals import wilson_interval
from grok_interp.counted import counted
from grok_interp.plots.page import Headline, Section
from grok_interp.plots.pictures.aligned_seeds import aligned_seeds
from grok_interp.plots.pictures.copying_and_loss import copying_and_loss
from grok_interp.runs.run import Run
from grok_interp.studies.change_points import steps_in_words
from grok_interp.studies.copying.comparisons import curves_of
from grok_interp.studies.copying.copying_results import analyze
from grok_interp.studies.copying.first_screen import FirstScreen, fraction_in_words


@dataclass(frozen=True)
class Seeds:
    """What is said first of several seeds.

    Args:
        screens: seed -> what is said of it, one seed or more.
        curves: of these seeds, one condition.
    """

    screens: Mapping[int, FirstScreen]
    curves: TrainingCurves

    @classmethod
    def of_runs(cls, runs: Sequence[Run], *, device: str = "cpu") -> Seeds:
        """Of analyzed runs that differ in their seeds; models run on `device` where results are not stored."""
        ordered = sorted(runs, key=lambda run: run.config.init_seed)
        screens = {run.config.init_seed: FirstScreen.of_run(run, analyze(run, device=device)) for run in ordered}
        return cls(screens, curves_of(ordered, device=device))

    @cached_property
    def onsets(self) -> dict[int, float]:
        """Seed -> step, of those in which copying emerged."""
        found = {seed: screen.onset.value for seed, screen in self.screens.items()}
        return {seed: step for seed, step in found.items() if np.isfinite(step)}

    def over_seeds(
        self, value: Callable[[FirstScreen], float], *, least: float = -np.inf, most: float = np.inf
    ) -> Effect:
        """The mean of the finite values, with its t-interval, cut at the least and the largest possible value."""
        values = np.array([value(screen) for screen in self.screens.values()], float)
        return mean_effect(values[np.isfinite(values)]).within(least, most)

    def answer(self) -> str:
        """One sentence, and what it was observed on."""
        n, last = len(self.screens), min(screen.results.steps[-1] for screen in self.screens.values())
        seeds = counted(n, "seed")
        if not self.onsets:
            final = fraction_in_words(self._final())
            return (
                f"Copying emerged in 0 of {seeds} within {last:,} updates{self._undecided()}: exact match at the "
                f"end is {final}."
            )
        step = steps_in_words(self.over_seeds(lambda screen: screen.onset.value))
        text = f"Copying emerged in {len(self.onsets)} of {seeds}{self._undecided()}, at step {step}"
        made = self.over_seeds(lambda screen: screen.loss_made.value)
        if np.isfinite(made.value):
            text += f", after {fraction_in_words(made)} of the drop in validation loss"
        return f"{text}{self._carriers()}. Brackets: 95% CI over seeds."

    def _final(self) -> Effect:
        return self.over_seeds(lambda screen: float(screen.results.accuracy.exact_match()[-1]), least=0.0, most=1.0)

    def _undecided(self) -> str:
        """Seeds of which it is not known."""
        found = [screen.rise for screen in self.screens.values()]
        n = sum(rise is None or rise.outcome == "cannot tell" for rise in found)
        return f" ({n} of them undecided: too few checkpoints, or too much noise)" if n else ""

    def _carriers(self) -> str:
        removed, control = (self.over_seeds(each, most=1.0) for each in (_removed, _removed_by_random))
        if not removed.n_runs:
            return "; no head has been ablated yet"
        text = f"; ablating each seed's induction heads removes {fraction_in_words(removed)} of it"
        return text + (f" (random heads: {fraction_in_words(control)})" if control.n_runs else "")

    def cards(self) -> list[Headline]:
        """At most six numbers with their intervals over seeds."""
        n, emerged = len(self.screens), len(self.onsets)
        low, high = (100 * float(end[0]) for end in wilson_interval(np.array([emerged / n]), n))
        found = [
            Headline(f"{emerged} of {n}", f"seeds in which copying emerged; of all seeds 95% CI {low:.0f}-{high:.0f}%"),
            Headline(
                fraction_in_words(self._final()),
                f"exact match at the last checkpoint, mean over {counted(self._final().n_runs, 'seed')}, 95% CI",
            ),
        ]
        of_effects = {
            "onset of per-token accuracy (step)": self.over_seeds(lambda screen: screen.onset.value),
            "of the drop in validation loss precedes the onset": self.over_seeds(lambda screen: screen.loss_made.value),
            "of exact match removed by ablation of the induction heads": self.over_seeds(_removed, most=1.0),
            "of exact match removed by ablation of random heads": self.over_seeds(_removed_by_random, most=1.0),
        }
        for label, effect in of_effects.items():
            if effect.n_runs:
                in_words = steps_in_words if "(step)" in label else fraction_in_words
                seeds = f"mean over {counted(effect.n_runs, 'seed')}, 95% CI"
                found.append(Headline(in_words(effect), f"{label}, {seeds}"))
        return found

    def overview(self) -> Section:
        """Curves aligned at the onset; where it came in no seed, the curves as they are."""
        if not self.onsets:
            n = counted(len(self.screens), "seed")
            caption = f"Copying emerged in no seed. Thick: mean over {n}; thin: each seed."
            return Section("Overview", "", copying_and_loss(self.curves), caption, file="overview")
        curves = aligned_curves(self.curves, self.onsets)
        caption = (
            "Seeds aligned at the onset of copying in each. Thick: mean over "
            f"{counted(len(self.onsets), 'seed')} with its 95% interval; thin: each seed."
        )
        return Section("Overview", "", aligned_seeds(curves), caption, table=curves.to_frame(), file="overview")


def _removed(screen: FirstScreen) -> float:
    return screen.ablation.fraction_removed().value if screen.ablation else np.nan


def _removed_by_random(screen: FirstScreen) -> float:
    return screen.ablation.fraction_removed("random").value if screen.ablation else np.nan
