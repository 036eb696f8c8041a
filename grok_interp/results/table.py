"""A dataset as a table for notebooks: one row per cell, one column per measure with its unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np
import xarray as xr

SHOWN = 10  # rows: the first and the last cells of a larger dataset
DIGITS = 4


def html_table(dataset: xr.Dataset, dims: Sequence[str], *, caption: str) -> str:
    """The first and the last cells, with units in the head; numbers are rounded to four digits.

    Args:
        dataset: variables with the attributes `units` and `long_name`.
        dims: in the order of the columns.
        caption: stands above the table, with the number of cells where not all are shown.
    """
    sizes = {dim: dataset.sizes[dim] for dim in dims}
    n_cells, half = math.prod(sizes.values()), SHOWN // 2
    rows = list(range(n_cells)) if n_cells <= SHOWN else [*range(half), *range(n_cells - half, n_cells)]
    numbered = dataset.reset_coords(drop=True).assign_coords(
        {dim: range(size) for dim, size in sizes.items() if dim not in dataset.coords}
    )
    places = zip(dims, np.unravel_index(rows, tuple(sizes.values())), strict=True)
    cells = numbered.isel({dim: xr.DataArray(place, dims="row") for dim, place in places})
    table = cells.to_dataframe()[[*dims, *map(str, dataset.data_vars)]].rename(
        columns={str(name): _head(variable) for name, variable in dataset.data_vars.items()}
    )
    text = caption if n_cells <= SHOWN else f"{caption} ({len(rows)} of {n_cells:,} cells)"
    body = table.to_html(index=False, border=0, float_format=lambda value: f"{value:.{DIGITS}g}")
    return f"<p>{escape(text)}</p>\n{body}"


def _head(variable: xr.DataArray) -> str:
    units = variable.attrs["units"]
    return f"{variable.attrs['long_name']} ({units})" if units not in ("", "1") else variable.attrs["long_name"]
