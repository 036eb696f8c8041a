"""Which curves can have a change point."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from grok_interp.statistics.noise import N_LINEAR

MIN_POINTS = N_LINEAR + 4


def require_curve(steps: Float[np.ndarray, " point"], curve: Float[np.ndarray, " value"]) -> None:
    """Refuses a curve that no broken line can be fitted to.

    Args:
        steps: of its points.
        curve: one value for each.

    Raises:
        ValueError: for fewer than 8 points, steps that do not increase, and a constant curve.
    """
    if len(steps) < MIN_POINTS:
        raise ValueError(f"a change point needs at least {MIN_POINTS} points, got {len(steps)}")
    if len(curve) != len(steps):
        raise ValueError(f"curve must have one value for each of the {len(steps)} steps, got {len(curve)}")
    if not (np.diff(steps) > 0).all():
        raise ValueError("steps must increase: sort the points, and give each step once")
    if np.ptp(curve) == 0:
        raise ValueError(f"curve must not be constant, got {curve[0]:g} at every step")


def mean_and_sd(curve: Float[np.ndarray, " value"]) -> tuple[float, float]:
    """Of values whose squares float64 may not hold: they are divided by a power of two first, which rounds nothing.

    Args:
        curve: values that are not all 0.
    """
    exponent = int(np.frexp(np.abs(curve).max())[1])
    scaled = np.ldexp(curve, -exponent)
    return float(np.ldexp(scaled.mean(), exponent)), float(np.ldexp(scaled.std(), exponent))
