"""The change point of an accuracy that rises, fitted and said in words as the reports of both studies do."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr

from grok_interp.analysis.emergence import MIN_CHECKPOINTS, Emergence, Estimate, emergence
from grok_interp.counted import counted, over

ONE_SEED = "One seed; others may differ."
MARGIN = 0.05  # an onset needs an accuracy of more than 5 percentage points above chance


def rise(accuracy: xr.DataArray, *, chance: float, trials: float | int | None = None) -> Emergence | None:
    """The change point of an accuracy over checkpoints; None with too few checkpoints to fit one.

    Args:
        accuracy: along `checkpoint`, between 0 and 1; or another measure that rises.
        chance: the accuracy of guessing.
        trials: independent answers that each accuracy is the fraction of, as in `emergence`.
    """
    if accuracy.size < MIN_CHECKPOINTS:
        return None
    return emergence(accuracy, chance=chance, margin=MARGIN, trials=trials)


def rise_in_words(found: Emergence | None, estimate: Literal["onset", "midpoint"]) -> str:
    """The estimate and its interval; otherwise why there is none.

    Args:
        found: of `rise`.
        estimate: which of its two steps is said.

    Example:
        >>> rise_in_words(None, "onset")
        'too few checkpoints'
        >>> rise_in_words(Emergence(0.6, 0.99, 57, 0.95), "onset")
        'never'
    """
    if found is None:
        return "too few checkpoints"
    if found.rises:
        return steps_in_words(found.onset if estimate == "onset" else found.midpoint)
    return "cannot tell" if found.outcome == "cannot tell" else "never"


def too_few_in_words(n_finite: int, n_checkpoints: int) -> str:
    """Why there is no change point.

    Args:
        n_finite: checkpoints with a finite value.
        n_checkpoints: all of them.

    Example:
        >>> too_few_in_words(5, 5), too_few_in_words(7, 8)
        ('5 checkpoints are too few, 8 are needed', '7 finite checkpoints are too few, 8 are needed')
    """
    n = counted(n_finite, "checkpoint" if n_finite == n_checkpoints else "finite checkpoint")
    return f"{n} {'is' if n_finite == 1 else 'are'} too few, {MIN_CHECKPOINTS} are needed"


def step_in_words(step: Estimate, n_checkpoints: int) -> str:
    """A step with its interval, as a sentence says it.

    Args:
        step: with its interval, in updates.
        n_checkpoints: that the interval is over.

    Example:
        >>> step_in_words(Estimate(620.1, 610.1, 1250.0), 57)
        '620 (95% CI over 57 checkpoints: 610-1,250)'
    """
    return f"{step.value:,.0f} (95% CI{over(n_checkpoints, 'checkpoint')}: {step.low:,.0f}-{step.high:,.0f})"


def steps_in_words(steps: Estimate) -> str:
    """A number of updates with its interval, for a card or a table.

    Args:
        steps: in updates; without an interval, as from one seed, it is the value alone.

    Example:
        >>> steps_in_words(Estimate(586.6, 571.7, 1670.4))
        '587 [572, 1,670]'
    """
    if steps.agreement:
        return f"{steps.value:,.0f} ({steps.agreement})"
    ends = f" [{steps.low:,.0f}, {steps.high:,.0f}]" if np.isfinite([steps.low, steps.high]).all() else ""
    return f"{steps.value:,.0f}{ends}"
