"""`OverTraining`: a result with a dimension `checkpoint`, any of which can be looked at on its own."""

from __future__ import annotations

import xarray as xr

from grok_interp.results import LabelledResult


class OverTraining(LabelledResult):
    """Subclasses have `checkpoint` among their dims."""

    def at(self, step: int | None = None) -> xr.DataArray:
        """One checkpoint, the last if no step is named. Raises ValueError for a step that was not analyzed."""
        steps = self.array["checkpoint"].to_numpy().tolist()
        if step is not None and step not in steps:
            raise ValueError(f"no step {step} in this result, analyzed steps: {steps}")
        return self.array.isel(checkpoint=-1 if step is None else steps.index(step))
