"""By which algorithm does a model answer? Its answers against Ratio Matching and Modular Regression (B.4).

`grid_comparison` is the paper's Figure 5: one task, k fixed examples, then each of the p^2 queries.

`algorithm_agreement` goes beyond it: over many tasks and contexts, every query after k examples is one of four kinds,

    repeated    it stands among the examples: looking it up is enough
    ratio       Ratio Matching solves it, and it is no repeat
    regression  Modular Regression solves it, Ratio Matching does not
    unsolved    neither solves it: only who knows the task can answer

and the model's accuracy on each kind, by number of shots, shows which algorithm carries it. A model that matches ratios
is right on `ratio` and at chance on `regression`; one that regresses is right on both. `log_likelihood` weighs the
algorithms as hypotheses: each predicts the true answer on the queries that it solves, but for a share of errors fitted
to the model's, and any answer alike elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
import xarray as xr
from einops import rearrange
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from grok_interp.activations import HookedModel
from grok_interp.analysis.algorithms import modular_regression, ratio_matching
from grok_interp.analysis.shots import EVALUATION_CONTEXTS, answer_logits, mean_and_error, repeated_queries
from grok_interp.data.modular import SPLITS, ModularTasks, Split, draw_inputs, sequences
from grok_interp.results import LabelledResult

KINDS = ("repeated", "ratio", "regression", "unsolved")
SOLVED_BY = {  # hypothesis -> the kinds of query that it solves
    "chance": (),
    "ratio matching": ("repeated", "ratio"),
    "modular regression": ("repeated", "ratio", "regression"),
    "knowing the task": KINDS,
}


class GridComparison(LabelledResult):
    """1 where right, 0 where not, for every query (x, y) of one task after the same k examples."""

    name = "right"
    dims = ("who", "x", "y")

    def model_minus_ratio_matching(self) -> xr.DataArray:
        """Row 3 of Figure 5: 1 only the model is right, -1 only Ratio Matching."""
        return self.array.sel(who="model", drop=True) - self.array.sel(who="ratio matching", drop=True)

    def __str__(self) -> str:
        counts = ", ".join(f"{who} {int(self.array.sel(who=who).sum())}" for who in self.array["who"].values)
        return f"right after {self.array.attrs['k']} examples, of {self.array[0].size} queries: {counts}"


def grid_comparison(
    model: HookedModel,
    task: tuple[int, int],
    inputs: Int64[Tensor, "example 2"],
    p: int,
    *,
    batch_size: int = 512,
) -> GridComparison:
    """Every query after the given examples of a task.

    Raises ValueError for a task outside Z_p and for more examples than the model's context holds.
    """
    k = len(inputs)
    if not all(0 <= part < p for part in task):
        raise ValueError(f"task {task} is outside Z_{p}: both parts must be within 0..{p - 1}")
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


class AlgorithmAgreement(LabelledResult):
    """Accuracy of the model (0 to 1), its standard error over tasks, and the share of queries, for each kind."""

    name = "agreement"
    dims = ("measure", "checkpoint", "split", "kind", "shot")

    def accuracy(self) -> xr.DataArray:
        """checkpoint x split x kind x shot; NaN where no query is of that kind."""
        return self.array.sel(measure="accuracy", drop=True)

    def log_likelihood(self) -> xr.DataArray:
        """checkpoint x split x hypothesis x shot: of the model's answers, in nats an answer; 0 is the best."""
        share, accuracy = self.array.sel(measure="share", drop=True), self.accuracy()
        rows = [_log_likelihood(accuracy, share, list(kinds), self.array.attrs["p"]) for kinds in SOLVED_BY.values()]
        joined = xr.concat(rows, dim=xr.DataArray(list(SOLVED_BY), dims="hypothesis", name="hypothesis"))
        return joined.transpose("checkpoint", "split", "hypothesis", "shot")

    def __str__(self) -> str:
        last = self.accuracy().isel(checkpoint=-1, shot=-1)
        split = last["split"].values[-1]
        shown = ", ".join(f"{kind} {float(last.sel(split=split, kind=kind)):.0%}" for kind in KINDS)
        return f"last shot of {split} at the last checkpoint, accuracy by kind of query: {shown}"


def _log_likelihood(accuracy: xr.DataArray, share: xr.DataArray, solved: list[str], p: int) -> xr.DataArray:
    """s ((1 - e) log(1 - e) + e log(e / (p - 1))) - (1 - s) log p; s: the share solved, e: the errors among it."""
    s = share.sel(kind=solved).sum("kind")
    right = (accuracy.fillna(0) * share).sel(kind=solved).sum("kind")
    e = 1 - right / s.where(s > 0)
    entropy = _xlogy(1 - e, 1 - e) + _xlogy(e, e / (p - 1))
    return (s * entropy).fillna(0) - (1 - s) * np.log(p)


def _xlogy(x: xr.DataArray, y: xr.DataArray) -> xr.DataArray:
    from scipy.special import xlogy

    return xr.apply_ufunc(xlogy, x, y)


def query_kinds(inputs: Int64[Tensor, "context example 2"], p: int) -> Int64[Tensor, "context example"]:
    """The kind (an index of KINDS) of every example as a query after those before it. Kernel."""
    n_contexts, n_examples, _ = inputs.shape
    kinds = torch.full((n_contexts, n_examples), KINDS.index("unsolved"))
    examples = torch.cat([inputs, torch.zeros_like(inputs[..., :1])], dim=-1)  # which are solved depends on no answer
    for k in range(n_examples):
        for algorithm, kind in ((modular_regression, "regression"), (ratio_matching, "ratio")):
            solved = algorithm(examples[:, :k], p).solved[torch.arange(n_contexts), inputs[:, k, 0], inputs[:, k, 1]]
            kinds[solved, k] = KINDS.index(kind)
    kinds[repeated_queries(inputs)] = KINDS.index("repeated")
    return kinds


def algorithm_agreement(
    checkpoints: Iterable[tuple[int, HookedModel]],
    tasks: ModularTasks,
    *,
    n_contexts: int,
    seed: int,
    splits: Sequence[Split] = SPLITS,
    batch_size: int = 512,
) -> AlgorithmAgreement:
    """Every (step, model) on the contexts of `shot_curves` with the same seed."""
    steps, rows = [], []
    for step, model in checkpoints:
        steps.append(step)
        rows.append(torch.stack([_of_split(model, tasks, s, n_contexts, seed, batch_size) for s in splits]))
    values = rearrange(rows, "checkpoint split kind measure shot -> measure checkpoint split kind shot")
    array = xr.DataArray(
        values.numpy(),
        dims=AlgorithmAgreement.dims,
        coords={
            "measure": ["accuracy", "accuracy_se", "share"],
            "checkpoint": steps,
            "split": list(splits),
            "kind": list(KINDS),
            "shot": np.arange(values.shape[-1]),
        },
        attrs={"n_contexts": n_contexts, "seed": seed, "p": tasks.p},
    )
    return AlgorithmAgreement(array)


def _of_split(
    model: HookedModel, tasks: ModularTasks, split: Split, n_contexts: int, seed: int, batch_size: int
) -> Float[Tensor, "kind measure shot"]:
    chosen, inputs = tasks.of(split)
    draw = (seed, EVALUATION_CONTEXTS, SPLITS.index(split))
    contexts = draw_inputs(inputs, n_contexts=n_contexts, n_examples=model.cfg.n_ctx // 3, seed=draw)
    tokens = sequences(chosen, contexts, tasks.p).flatten(0, 1)
    found = answer_logits(model, tokens, batch_size=batch_size).argmax(dim=-1)
    correct = (found == tokens[:, 2::3]).float().unflatten(0, (len(chosen), n_contexts))
    kinds = query_kinds(contexts, tasks.p)
    return torch.stack([_of_kind(correct, kinds == kind) for kind in range(len(KINDS))])


def _of_kind(
    correct: Float[Tensor, "task context shot"], counted: Bool[Tensor, "context shot"]
) -> Float[Tensor, "measure shot"]:
    return torch.stack([*mean_and_error(correct, counted), counted.float().mean(dim=0)])
