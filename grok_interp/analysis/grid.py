"""The grid comparison (Figure 5 of "Learning to grok"): one task, k fixed examples, then each of the p^2 queries.

Row 1: is the model right; row 2: does Ratio Matching solve it (the paper's caption says "Modular Regression", a slip);
row 3: row 1 - row 2. Modular Regression stands beside them here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from typing import Any, ClassVar

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int64
from torch import Tensor

from grok_interp.analysis.algorithms import modular_regression, ratio_matching
from grok_interp.analysis.checkpoints_of import Model, require_model, require_readable
from grok_interp.analysis.predictions import predicted_tokens
from grok_interp.analysis.prefixes import Branching, prefix_cache
from grok_interp.arguments import checked
from grok_interp.data.modular import answers, numbers_of, require_task, sequences
from grok_interp.data.token_rows import Tokens
from grok_interp.models.activations import HookedModel, device_of, evaluating, in_batches, logits
from grok_interp.models.overflow import undefined_if_not_finite
from grok_interp.results.result import Measure, Result


class GridComparison(Result):
    """1 where right, 0 where not, for every query (x, y) of one task after the same k examples; NaN where the model's
    logits are not finite."""

    name = "right"
    dims = ("who", "x", "y")
    measures: ClassVar = {"right": Measure("right: 1, wrong: 0", "1")}

    def model_minus(self, algorithm: str = "ratio matching") -> xr.DataArray:
        """x y: 1 where only the model is correct, -1 where only the algorithm is.

        Args:
            algorithm: "ratio matching" or "modular regression".
        """
        return self["right"].sel(who="model", drop=True) - self["right"].sel(who=algorithm, drop=True)

    def counts(self) -> dict[str, int]:
        """Queries of the p^2: right by the model and by each algorithm, only by the model, only by Ratio Matching; and
        those to which the model's logits are not finite, if there are any."""
        right = {str(who): int(self["right"].sel(who=who).sum()) for who in self.dataset["who"].values}
        difference, n_undefined = self.model_minus(), int(self["right"].sel(who="model").isnull().sum())
        only = {"only the model": int((difference > 0).sum()), "only ratio matching": int((difference < 0).sum())}
        return right | only | ({"NOT FINITE": n_undefined} if n_undefined else {})

    def __str__(self) -> str:
        counts = ", ".join(f"{who} {count}" for who, count in self.counts().items())
        return f"right after {self.dataset.attrs['k']} examples, of {self['right'][0].size} queries: {counts}"


@checked
def grid_comparison(
    model: Model, p: int, task: tuple[int, int], inputs: Tokens, *, batch_size: int = 512
) -> GridComparison:
    """Every query (x, y) after the given examples of a task: the model's answers and those of each algorithm.

    Args:
        model: any hooked model.
        p: the modulus.
        task: (a, b) in Z_p.
        inputs: the pairs (x, y) of the examples: a tensor, an array, or a list of pairs.
        batch_size: queries per forward pass; changes memory, never the result.

    Returns:
        Answers over all p^2 queries.

    Raises:
        ValueError: for a task outside Z_p and for more examples than the model's context holds.

    Example:
        >>> from grok_interp import Transformer, preset
        >>> grid = grid_comparison(Transformer(preset("modular-tiny"), seed=0), 5, (2, 1), [(0, 1), (3, 4)])
        >>> grid.dataset.sizes["x"], grid.dataset.sizes["y"]
        (5, 5)
    """
    inputs = _pairs(inputs, p)
    return grid_comparisons(model, p, task, inputs, shots=[len(inputs)], batch_size=batch_size)[0]


@checked
def grid_comparisons(
    model: Model,
    p: int,
    task: tuple[int, int],
    inputs: Tokens,
    *,
    shots: Sequence[int],
    batch_size: int = 512,
) -> list[GridComparison]:
    """Every query after the first k of the examples, for each k of `shots`; all k share one run over the examples.

    Args:
        model: any hooked model.
        p: the modulus.
        task: (a, b) in Z_p.
        inputs: the pairs (x, y) of the examples: a tensor, an array, or a list of pairs.
        shots: numbers of examples, each 0 to len(inputs).
        batch_size: queries per forward pass; changes memory, never the result.

    Returns:
        One grid for each number of shots, in their order.

    Raises:
        ValueError: for a task or inputs outside Z_p, for more examples than are given or than the model's context
            holds, and for a model without hooks or with a vocabulary without all of Z_p.

    Example:
        >>> from grok_interp import Transformer, preset
        >>> model = Transformer(preset("modular-tiny"), seed=0)
        >>> len(grid_comparisons(model, 5, (2, 1), [(0, 1), (3, 4)], shots=[1, 2]))
        2
    """
    require_task(task, p)
    require_model(model)
    inputs = _pairs(inputs, p)
    require_readable(torch.tensor([[0, p - 1]]), model.cfg, name="numbers modulo p")
    model = undefined_if_not_finite(model)
    _require_shots(shots, len(inputs), model.cfg.n_ctx)
    examples = sequences(torch.tensor([task]), inputs.unsqueeze(0), p)[0, 0].unflatten(0, (len(inputs), 3))
    right_answers = answers(torch.tensor([task]), _every_query(p).unsqueeze(1), p)[0, :, 0]
    logits = _logits_after_prefix if isinstance(model, Branching) else _logits_of_whole_sequences
    found = logits(model, examples, p, shots, batch_size)
    algorithms = [algorithm(examples, p) for algorithm in (ratio_matching, modular_regression)]
    grids = []
    for k, scores in zip(shots, found, strict=True):
        right = (predicted_tokens(scores) == right_answers).float().masked_fill(scores.isnan().any(dim=-1), torch.nan)
        solved = [solution.after(k).float() for solution in algorithms]
        values = torch.stack([right.unflatten(0, (p, p)), *solved])
        coords = {"who": ["model", "ratio matching", "modular regression"], "x": np.arange(p), "y": np.arange(p)}
        attrs = {"a": int(task[0]), "b": int(task[1]), "k": k, "p": p}
        grids.append(GridComparison.of_arrays({"right": values}, coords, attrs))
    return grids


def _pairs(inputs: Tokens, p: int) -> Int64[Tensor, "example 2"]:
    """The inputs of the examples, of which there may be none."""
    none = isinstance(inputs, Sized) and not len(inputs)
    return numbers_of(np.zeros((0, 2)) if none else inputs, p, width=2, name="inputs").cpu()


def _require_shots(shots: Sequence[int], n_examples: int, n_ctx: int) -> None:
    if outside := [k for k in shots if not 0 <= k <= n_examples]:
        raise ValueError(f"{n_examples} examples are given: the first {outside[0]} were asked for")
    if (k := max(shots, default=0)) and 3 * k + 2 > n_ctx:
        raise ValueError(f"{k} examples and a query are {3 * k + 2} tokens, the context holds {n_ctx}")


def _every_query(p: int) -> Int64[Tensor, "query 2"]:
    return torch.cartesian_prod(torch.arange(p), torch.arange(p))


def _logits_of_whole_sequences(
    model: HookedModel, examples: Int64[Tensor, "example 3"], p: int, shots: Sequence[int], batch_size: int
) -> Iterator[Float[Tensor, "query d_vocab"]]:
    """Of the answer to every query, for each k of `shots`."""
    queries = _every_query(p)
    for k in shots:
        tokens = torch.cat([examples[:k].flatten().expand(len(queries), -1), queries], dim=1)
        yield torch.cat([logits(each, part)[:, -1].cpu() for each, part in in_batches(model, tokens, batch_size)])


def _logits_after_prefix(
    model: Any, examples: Int64[Tensor, "example 3"], p: int, shots: Sequence[int], batch_size: int
) -> Iterator[Float[Tensor, "query d_vocab"]]:
    """The same: the examples are run once, for each k the p values of x, and after each of them those of y."""
    numbers = torch.arange(p, device=device_of(model)).unsqueeze(1)
    of_all_examples = prefix_cache(model, examples[: max(shots, default=0)].flatten().unsqueeze(0))
    for k in shots:
        parts = []
        for x in numbers.split(max(1, batch_size // p)):
            cache = of_all_examples.truncated(3 * k)
            with evaluating(model):
                model.read(x, cache=cache)
                parts.append(model(numbers.repeat(len(x), 1), cache=cache.branch())[:, -1].float().cpu())
        yield torch.cat(parts)
