"""Power of t-tests: how many repetitions decide whether an effect is on one side of a boundary?

A design of n repetitions with k observations each and one fitted parameter gives the estimate of an effect a t
statistic with k n - 1 degrees of freedom and noncentrality d sqrt(n), where d is the distance of the effect from the
boundary in units of the standard error of one repetition. A two-sided interval of level 1 - alpha is wholly on the
effect's side with probability

    power(n) = P(T(k n - 1, d sqrt(n)) > t(1 - alpha/2, k n - 1)),    T noncentral t

For the mean of one number per repetition (k = 1), d is the mean divided by the standard deviation. The slope of a line
over c conditions with an intercept for each repetition leaves c - 1 observations of each (k = c - 1); d is
slope sqrt(Sxx) / sigma with the sum of squares Sxx of one repetition.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

from scipy import stats

from grok_interp.arguments.objects import shown

MOST = 100_000


def t_power(noncentrality: float, df: float | int, *, level: float = 0.95) -> float:
    """The probability that a two-sided t-interval is wholly on the effect's side of the boundary.

    Args:
        noncentrality: distance of the effect from the boundary in standard errors, 0 or more.
        df: degrees of freedom, above 0.
        level: confidence level of the interval, between 0 and 1.

    Example:
        >>> round(t_power(0.5 * 34**0.5, 33), 3)
        0.808
    """
    _require_numbers(noncentrality=noncentrality, df=df, level=level)
    if not df > 0:
        raise ValueError(f"df must be above 0, got {df}")
    if math.isinf(noncentrality):
        return 1.0
    return float(stats.nct.sf(stats.t.ppf((1 + level) / 2, df), df, noncentrality))


def repetitions_needed(
    effect: float, *, power: float = 0.8, level: float = 0.95, per_repetition: float | int = 1
) -> float:
    """The smallest number of repetitions, 2 or more, with a power of at least `power`; infinite above 100,000.

    Args:
        effect: d, the distance from the boundary in standard errors of one repetition; its sign does not matter.
        power: probability of a decision for an effect of this size, between 0 and 1.
        level: confidence level of the interval, between 0 and 1.
        per_repetition: k, observations of each repetition, above 0; a mean where repetitions differ.

    Returns:
        A whole number, infinity, or NaN for an effect of NaN.

    Raises:
        ValueError: for a power or a level outside (0, 1), and for what is no number.

    Example:
        >>> repetitions_needed(0.5), repetitions_needed(-0.8)
        (34.0, 15.0)
    """
    _require_numbers(effect=effect, power=power, level=level, per_repetition=per_repetition)
    if not (0 < power < 1 and 0 < level < 1):
        raise ValueError(f"power and level must be between 0 and 1, such as 0.8 and 0.95, got {power} and {level}")
    if math.isnan(effect):
        return math.nan

    def is_enough(n: int) -> bool:
        df = per_repetition * n - 1
        return df > 0 and t_power(abs(effect) * math.sqrt(n), df, level=level) >= power

    enough = 2
    while not is_enough(enough):
        if enough == MOST:
            return math.inf
        enough = min(2 * enough, MOST)
    too_few = enough // 2 if enough > 2 else 1
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        too_few, enough = (too_few, middle) if is_enough(middle) else (middle, enough)
    return float(enough)


def _require_numbers(**values: Any) -> None:
    """Infinity and NaN are numbers here."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, Real):
            raise ValueError(f"{name} must be a number, got {shown(value)}")
