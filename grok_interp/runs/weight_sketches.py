"""Small random projections of weights, so that all checkpoints can be compared with one of them in memory.

A count sketch adds every weight, with a random sign, to one of `N_BUCKETS` sums. The distance between two sketches is
that between the weights to about sqrt(2 / N_BUCKETS) = 2%. One is noted of each checkpoint that is evaluated: enough
for an audit without a second load.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from grok_interp.counted import counted
from grok_interp.models.overflow import undefined_if_not_finite
from grok_interp.results.analyzer import Analyzer
from grok_interp.results.result import Measure, Result

N_BUCKETS = 4096
AT_ONCE = 1 << 20  # weights


def sketch(weights: Mapping[str, Tensor]) -> Tensor:
    """The sketch of a checkpoint, float64; equal names and sizes are projected equally.

    Args:
        weights: name -> tensor of any shape, real or complex; whole numbers are left out.

    Example:
        >>> a, b = torch.zeros(1000), torch.full((1000,), 0.1)
        >>> distance = (sketch({"w": a}) - sketch({"w": b})).norm()
        >>> bool((distance / (a - b).norm() - 1).abs() < 0.1)
        True
    """
    sums = torch.zeros(N_BUCKETS, dtype=torch.float64)
    for name in sorted(weights):
        weight = weights[name].detach()
        if weight.is_complex():
            weight = torch.view_as_real(weight.resolve_conj())
        if not weight.is_floating_point():
            continue
        generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
        for part in weight.reshape(-1).split(AT_ONCE):
            draws = torch.randint(0, 2 * N_BUCKETS, (len(part),), generator=generator)
            signed = part.double().cpu() * (2 * (draws % 2) - 1)
            sums.index_add_(0, draws // 2, signed)
    return sums


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
        return f"sketches of the weights of {counted(self.dataset.sizes['checkpoint'], 'checkpoint')}"


def _evaluate(step: int, model: Any) -> WeightSketches:
    sums = sketch(dict(undefined_if_not_finite(model).named_parameters()))
    return WeightSketches.of_arrays({"sum": sums[None]}, {"checkpoint": [step]})


SKETCHES = Analyzer(WeightSketches.name, WeightSketches, {}, _evaluate)
