"""Emergence: from which step on does an ability appear, how long does its rise take, and how certain is that?

A curve over checkpoints is modeled as a broken line: a level, which may drift, a rise (or a fall), and a level again.

    onset, end  where the rise starts and where it ends, in steps; between checkpoints too
    midpoint    (onset + end) / 2: half-way between the levels before and after the rise
    width       end - onset; 0 for a jump
    before, after  the fitted levels at onset and end, in units of the curve

Drifts are at most half as steep as the rise, so an ability that improves slowly after its rise has an onset and an end.
Noise may be autocorrelated over checkpoints, AR(1); that of an accuracy follows its level, as `trials` says. The
intervals and the test of a flat curve are those of `grok_interp.statistics`; docs/calibration.md reports how often they
are right. They are too narrow for rises that take most of training in autocorrelated noise or training that fluctuates.

A curve gets a change point when the test rejects that it is flat. Otherwise its outcome is "flat" if a clear rise would
have been detected with a probability of at least `ENOUGH_POWER`, and "cannot tell" if not. An accuracy, which `chance`
or `trials` tells, emerges by rising: one that falls has the outcome "falls" and no onset, midpoint or end. One that
rises to chance + margin or less has none either: its outcome is "at chance". Other curves, such as a loss, have a
change point whether they rise or fall.

All results are deterministic. For fractions of the total change without a model, see `fraction_of_change`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Real
from typing import Literal

import numpy as np
import xarray as xr

from grok_interp.arguments import checked, require_level
from grok_interp.counted import over
from grok_interp.results.order import by_step
from grok_interp.statistics.change_point import ChangePoint, change_point
from grok_interp.statistics.curves import MIN_POINTS
from grok_interp.statistics.flatness import Flatness, flatness

MIN_CHECKPOINTS = MIN_POINTS
ENOUGH_POWER = 0.9
MOST_TRIALS = 1e7  # more answers have less noise than a fit in float64 can tell from rounding
NEVER = float("nan")

Outcome = Literal["emerged", "falls", "flat", "cannot tell", "at chance"]


@dataclass(frozen=True)
class Estimate:
    """A number and its interval; NaN where there is none."""

    value: float = NEVER
    low: float = NEVER
    high: float = NEVER

    def __str__(self) -> str:
        if np.isnan(self.value):
            return "none"
        known = np.isfinite([self.low, self.high]).all() and not self.agreement
        ends = f"[{self.low:,.4g}, {self.high:,.4g}]" if known else f"({self.agreement or 'no interval'})"
        return f"{self.value:,.4g} {ends}"

    @property
    def agreement(self) -> str:
        """What is said instead of an interval that has no width because all samples agree; empty if they differ."""
        return ""


@dataclass(frozen=True)
class Emergence:
    """The change point of one curve; its estimates are `none` unless the outcome is "emerged"."""

    p_value: float  # of a flat curve
    power: float  # of the test, against a rise of 5 standard deviations of the noise
    n_checkpoints: int  # that the curve has
    level: float  # of the intervals, between 0 and 1
    outcome: Outcome = "flat"
    onset: Estimate = field(default_factory=Estimate)  # steps
    midpoint: Estimate = field(default_factory=Estimate)
    end: Estimate = field(default_factory=Estimate)
    width: Estimate = field(default_factory=Estimate)
    before: Estimate = field(default_factory=Estimate)  # in units of the curve
    after: Estimate = field(default_factory=Estimate)

    @property
    def emerged(self) -> bool:
        """Whether the curve has an onset: of an accuracy that of a rise, of another curve that of a rise or a fall."""
        return self.outcome == "emerged"

    @property
    def rises(self) -> bool:
        """Whether it changes upward."""
        return self.emerged and self.after.value > self.before.value

    def __str__(self) -> str:
        if self.outcome == "emerged":
            cis = f"{100 * self.level:g}% CIs{over(self.n_checkpoints, 'checkpoint')}"
            rise = f"midpoint {self.midpoint}, width {self.width}, {self.before} to {self.after}"
            return f"onset {self.onset}, {rise} ({cis})"
        reasons = {
            "flat": f"p = {self.p_value:.2g}",
            "falls": f"from {self.before.value:.3g} to {self.after.value:.3g}",
            "cannot tell": f"p = {self.p_value:.2g}, but only {self.power:.0%} of clear rises would be detected",
            "at chance": f"the level after the change, {self.after.value:.3g}, is not above chance plus the margin",
        }
        return f"none: {self.outcome}{over(self.n_checkpoints, 'checkpoint')} ({reasons[self.outcome]})"


@checked
def emergence(
    curve: xr.DataArray,
    *,
    chance: float | None = None,
    margin: float | None = None,
    level: float = 0.95,
    trials: float | int | None = None,
) -> Emergence:
    """The change point of a curve over checkpoints, with confidence intervals.

    Args:
        curve: values over the dimension `checkpoint`, whose coordinate is the training step. Sorted by step here.
        chance: of an accuracy, the level of an uninformed model, in units of the curve. Without it every rise has an
            onset, and without `trials` as well so has every fall.
        margin: how far above `chance` the level after the rise must be, in units of the curve, 0 or more. Needed with
            `chance`.
        level: confidence level of the intervals, between 0 and 1; the test of a flat curve has size 1 - level. Its
            smallest p-value is 1 / 501: with a level above 0.998 no curve has an onset.
        trials: for an accuracy, the number of answers that each value is the fraction of, from 1 to 1e7. Its noise is
            then largest in the middle and small near 0 and 1: that of so many answers, and fluctuations of training on
            the logit. Without it, the noise of all checkpoints is equal, and the intervals of a steep rise between
            quiet levels are too narrow (docs/calibration.md).

    Returns:
        Onset, midpoint and end of the rise with their intervals, or why there is none.

    Raises:
        ValueError: for other dimensions than `checkpoint`, fewer than 8 checkpoints, missing or infinite values, steps
            that are given twice or are not numbers, `chance` without `margin`, or `trials` for values outside [0, 1].

    Example:
        >>> steps = np.arange(0, 2000, 100)
        >>> accuracy = xr.DataArray(np.where(steps < 850, 0.1, 0.9), {"checkpoint": steps}, ["checkpoint"])
        >>> str(emergence(accuracy, chance=0.1, margin=0.05).onset)
        '800 [800, 900]'
    """
    _require_options(chance, margin, level)
    steps, values = _checked(curve)
    _require_fractions(values, trials)
    if np.ptp(values) <= 1e-12 * np.abs(values).max():
        return Emergence(1.0, 1.0, len(values), level)
    size = round(1 - level, 12)
    test = flatness(steps, values, size=size)
    if test.p_value > size:
        outcome = "flat" if test.power >= ENOUGH_POWER else "cannot tell"
        return Emergence(test.p_value, test.power, len(values), level, outcome)
    found = _labeled(change_point(steps, values, level=level, trials=trials), test, len(values), level)
    outcome = _outcome(found, None if chance is None else chance + (margin or 0), is_accuracy=trials is not None)
    if outcome == "emerged":
        return found
    return Emergence(test.p_value, test.power, len(values), level, outcome, before=found.before, after=found.after)


def _outcome(found: Emergence, least: float | None, *, is_accuracy: bool) -> Outcome:
    """Of a curve that changes; `least` is the level that an accuracy must rise above."""
    if not found.rises and (is_accuracy or least is not None):
        return "falls"
    return "at chance" if least is not None and found.after.value <= least else "emerged"


def _require_options(chance: float | None, margin: float | None, level: float) -> None:
    if (chance is None) != (margin is None):
        raise ValueError(f"chance and margin go together, got chance={chance} and margin={margin}: give both or none")
    if margin is not None and not margin >= 0:
        raise ValueError(f"margin must be 0 or more, got {margin}")
    require_level(level)


def _checked(curve: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    if curve.dims != ("checkpoint",):
        raise ValueError(f"emergence needs one curve over `checkpoint`, got dims {curve.dims}: select one first")
    if curve.size < MIN_CHECKPOINTS:
        raise ValueError(
            f"a change point needs {MIN_CHECKPOINTS} checkpoints or more, got {curve.size}: keep more of them "
            "(checkpoint_steps), or wait for the run to reach them"
        )
    curve = by_step(curve)
    values = _numbers(curve.to_numpy())
    if missing := int((~np.isfinite(values)).sum()):
        raise ValueError(f"{missing} of {curve.size} checkpoints have no finite value: drop them first (dropna)")
    return curve["checkpoint"].to_numpy().astype(float), values


def _numbers(values: np.ndarray) -> np.ndarray:
    of_numbers = values.dtype.kind in "iufb"
    if not of_numbers and not (values.dtype.kind == "O" and all(isinstance(value, Real) for value in values.tolist())):
        raise ValueError(f"the values of curve must be real numbers, got {values.dtype}: convert them first")
    return values.astype(float)


def _require_fractions(values: np.ndarray, trials: float | int | None) -> None:
    if trials is None:
        return
    if trials < 1:
        raise ValueError(f"trials must be the number of answers behind each value, 1 or more, got {trials}")
    if trials > MOST_TRIALS:
        raise ValueError(
            f"trials must be the number of answers behind each value, {MOST_TRIALS:g} at most, got {trials:g}: leave "
            "it out where that many answers leave no noise"
        )
    if values.min() < 0 or values.max() > 1:
        raise ValueError(
            f"trials belongs to fractions in [0, 1], got values from {values.min():g} to {values.max():g}: leave it out"
        )


def _labeled(found: ChangePoint, test: Flatness, n_checkpoints: int, level: float) -> Emergence:
    onset, end = found.best
    onsets, ends = found.pairs.T

    def over_set(value: float, values: np.ndarray) -> Estimate:
        return Estimate(float(value), float(values.min()), float(values.max()))

    return Emergence(
        test.p_value,
        test.power,
        n_checkpoints,
        level,
        "emerged",
        onset=over_set(onset, onsets),
        midpoint=over_set((onset + end) / 2, (onsets + ends) / 2),
        end=over_set(end, ends),
        width=over_set(end - onset, ends - onsets),
        before=over_set(found.best_levels[0], found.levels[:, 0]),
        after=over_set(found.best_levels[1], found.levels[:, 1]),
    )
