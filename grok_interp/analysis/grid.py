"""The grid comparison (Figure 5 of "Learning to grok"): one task, k fixed examples, then each of the p^2 queries.

Row 1: is the model right; row 2: does Ratio Matching solve it (the paper's caption says "Modular Regression", a slip);
row 3: row 1 - row 2. Modular Regression stands beside them here.
"""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from jaxtyping import Int64
from torch import Tensor

from grok_interp.activations import HookedModel
from grok_interp.analysis.algorithms import modular_regression, ratio_matching
from grok_interp.analysis.questions import answer_logits
from grok_interp.data.modular import require_task, sequences
from grok_interp.results import LabelledResult


class GridComparison(LabelledResult):
    """1 where right, 0 where not, for every query (x, y) of one task after the same k examples."""

    name = "right"
    dims = ("who", "x", "y")

    def model_minus(self, algorithm: str = "ratio matching") -> xr.DataArray:
        """x y: 1 where only the model is right, -1 where only the algorithm is."""
        return self.array.sel(who="model", drop=True) - self.array.sel(who=algorithm, drop=True)

    def counts(self) -> dict[str, int]:
        """Queries of the p^2: right by the model and by each algorithm, only by the model, only by Ratio Matching."""
        right = {str(who): int(self.array.sel(who=who).sum()) for who in self.array["who"].values}
        difference = self.model_minus()
        return right | {
            "only the model": int((difference > 0).sum()),
            "only ratio matching": int((difference < 0).sum()),
        }

    def __str__(self) -> str:
        counts = ", ".join(f"{who} {count}" for who, count in self.counts().items())
        return f"right after {self.array.attrs['k']} examples, of {self.array[0].size} queries: {counts}"


def grid_comparison(
    model: HookedModel, task: tuple[int, int], inputs: Int64[Tensor, "example 2"], p: int, *, batch_size: int = 512
) -> GridComparison:
    """Every query after the given examples of a task.

    Raises ValueError for a task outside Z_p and for more examples than the model's context holds.
    """
    require_task(task, p)
    k = len(inputs)
    if 3 * k + 2 > model.cfg.n_ctx:
        raise ValueError(f"{k} examples and a query are {3 * k + 2} tokens, the context holds {model.cfg.n_ctx}")
    queries = torch.cartesian_prod(torch.arange(p), torch.arange(p))
    contexts = torch.cat([inputs.expand(len(queries), k, 2), queries.unsqueeze(1)], dim=1)
    tokens = sequences(torch.tensor([task]), contexts, p)[0]
    examples = tokens[0, : 3 * k].unflatten(0, (k, 3))
    found = answer_logits(model, tokens, batch_size=batch_size)[:, -1].argmax(dim=-1)
    right = [(found == tokens[:, -1]).unflatten(0, (p, p))]
    right += [algorithm(examples, p).solved for algorithm in (ratio_matching, modular_regression)]
    array = xr.DataArray(
        torch.stack(right).numpy().astype(np.int8),
        dims=GridComparison.dims,
        coords={"who": ["model", "ratio matching", "modular regression"], "x": np.arange(p), "y": np.arange(p)},
        attrs={"a": int(task[0]), "b": int(task[1]), "k": k, "p": p},
    )
    return GridComparison(array)
