"""`Result`: what an analyzer returns, a frozen labeled dataset with one variable for each measure."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd
import xarray as xr

from grok_interp.checksums import is_sealed
from grok_interp.files import write_atomically
from grok_interp.results.netcdf import dataset_of_netcdf, netcdf_of_dataset
from grok_interp.results.order import by_step, joined, shown_steps
from grok_interp.results.table import html_table

if TYPE_CHECKING:
    from grok_interp.configs import TrainConfig


@dataclass(frozen=True)
class Measure:
    """What one variable of a result is.

    Args:
        long_name: what is measured, as an axis or the head of a column says it.
        units: "fraction" (0 to 1), "nats", "updates"; "1" for numbers without a unit, "" for what is no number.
        dims: its dimensions; those of the result if None.
        may_be_undefined: it can be NaN at a checkpoint whose weights, activations and logits are finite.
    """

    long_name: str
    units: str
    dims: tuple[str, ...] | None = None
    may_be_undefined: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """Subclasses fix `name` (the quantity), `dims` and `measures`, add methods, and define `__str__`.

    `result["loss"]` is one measure, an `xarray.DataArray`. `dataset` holds all of them, each with `units` and
    `long_name`; `dataset.attrs` says where the numbers come from: definition, seeds, sizes. Results of a run also have
    its whole configuration there, `TrainConfig.from_dict(result.dataset.attrs["training"])`.
    """

    dataset: xr.Dataset
    name: ClassVar[str]
    dims: ClassVar[tuple[str, ...]]
    measures: ClassVar[Mapping[str, Measure]]

    def __post_init__(self) -> None:
        found = set(self.dataset.data_vars)
        if not found or (self.measures and found != set(self.measures)):
            raise ValueError(
                f"{type(self).__name__} has the measures {', '.join(self.measures) or 'of one score or more'}, got "
                f"{', '.join(map(str, self.dataset.data_vars)) or 'none'}"
            )
        labeled = {name: self._labeled(name, variable) for name, variable in self.dataset.data_vars.items()}
        object.__setattr__(self, "dataset", by_step(self.dataset.assign(labeled)))

    @classmethod
    def of_arrays(
        cls, arrays: Mapping[str, Any], coords: Mapping[str, Any], attrs: Mapping[str, Any] | None = None
    ) -> Self:
        """A result from one array for each measure, with the dimensions of that measure.

        Args:
            arrays: measure -> values, as NumPy or torch has them.
            coords: as of an `xarray.Dataset`.
            attrs: where the numbers come from, in plain values.
        """
        variables = {name: (cls.measure(name).dims or cls.dims, np.asarray(values)) for name, values in arrays.items()}
        return cls(xr.Dataset(variables, coords, attrs))

    @classmethod
    def measure(cls, name: Hashable) -> Measure:
        """What the variable of that name is.

        Args:
            name: a variable of the dataset.
        """
        return cls.measures[str(name)]

    def _labeled(self, name: Hashable, variable: xr.DataArray) -> xr.Variable:
        measure = self.measure(name)
        dims = measure.dims or self.dims
        if variable.dims != dims:
            raise ValueError(f"{type(self).__name__} has dims {dims} for {name!r}, got {variable.dims}")
        labeled = variable.variable.copy(deep=False)  # without coordinates, which need not be aligned again
        labeled.attrs = {"units": measure.units, "long_name": measure.long_name}
        return labeled

    def __getitem__(self, name: str) -> xr.DataArray:
        """One measure. Raises KeyError for a name that is none."""
        if name not in self.dataset.data_vars:
            raise KeyError(f"no {name!r} in this result, it has {', '.join(map(str, self.dataset.data_vars))}")
        return self.dataset[name]

    def expected(self) -> xr.Dataset:
        """The values that are finite whenever a checkpoint is."""
        names = [name for name in self.dataset.data_vars if not self.measure(name).may_be_undefined]
        return self.dataset[names]

    def not_finite(self) -> tuple[int, ...]:
        """The steps at which a value is NaN or infinite because weights, activations or logits are."""
        if "checkpoint" not in self.dims:
            return ()
        values = self.expected()
        finite = (abs(values) < np.inf).all([dim for dim in values.dims if dim != "checkpoint"]).to_dataarray()
        return tuple(int(step) for step in values["checkpoint"].to_numpy()[~finite.all("variable").to_numpy()])

    def warning(self) -> str:
        """What `print` adds for checkpoints that are not finite; empty when all are."""
        steps = self.not_finite()
        return f"; NOT FINITE at {'step' if len(steps) == 1 else 'steps'} {shown_steps(steps)}" if steps else ""

    def to_frame(self) -> pd.DataFrame:
        """One row per cell: a column for each dimension, then one for each measure."""
        return self.dataset.reset_coords(drop=True).to_dataframe(dim_order=list(self.dims)).reset_index()

    def save(self, path: Path) -> None:
        """Write as netCDF, in one act.

        Args:
            path: of the file.
        """
        content = netcdf_of_dataset(self.dataset, self.name)
        write_atomically(Path(path), lambda scratch: scratch.write_bytes(content))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises ValueError when the file holds another quantity or is damaged.

        Args:
            path: of a file that `save` wrote.
        """
        try:
            if not is_sealed(content := Path(path).read_bytes()):
                raise ValueError("its SHA-256 is not the one it was written with")
            name, dataset = dataset_of_netcdf(content)
        except ValueError as error:
            raise ValueError(
                f"{path} is not a result file, or it is damaged ({error}): delete it and analyze"
            ) from error
        if name != cls.name:
            raise ValueError(f"{path} holds {name!r}, not {cls.name!r}")
        return cls(dataset)

    def at(self, step: int | None = None) -> xr.Dataset:
        """One checkpoint, the last if no step is named. Raises ValueError for a step that was not analyzed.

        Args:
            step: of a checkpoint.
        """
        steps = self.dataset["checkpoint"].to_numpy().tolist()
        if step is not None and step not in steps:
            raise ValueError(f"no step {step} in this result, analyzed steps: {steps}")
        return self.dataset.isel(checkpoint=-1 if step is None else steps.index(step))

    def with_training(self, config: TrainConfig | None) -> Self:
        """With the configuration that the models were trained by in `dataset.attrs["training"]`, as plain values.

        Args:
            config: of their run; None where it is not known, and nothing is added.
        """
        if config is None:
            return self
        training = json.loads(json.dumps(config.to_dict()))  # lists, no tuples: as it comes back from a file
        return replace(self, dataset=self.dataset.assign_attrs(training=training))

    def extended(self, *later: Self) -> Self:
        """This result and others of the same definition, joined along their checkpoints.

        Raises ValueError when the definitions differ.

        Args:
            later: results at other checkpoints.
        """
        for other in later:
            mine, theirs = (dict(each.dataset.attrs) for each in (self, other))
            if differ := [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]:
                one, two = ({name: each.get(name) for name in differ} for each in (mine, theirs))
                raise ValueError(f"results of two definitions: {one} and {two}")
        return replace(self, dataset=joined([self.dataset, *(other.dataset for other in later)]))

    def __str__(self) -> str:
        sizes = " x ".join(f"{self.dataset.sizes[dim]} {dim}" for dim in self.dims)
        return f"{self.name}: {sizes}{self.warning()}"

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return html_table(self.dataset, self.dims, caption=str(self))
