"""Shot curves: accuracy and loss of the answer z after k = 0, 1, 2, ... examples of the task (Figure 1c of "Learning to
grok").

Each task of a split is evaluated on contexts of its own, the same number for each. A value is the mean over all of
them; its standard error and its 95% interval are over contexts and, where only some of the split's tasks are
evaluated, over tasks (intervals.py). All checkpoints are evaluated on the same contexts. Everything is reported over
all queries, over the new ones (a query that is among its examples can be looked up, which a small p makes common), and
over each kind of query (queries.py): what can be answered by which algorithm.

With `noise`, a fraction of the answers shown as examples is replaced by wrong ones (B.4); what counts is the true
answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
import xarray as xr
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from grok_interp.analysis.checkpoints_of import Checkpoints, checkpoints_of
from grok_interp.analysis.evaluation_contexts import AnsweredContexts, answers_of, draw_contexts
from grok_interp.analysis.intervals import Z, effective_number, mean_and_error, wilson_interval
from grok_interp.analysis.queries import QUERIES
from grok_interp.analysis.sampled_over import each_sampled_over, sampling_coordinates
from grok_interp.arguments import checked
from grok_interp.counted import counted
from grok_interp.data.modular import SPLITS, ModularTasks, Split
from grok_interp.results.result import Measure, Result


class ShotCurves(Result):
    """Accuracy (0 to 1) and loss (nats) by number of shots, with standard errors; NaN where undefined.

    `fraction` is that of all queries that are of a kind. The coordinates `n_contexts`, `n_tasks` and `n_all_tasks`
    of each split say what the standard errors and intervals are over: contexts, tasks, and tasks that the split has.
    """

    name = "shots"
    dims = ("checkpoint", "split", "queries", "shot")
    measures: ClassVar = {
        "accuracy": Measure("accuracy", "fraction", may_be_undefined=True),
        "accuracy_se": Measure("standard error of the accuracy", "fraction", may_be_undefined=True),
        "loss": Measure("loss of the answers", "nats"),
        "loss_se": Measure("standard error of the loss", "nats", may_be_undefined=True),
        "fraction": Measure("fraction of the queries", "fraction", may_be_undefined=True),
    }

    def accuracy(self, queries: str = "all") -> xr.DataArray:
        """checkpoint x split x shot, over one of QUERIES.

        Args:
            queries: one of QUERIES.
        """
        return self["accuracy"].sel(queries=queries, drop=True)

    def standard_error(self, queries: str = "all") -> xr.DataArray:
        """Of the accuracy: checkpoint x split x shot.

        Args:
            queries: one of QUERIES.
        """
        return self["accuracy_se"].sel(queries=queries, drop=True)

    def effective_queries(self, queries: str = "all") -> xr.DataArray:
        """How many independent queries would give the accuracy its standard error: checkpoint x split x shot.

        Args:
            queries: one of QUERIES.
        """
        counted = self["fraction"].sel(queries=queries, drop=True) * self.dataset["n_contexts"]
        return effective_number(self.accuracy(queries), self.standard_error(queries), counted)

    def interval(self, queries: str = "all") -> tuple[xr.DataArray, xr.DataArray]:
        """The 95% confidence interval of the accuracy, within [0, 1].

        Args:
            queries: one of QUERIES.
        """
        return wilson_interval(self.accuracy(queries), self.effective_queries(queries))

    def loss_interval(self, queries: str = "all") -> tuple[xr.DataArray, xr.DataArray]:
        """The 95% confidence interval of the loss, in nats.

        Args:
            queries: one of QUERIES.
        """
        half = Z * self["loss_se"].sel(queries=queries, drop=True)
        return (self.loss(queries) - half).clip(0), self.loss(queries) + half

    def loss(self, queries: str = "all") -> xr.DataArray:
        """checkpoint x split x shot, in nats.

        Args:
            queries: one of QUERIES.
        """
        return self["loss"].sel(queries=queries, drop=True)

    def solvable(self, *kinds: str) -> xr.DataArray:
        """split x shot: the accuracy of who answers these kinds of query rightly and guesses the others.

        Args:
            kinds: some of QUERIES, which have no query in common.
        """
        solved = self["fraction"].isel(checkpoint=0, drop=True).sel(queries=list(kinds)).sum("queries")
        return solved + (1 - solved) / self.dataset.attrs["p"]

    def last_shot(self, queries: str = "all") -> xr.DataArray:
        """checkpoint x split: the accuracy with as many examples as the context holds.

        Args:
            queries: one of QUERIES.
        """
        return self.accuracy(queries).isel(shot=-1, drop=True)

    def last_shot_with_interval(self, split: Split, step: int, queries: str = "all") -> tuple[float, float, float]:
        """The last-shot accuracy on one split at one step, and both ends of its 95% interval.

        Args:
            split: of tasks and inputs.
            step: of the checkpoint.
            queries: which are counted, as in `accuracy`.
        """
        ends = [self.last_shot(queries), *(end.isel(shot=-1) for end in self.interval(queries))]
        value, low, high = (float(each.sel(checkpoint=step, split=split)) for each in ends)
        return value, low, high

    def best_checkpoint(self, *splits: Split, queries: str = "all") -> int:
        """The step of the largest last-shot accuracy, mean over these splits: early stopping, as in the paper.

        Splits without queries of that kind are left out, and checkpoints that are not finite while others are.

        Args:
            splits: at least one of those evaluated.
            queries: one of QUERIES.
        """
        undefined = self.dataset["checkpoint"].isin(self.not_finite())
        curve = self.last_shot(queries).sel(split=list(splits)).mean("split").fillna(0).where(~undefined, -1)
        return int(curve["checkpoint"][int(curve.argmax("checkpoint"))])

    def expected(self) -> xr.Dataset:
        """The loss over all queries: kinds of query may be missing at some shots."""
        return super().expected().sel(queries="all")

    def __str__(self) -> str:
        sizes, ends = self.dataset.sizes, [self.accuracy(), *self.interval()]
        last = [end.isel(shot=-1, checkpoint=-1) for end in ends]
        shown = ", ".join(
            "{} {:.0%} [{:.0%}, {:.0%}]".format(split, *(float(end.sel(split=split)) for end in last))
            for split in self.dataset["split"].values
        )
        return (
            f"{counted(sizes['shot'], 'shot')} at {counted(sizes['checkpoint'], 'checkpoint')}; last shot of the "
            f"last, 95% CI over {each_sampled_over(self.dataset)}: {shown}{self.warning()}"
        )


@checked
def shot_curve(
    checkpoints: Checkpoints,
    tasks: ModularTasks,
    *,
    n_contexts: int,
    seed: int,
    noise: float = 0.0,
    splits: Sequence[Split] = SPLITS,
    batch_size: int = 256,
) -> ShotCurves:
    """Accuracy and loss by number of shots, of every (step, model) on the same contexts.

    Args:
        checkpoints: (step, model) pairs.
        tasks: the tasks and inputs of the four splits.
        n_contexts: contexts of each split, rounded up to an equal number of two or more for each task. With 2,600 the
            standard error of an accuracy over all queries is below 1 point, if all tasks of the split are evaluated.
        seed: draws the contexts, independently for each task and split.
        noise: the fraction of the answers shown as examples that are wrong, in [0, 1).
        splits: those to evaluate.
        batch_size: contexts per forward pass; changes memory, never the result.

    Returns:
        Accuracy and loss by number of shots, with standard errors; contexts fill the context of the first model.

    Raises:
        ValueError: for noise outside [0, 1), no checkpoints, no contexts, and a vocabulary without all of Z_p.

    Example:
        >>> from grok_interp import ModularTasks, load_reference
        >>> series = load_reference("modular-p11")
        >>> curves = shot_curve(series.at([26000]), ModularTasks.draw(series.config.data), n_contexts=400, seed=0)
        >>> curves.accuracy().sizes["shot"]
        12
    """
    steps, rows, contexts = [], [], None
    for step, model in checkpoints_of(checkpoints, same=["n_ctx"]):
        size = model.cfg.n_ctx // 3
        contexts = contexts or draw_contexts(
            tasks, splits, n_examples=size, n_contexts=n_contexts, seed=seed, noise=noise
        )
        steps.append(step)
        rows.append(answers_of(model, contexts, batch_size=batch_size))
    return shot_curve_of(steps, rows)


def shot_curve_of(steps: Sequence[int], answered: Sequence[Sequence[AnsweredContexts]]) -> ShotCurves:
    """From what each checkpoint answered on each split. Raises ValueError when there is no checkpoint.

    Args:
        steps: of the checkpoints.
        answered: of each checkpoint, its answers on each split.
    """
    if not answered:
        raise ValueError("no checkpoints were given: give at least one (step, model)")
    rows = torch.stack([torch.stack([_of_split(split) for split in splits]) for splits in answered])
    values = rearrange(rows, "checkpoint split queries measure shot -> measure checkpoint split queries shot")
    contexts = [split.contexts for split in answered[0]]
    coords = {
        "checkpoint": list(steps),
        "split": [each.split for each in contexts],
        "queries": list(QUERIES),
        "shot": np.arange(values.shape[-1]),
        **sampling_coordinates(contexts),
    }
    arrays = dict(zip(ShotCurves.measures, values.float(), strict=True))
    return ShotCurves.of_arrays(arrays, coords, contexts[0].description())


def _of_split(given: AnsweredContexts) -> Float[Tensor, "queries measure shot"]:
    correct = (given.found == given.contexts.true).float().masked_fill(given.loss.isnan(), torch.nan)
    f = given.contexts.task_fraction
    rows = [
        torch.stack(
            [
                *mean_and_error(correct, kind, task_fraction=f),
                *mean_and_error(given.loss, kind, task_fraction=f),
                kind.double().mean(dim=(0, 1)),
            ]
        )
        for kind in given.contexts.counted
    ]
    return torch.stack(rows)
