"""The four phases of "Learning to grok" (B.3): which of the four splits a model has learned.

A split counts as learned when its last-shot accuracy is above a threshold (the paper: 75%). The paper names four of the
sixteen combinations; the others are named as what they are and never forced into one of the four.

Accuracies are measured on a sample of contexts, so a phase has a probability: the product over the four splits of the
probability that the accuracy over all contexts is above the threshold, or is not (intervals.py). The splits have
contexts of their own, so the four are independent; where only some o.o.d. tasks are evaluated, o.o.d. train and test
share them, and the product is an approximation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from numbers import Real
from typing import Any

import numpy as np
import xarray as xr

from grok_interp.analysis.emergence import Estimate
from grok_interp.analysis.intervals import probability_above, ratio_interval, wilson_interval
from grok_interp.analysis.shots import ShotCurves
from grok_interp.arguments import checked
from grok_interp.data.modular import SPLITS, Split

PAPER_THRESHOLD = 0.75
PHASES = {
    ("id_train",): "i.d. memorization",
    ("id_train", "id_test"): "i.d. generalization",
    ("id_train", "ood_train"): "o.o.d. memorization",
    SPLITS: "o.o.d. generalization",
    (): "nothing learned",
}


@checked
def phase(accuracies: Mapping[Split, float], *, threshold: float) -> str:
    """The name of the modular paper's phase; a combination that the paper does not name is listed by its splits.

    Args:
        accuracies: split -> accuracy, of all four splits, each in [0, 1].
        threshold: above which a split counts as learned, between 0 and 1; the paper's is 0.75. One at chance, 1/p, or
            below it calls guessing learned.

    Returns:
        The phase's name.

    Raises:
        ValueError: for accuracies that are missing or outside [0, 1], and for a threshold outside (0, 1).

    Example:
        >>> phase(dict(id_train=1.0, id_test=0.9, ood_train=0.8, ood_test=0.8), threshold=0.75)
        'o.o.d. generalization'
    """
    require_threshold(threshold)
    if not isinstance(accuracies, Mapping):
        raise ValueError(f"accuracies must be a mapping of each split to a number, got {accuracies!r}")
    if missing := [split for split in SPLITS if split not in accuracies]:
        raise ValueError(f"a phase needs the accuracies of all four splits, missing: {', '.join(missing)}")
    outside = {split: x for split, x in accuracies.items() if not (isinstance(x, Real) and 0 <= float(x) <= 1)}
    if outside:
        raise ValueError(f"accuracies must be in [0, 1], got {outside}")
    return _name(tuple(split for split in SPLITS if accuracies[split] > threshold))


def require_threshold(threshold: float) -> None:
    """Refuses a threshold that every accuracy or none is above.

    Args:
        threshold: accuracy above which a split counts as learned.

    Raises:
        ValueError: for one of 0 or less, and for one of 1 or more.
    """
    if not 0 < threshold < 1:
        raise ValueError(f"threshold must be an accuracy above 0 and below 1, got {threshold:g} (the paper: 0.75)")


def _name(learned: tuple[Split, ...]) -> str:
    return PHASES.get(learned, f"unnamed: {' + '.join(learned)} learned")


@dataclass(frozen=True)
class PhaseProbabilities:
    """The probability of each phase, given that each split counts as learned with a probability of its own.

    Example:
        >>> print(PhaseProbabilities({"id_train": 1.0, "id_test": 0.0, "ood_train": 0.62, "ood_test": 0.0}))
        o.o.d. memorization 62%, i.d. memorization 38%
    """

    learned: Mapping[Split, float]

    @cached_property
    def of_each(self) -> dict[str, float]:
        """All sixteen combinations by their names, the most probable first."""
        found = {}
        for combination in product((True, False), repeat=len(SPLITS)):
            is_learned = dict(zip(SPLITS, combination, strict=True))
            name = _name(tuple(split for split in SPLITS if is_learned[split]))
            found[name] = math.prod(p if is_learned[split] else 1 - p for split, p in self.learned.items())
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    @property
    def most_probable(self) -> str:
        return next(iter(self.of_each))

    @property
    def probability(self) -> float:
        """Of the most probable phase."""
        return next(iter(self.of_each.values()))

    def __str__(self) -> str:
        """Phases of 0.5% or more, the unnamed ones together unless one of them is the most probable."""
        shown, unnamed = [(self.most_probable, self.probability)], 0.0
        for name, probability in list(self.of_each.items())[1:]:
            if name in PHASES.values():
                shown.append((name, probability))
            else:
                unnamed += probability
        others = "other unnamed" if self.most_probable.startswith("unnamed") else "unnamed"
        shown = sorted([*shown, (others, unnamed)], key=lambda item: -item[1])
        return ", ".join(f"{name} {percent(probability)}" for name, probability in shown if probability >= 0.005)


def percent(probability: float) -> str:
    """62%; never 100%, because contexts are a sample.

    Args:
        probability: between 0 and 1.
    """
    return ">99%" if probability > 0.99 else f"{probability:.0%}"


@checked
def phases(curves: ShotCurves, *, threshold: float) -> dict[int, PhaseProbabilities]:
    """The probability of each phase at every checkpoint, from the last shot.

    Args:
        curves: accuracies on all four splits.
        threshold: a split is learned when its accuracy over all contexts is above this value, which is itself between
            0 and 1. One at chance, 1/p, or below it calls guessing learned.

    Returns:
        Step -> probabilities, over the contexts (and tasks, where they are sampled) of one run. Checkpoints with an
        accuracy of NaN, because their logits are not finite, have no phase and are left out.

    Raises:
        ValueError: for missing splits, accuracies outside [0, 1], and a threshold outside (0, 1).

    Example:
        >>> from grok_interp import load_reference
        >>> from grok_interp.studies import modular
        >>> results = modular.analyze(load_reference("modular-p11"))
        >>> phases(results.shots, threshold=0.75)[0].most_probable
        'nothing learned'
    """
    require_threshold(threshold)
    last, n = curves.last_shot(), curves.effective_queries().isel(shot=-1, drop=True)
    found = {}
    for step in last["checkpoint"].values[last.notnull().all("split").values]:
        at: Any = [each.sel(checkpoint=step).to_series().to_dict() for each in (last, n)]
        accuracies, n_queries = at
        found[int(step)] = phase_probabilities(accuracies, n_queries, threshold=threshold)
    return found


@checked
def phase_probabilities(
    accuracies: Mapping[Split, float], n_queries: Mapping[Split, float], *, threshold: float
) -> PhaseProbabilities:
    """From four accuracies, each over an effective number of queries. Raises the errors of `phase`.

    Args:
        accuracies: split -> accuracy, between 0 and 1.
        n_queries: split -> effective number of queries.
        threshold: accuracy above which a split counts as learned.
    """
    phase(accuracies, threshold=threshold)
    values, n = (np.array([each[split] for split in SPLITS]) for each in (accuracies, n_queries))
    return PhaseProbabilities(dict(zip(SPLITS, probability_above(threshold, values, n).tolist(), strict=True)))


@dataclass(frozen=True)
class Transience:
    """The peak of a curve over training, and what is left of it at the end."""

    peak: float
    step: int
    last: float

    def __str__(self) -> str:
        return f"peak {self.peak:.0%} at step {self.step:,}, {self.last:.0%} at the end"


def fraction_left(found: Transience, n_peak: float | int, n_last: float | int) -> Estimate:
    """The last accuracy divided by the peak, with its 95% interval.

    Both are measured on the same contexts. Their errors are taken as independent, which makes the interval too wide
    rather than too narrow where they are positively correlated. The peak is the largest of several checkpoints, so it
    is too high, and the fraction too low, by a part of its standard error.

    Args:
        found: peak and last value of an accuracy, in [0, 1].
        n_peak: effective number of queries of the peak, above 0 (`effective_number`).
        n_last: of the last checkpoint.

    Returns:
        A fraction, 1 without an interval where the last checkpoint is the peak; NaN where the peak is 0 or a value is
        not finite.

    Example:
        >>> left = fraction_left(Transience(0.8, 2000, 0.4), 400, 400)
        >>> f"{left.value:.2f} [{left.low:.2f}, {left.high:.2f}]"
        '0.50 [0.44, 0.57]'
    """
    if not found.peak > 0 or not np.isfinite([found.peak, found.last, n_peak, n_last]).all():
        return Estimate()
    if found.last == found.peak:
        return Estimate(1.0, 1.0, 1.0)
    values, n = np.array([found.last, found.peak]), np.array([n_last, n_peak])
    ends = np.stack([values, *wilson_interval(values, n)], axis=1)[..., None]  # (last, peak) x (value, low, high)
    last, peak = (tuple(each) for each in ends)
    low, high = ratio_interval(last, peak)
    return Estimate(found.last / found.peak, float(low[0]), float(high[0]))


def transience(curve: xr.DataArray) -> Transience:
    """Of one curve over checkpoints: o.o.d. generalization may rise and fall again (B.3).

    Args:
        curve: an accuracy along `checkpoint`, between 0 and 1.
    """
    values = curve.to_numpy()
    index = int(np.argmax(np.where(np.isnan(values), -np.inf, values)))  # a checkpoint that is not finite is no peak
    return Transience(float(values[index]), int(curve["checkpoint"][index]), float(values[-1]))
