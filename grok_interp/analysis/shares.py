"""When does a curve make its way from its first value to its last? Shares of the way, so that no threshold is chosen.

share(step) = (curve(step) - first) / (last - first), 0 at the first checkpoint and 1 at the last. Two abilities of one
run are compared by the steps at which each has made half of its own way; noise can take a share below 0 or above 1.
"""

from __future__ import annotations

import numpy as np
import xarray as xr


def share_of_change(curve: xr.DataArray) -> xr.DataArray:
    """The share of its way that a curve over checkpoints has made; NaN everywhere if it ends where it began."""
    first, last = curve.isel(checkpoint=0), curve.isel(checkpoint=-1)
    way = last - first
    return (curve - first) / way.where(way != 0)


def midpoint(curve: xr.DataArray) -> float:
    """The first checkpoint at which half of the way is made; NaN if the curve ends where it began."""
    made = share_of_change(curve) >= 0.5
    return float(curve["checkpoint"][int(made.argmax("checkpoint"))]) if bool(made.any()) else np.nan
