"""How much of its total change has a curve made? Fractions of it, so that no threshold is chosen.

fraction(step) = (curve(step) - first) / (last - first), 0 at the first checkpoint and 1 at the last. Two abilities of
one run are compared by the steps at which each has made half of its own change. Noise can move a fraction below 0 or
above 1. Checkpoints are sorted by step.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from grok_interp.results.order import by_step


def fraction_of_change(curve: xr.DataArray) -> xr.DataArray:
    """The fraction of its total change that a curve over checkpoints has made; NaN if it ends where it began.

    Args:
        curve: along `checkpoint`.
    """
    curve = by_step(curve)
    first, last = curve.isel(checkpoint=0), curve.isel(checkpoint=-1)
    way = last - first
    return (curve - first) / way.where(way != 0)


def half_change(curve: xr.DataArray) -> float:
    """The first checkpoint at which half of the total change is made, up or down; NaN if there is no total change.

    The midpoint of a rise is another number, half-way between the levels before and after it: see `emergence`.

    Args:
        curve: along `checkpoint`.
    """
    made = fraction_of_change(curve) >= 0.5
    return float(made["checkpoint"][int(made.argmax("checkpoint"))]) if bool(made.any()) else np.nan
