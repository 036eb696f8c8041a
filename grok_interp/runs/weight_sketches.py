"""A sketch of the weights of each checkpoint, noted when it is evaluated: enough for an audit without a second load."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from grok_interp.results.result import Measure, Result
from grok_interp.results.store import Analyzer
from grok_interp.runs.sketch import sketch


class WeightSketches(Result):
    """Random projections of weights (see `sketch`): distances between them are those between checkpoints."""

    name = "weight_sketches"
    dims = ("checkpoint", "bucket")
    measures: ClassVar = {"sum": Measure("signed sum of the weights of a bucket", "1")}

    @property
    def each(self) -> dict[int, Tensor]:
        """Step -> sketch."""
        values = torch.from_numpy(self["sum"].to_numpy())
        return dict(zip(self.dataset["checkpoint"].to_numpy().tolist(), values, strict=True))

    def __str__(self) -> str:
        return f"sketches of the weights of {self.dataset.sizes['checkpoint']} checkpoints"


def _evaluate(step: int, model: Any) -> WeightSketches:
    sums = sketch(dict(model.named_parameters()))
    return WeightSketches.of_arrays({"sum": sums[None]}, {"checkpoint": [step]})


SKETCHES = Analyzer(WeightSketches.name, WeightSketches, {}, _evaluate)
