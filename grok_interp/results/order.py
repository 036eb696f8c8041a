"""Checkpoints in the order of their steps: sorted, joined, and named in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import TypeVar

import numpy as np
import xarray as xr

from grok_interp.counted import counted

MOST_STEPS = 6  # that a sentence names one by one
NUMBERS, TEXT = "iuf", "USTO"  # kinds of dtype; text is converted, and so are objects
Labeled = TypeVar("Labeled", xr.DataArray, xr.Dataset)


def shown_steps(steps: Sequence[int]) -> str:
    """0, 10, 20; of many the first ones, the last one and how many they are.

    Args:
        steps: sorted.
    """
    if len(steps) <= MOST_STEPS:
        return ", ".join(f"{step:,}" for step in steps)
    first = ", ".join(f"{step:,}" for step in steps[: MOST_STEPS - 1])
    return f"{first}, ..., {steps[-1]:,} ({counted(len(steps), 'checkpoint')})"


def joined(datasets: Sequence[xr.Dataset]) -> xr.Dataset:
    """Datasets of the same attributes and axes as one along `checkpoint`, sorted.

    Raises ValueError when other axes, or attributes, differ.

    Args:
        datasets: at least one, each along `checkpoint`.
    """
    together = xr.concat(
        datasets,
        dim="checkpoint",
        data_vars="minimal",
        coords="minimal",
        compat="equals",
        join="exact",
        combine_attrs="identical",
    )
    return together.sortby("checkpoint")


def by_step(labeled: Labeled) -> Labeled:
    """With its checkpoints in the order of their steps, which become numbers if they are strings of digits.

    What has no dimension `checkpoint`, or no steps, is returned as it is.

    Args:
        labeled: any dimensions; the coordinate `checkpoint` holds the training steps.

    Raises:
        ValueError: if a step is given twice or is not a number.

    Example:
        >>> by_step(xr.DataArray([3.0, 1.0], {"checkpoint": ["1000", "200"]}, ["checkpoint"])).to_numpy()
        array([1., 3.])
    """
    if "checkpoint" not in labeled.dims or "checkpoint" not in labeled.coords:
        return labeled
    steps = _numbers(labeled["checkpoint"].to_numpy())
    increases = steps[1:] > steps[:-1]  # a difference of unsigned numbers is never negative
    if labeled["checkpoint"].dtype.kind in NUMBERS and increases.all():
        return labeled
    labeled = labeled.assign_coords(checkpoint=steps).sortby("checkpoint")
    ordered = labeled["checkpoint"].to_numpy()
    if (twice := ordered[1:][np.diff(ordered) == 0]).size:
        raise ValueError(f"step {twice[0]:g} is given {int((ordered == twice[0]).sum())} times: keep one of them")
    return labeled


def _numbers(steps: np.ndarray) -> np.ndarray:
    try:
        if not _are_numbers_or_text(steps):
            raise TypeError(f"no steps: {steps.dtype}")
        numbers = steps if steps.dtype.kind in NUMBERS else steps.astype(float)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"steps must be numbers of optimizer updates, got {steps.astype(str).tolist()[:3]} ({steps.dtype}): "
            "convert them first"
        ) from error
    if not np.isfinite(numbers).all():
        raise ValueError(f"steps must be finite, got {numbers[~np.isfinite(numbers)][0]}")
    return numbers.astype(int) if (numbers == np.round(numbers)).all() else numbers


def _are_numbers_or_text(steps: np.ndarray) -> bool:
    """Dates, durations and truth values are neither, though NumPy makes numbers of them."""
    of_one_kind = steps.dtype.kind in NUMBERS + TEXT
    return of_one_kind and (steps.dtype.kind != "O" or all(isinstance(each, Real | str) for each in steps.tolist()))
