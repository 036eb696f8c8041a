"""`LabelledResult`: what an analyzer returns, a frozen array with named dimensions, saved as netCDF."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import pandas as pd
import xarray as xr

from grok_interp.checkpoints.store import write_atomically

ATTRIBUTES = "attributes"


@dataclass(frozen=True)
class LabelledResult:
    """Subclasses fix `name` (the quantity) and `dims`, add questions, and define `__str__`.

    `array.attrs` keeps where the numbers come from: definition, seeds, sizes.
    """

    array: xr.DataArray
    name: ClassVar[str]
    dims: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        if self.array.dims != self.dims:
            raise ValueError(f"{type(self).__name__} has dims {self.dims}, got {self.array.dims}")

    def to_frame(self) -> pd.DataFrame:
        """One row per cell: a column for each dimension, the value last."""
        return self.array.to_series().rename(self.name).reset_index()

    def save(self, path: Path) -> None:
        """Write as netCDF, in one act."""
        attributes = {ATTRIBUTES: json.dumps(self.array.attrs)}  # netCDF has no None, no bool, no large int
        array = xr.DataArray(self.array, name=self.name, attrs=attributes)
        write_atomically(Path(path), lambda scratch: array.to_netcdf(scratch, engine="scipy"))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises ValueError when the file holds another quantity or is damaged."""
        try:
            array = xr.load_dataarray(path, engine="scipy")
            array.attrs = json.loads(array.attrs[ATTRIBUTES])
        except (TypeError, ValueError, KeyError, IndexError) as error:
            raise ValueError(
                f"{path} is not a result file, or it is damaged ({error}): delete it and analyze"
            ) from error
        if array.name != cls.name:
            raise ValueError(f"{path} holds {array.name!r}, not {cls.name!r}")
        return cls(array)

    def at(self, step: int | None = None) -> xr.DataArray:
        """One checkpoint, the last if no step is named. Raises ValueError for a step that was not analyzed."""
        steps = self.array["checkpoint"].to_numpy().tolist()
        if step is not None and step not in steps:
            raise ValueError(f"no step {step} in this result, analyzed steps: {steps}")
        return self.array.isel(checkpoint=-1 if step is None else steps.index(step))

    def extended(self, *later: Self) -> Self:
        """This result and others of the same definition, joined along their checkpoints.

        Raises ValueError when the definitions differ.
        """
        for other in later:
            if self.array.attrs != other.array.attrs:
                raise ValueError(f"results of two definitions: {self.array.attrs} and {other.array.attrs}")
        arrays = [self.array, *(other.array for other in later)]
        joined = xr.concat(arrays, dim="checkpoint", join="exact", combine_attrs="identical")
        return replace(self, array=joined.sortby("checkpoint"))
