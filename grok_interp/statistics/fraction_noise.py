"""The noise of a fraction of n answers, such as an accuracy, over training.

The variance of a point at level q has two parts:

    q (1 - q) / n               independent answers
    tau^2 (q (1 - q))^2         fluctuations of the logit with standard deviation tau (delta method)

Both are large in the middle and small near 0 and 1. With one variance for all points, the many quiet ones before and
after a rise would make the few on it look exact. The second part takes up what the number of answers does not explain:
fluctuations of training, and answers that are right or wrong together. It grows fastest towards the middle, so if that
is the wrong shape, the interval of a rise is too wide rather than too narrow.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq

from grok_interp.arguments import checked
from grok_interp.statistics.noise import RHOS, Noise


@checked
def fraction_noise(
    values: Float[np.ndarray, " point"], line: Float[np.ndarray, " point"], *, trials: float | int
) -> Noise:
    """The noise around a fitted line; its `ratios` are standard deviations, and those of the points are not below them.

    Levels are q = (n f + 2) / (n + 4), with f the line, so that none is 0 or 1 (Agresti and Coull, 1998); levels of the
    values themselves would pull a fit towards 0 and 1. Points whose f is 0 or 1 cannot vary, so each point counts as
    f (1 - f) / q (1 - q) of one in the degrees of freedom. tau is the one with which the weighted residuals have the
    sum that is expected of them, and 0 if they are smaller without it (Paule and Mandel, 1982).

    Args:
        values: fractions, from 0 to 1.
        line: their expected values; cut off at 0 and 1.
        trials: n, the number of answers of each value, 1 or more.

    Example:
        >>> line = np.array([0.02, 0.02, 0.5, 0.98, 0.98, 0.98, 0.98, 0.98])
        >>> fraction_noise(line, line, trials=1000).ratios.round(4)
        array([0.0046, 0.0046, 0.0158, 0.0046, 0.0046, 0.0046, 0.0046, 0.0046])
    """
    line = line.clip(0, 1)
    level = (trials * line + 2) / (trials + 4)
    shape = level * (1 - level)
    noise = Noise(RHOS, least=1.0, n_varying=float((line * (1 - line) / shape).sum()))
    tau_squared = _excess((values - line) ** 2, shape / trials, shape**2, noise.n_free(len(values)))
    return Noise(RHOS, ratios=np.sqrt(shape / trials + tau_squared * shape**2), least=1.0, n_varying=noise.n_varying)


def _excess(squares: np.ndarray, sampling: np.ndarray, shape: np.ndarray, free: float) -> float:
    """The t of 0 or more at which the sum of squares / (sampling + t shape) is `free`; 0 if it is smaller there."""

    def above(t: float) -> float:
        return float((squares / (sampling + t * shape)).sum()) - free

    if above(0.0) <= 0:
        return 0.0
    largest = float((squares / shape).sum()) / free  # without the sampling part
    return cast(float, brentq(above, 0.0, largest))
