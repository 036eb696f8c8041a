"""Datasets as the content of a netCDF file, and back."""

from __future__ import annotations

import io
import json
import warnings

import xarray as xr

from grok_interp.checksums import UNSEALED, sealed

NAME, ATTRIBUTES = "result", "attributes"


def netcdf_of_dataset(dataset: xr.Dataset, name: str) -> bytes:
    """A netCDF file of one result; its attributes as JSON, because netCDF has no None, no bool and no large integer."""
    written = dataset.drop_attrs(deep=False).assign_attrs({NAME: name, ATTRIBUTES: json.dumps(dataset.attrs)})
    return sealed(bytes(written.assign_attrs(checksum=UNSEALED).to_netcdf(engine="scipy")))


def dataset_of_netcdf(content: bytes) -> tuple[str, xr.Dataset]:
    """The name and the dataset that `netcdf_of_dataset` wrote.

    Raises ValueError when the content is something else or cut short.
    """
    try:
        with warnings.catch_warnings():  # xarray adds a filter whenever it reads
            dataset = xr.load_dataset(io.BytesIO(content), engine="scipy", decode_times=False)
        name, dataset.attrs = dataset.attrs[NAME], json.loads(dataset.attrs[ATTRIBUTES])
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise ValueError(" ".join(str(error).split())) from error
    return name, dataset.drop_encoding()
