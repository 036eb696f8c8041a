"""`LabelledResult`: what an analyzer returns, a frozen array with named dimensions, saved as netCDF."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pandas as pd
import xarray as xr

from grok_interp.checksums import UNSEALED, is_sealed, sealed
from grok_interp.files import write_atomically

ATTRIBUTES = "attributes"
MOST_STEPS = 6  # that a sentence names one by one


def shown_steps(steps: Sequence[int]) -> str:
    """0, 10, 20; of many the first ones, the last one and how many they are."""
    if len(steps) <= MOST_STEPS:
        return ", ".join(f"{step:,}" for step in steps)
    first = ", ".join(f"{step:,}" for step in steps[: MOST_STEPS - 1])
    return f"{first}, ..., {steps[-1]:,} ({len(steps)} checkpoints)"


@dataclass(frozen=True)
class LabelledResult:
    """Subclasses fix `name` (the quantity) and `dims`, add methods, and define `__str__`.

    `array.attrs` keeps where the numbers come from: definition, seeds, sizes.
    """

    array: xr.DataArray
    name: ClassVar[str]
    dims: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        if self.array.dims != self.dims:
            raise ValueError(f"{type(self).__name__} has dims {self.dims}, got {self.array.dims}")
        object.__setattr__(self, "array", by_step(self.array))

    def expected(self) -> xr.DataArray:
        """The values that are finite whenever a checkpoint is; subclasses leave out those that may be undefined."""
        return self.array

    def not_finite(self) -> tuple[int, ...]:
        """The steps at which a value is NaN or infinite because weights, activations or logits are."""
        if "checkpoint" not in self.array.dims:
            return ()
        values = self.expected()
        finite = (abs(values) < np.inf).all([dim for dim in values.dims if dim != "checkpoint"])
        return tuple(int(step) for step in self.array["checkpoint"].to_numpy()[~finite.to_numpy()])

    def warning(self) -> str:
        """What `print` adds for checkpoints that are not finite; empty when all are."""
        steps = self.not_finite()
        return f"; NOT FINITE at {'step' if len(steps) == 1 else 'steps'} {shown_steps(steps)}" if steps else ""

    def to_frame(self) -> pd.DataFrame:
        """One row per cell: a column for each dimension, the value last."""
        return self.array.to_series().rename(self.name).reset_index()

    def save(self, path: Path) -> None:
        """Write as netCDF, in one act."""
        content = netcdf_of_array(self.array, self.name)
        write_atomically(Path(path), lambda scratch: scratch.write_bytes(content))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises ValueError when the file holds another quantity or is damaged."""
        try:
            if not is_sealed(content := Path(path).read_bytes()):
                raise ValueError("its SHA-256 is not the one it was written with")
            array = array_of_netcdf(content)
        except ValueError as error:
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


def netcdf_of_array(array: xr.DataArray, name: str) -> bytes:
    """A netCDF file of one array; its attributes as JSON, because netCDF has no None, no bool and no large integer."""
    attributes = {ATTRIBUTES: json.dumps(array.attrs), "checksum": UNSEALED}
    return sealed(bytes(xr.DataArray(array, name=name, attrs=attributes).to_netcdf(engine="scipy")))


def array_of_netcdf(content: bytes) -> xr.DataArray:
    """The array that `netcdf_of_array` wrote. Raises ValueError when the content is something else or cut short."""
    try:
        with warnings.catch_warnings():  # xarray adds a filter whenever it reads
            array = xr.load_dataarray(io.BytesIO(content), engine="scipy")
        array.attrs = json.loads(array.attrs[ATTRIBUTES])
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise ValueError(" ".join(str(error).split())) from error
    return array.drop_encoding()


def by_step(array: xr.DataArray) -> xr.DataArray:
    """The array with its checkpoints in the order of their steps, which become numbers if they are strings of digits.

    Arrays without the dimension `checkpoint`, or without steps, are returned as they are.

    Args:
        array: any dimensions; the coordinate `checkpoint` holds the training steps.

    Raises:
        ValueError: if a step is given twice or is not a number.

    Example:
        >>> by_step(xr.DataArray([3.0, 1.0], {"checkpoint": ["1000", "200"]}, ["checkpoint"])).to_numpy()
        array([1., 3.])
    """
    if "checkpoint" not in array.dims or "checkpoint" not in array.coords:
        return array
    steps = _numbers(array["checkpoint"].to_numpy())
    increases = np.diff(steps) > 0
    if np.issubdtype(array["checkpoint"].dtype, np.number) and increases.all():
        return array
    array = array.assign_coords(checkpoint=steps).sortby("checkpoint")
    ordered = array["checkpoint"].to_numpy()
    if (twice := ordered[1:][np.diff(ordered) == 0]).size:
        raise ValueError(f"step {twice[0]:g} is given {int((ordered == twice[0]).sum())} times: keep one of them")
    return array


def _numbers(steps: np.ndarray) -> np.ndarray:
    try:
        numbers = steps if np.issubdtype(steps.dtype, np.number) else steps.astype(float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"steps must be numbers, got {steps.tolist()[:3]}: convert them first") from error
    if not np.isfinite(numbers).all():
        raise ValueError(f"steps must be finite, got {numbers[~np.isfinite(numbers)][0]}")
    return numbers.astype(int) if (numbers == np.round(numbers)).all() else numbers
