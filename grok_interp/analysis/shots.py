"""Shot curves: accuracy and loss of the answer z after k = 0, 1, 2, ... examples of the task (Figure 1c of "Learning to
grok").

All tasks of a split answer the same contexts (aligned, as in training). Each task gives its mean over contexts; the
curve is the mean over tasks, with its standard error over tasks. Everything is reported over all queries, over the new
ones (a query that already stands among its examples can be looked up, which a small p makes common), and over each kind
of query (queries.py): what can be answered by which algorithm.

With `noise`, a share of the answers shown as examples is replaced by wrong ones (B.4); what counts is the true answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from grok_interp.analysis.checkpoints_of import Checkpoints, checkpoints_of
from grok_interp.analysis.queries import QUERIES
from grok_interp.analysis.questions import Answers, answers_of, draw_questions
from grok_interp.data.modular import SPLITS, ModularTasks, Split
from grok_interp.results import LabelledResult

MEASURES = ("accuracy", "accuracy_se", "loss", "loss_se", "share")


class ShotCurves(LabelledResult):
    """Accuracy (0 to 1) and loss (nats) by number of shots, with standard errors over tasks; NaN where undefined.

    `share` is the share of all queries that are of a kind.
    """

    name = "shots"
    dims = ("measure", "checkpoint", "split", "queries", "shot")

    def accuracy(self, queries: str = "all") -> xr.DataArray:
        """checkpoint x split x shot, over one of QUERIES."""
        return self.array.sel(measure="accuracy", queries=queries, drop=True)

    def standard_error(self, queries: str = "all") -> xr.DataArray:
        """Of the accuracy, over tasks: checkpoint x split x shot."""
        return self.array.sel(measure="accuracy_se", queries=queries, drop=True)

    def loss(self, queries: str = "all") -> xr.DataArray:
        """checkpoint x split x shot, in nats."""
        return self.array.sel(measure="loss", queries=queries, drop=True)

    def solvable(self, *kinds: str) -> xr.DataArray:
        """split x shot: the accuracy of who answers these kinds of query rightly and guesses the others."""
        share = self.array.sel(measure="share", drop=True).isel(checkpoint=0, drop=True)
        solved = share.sel(queries=list(kinds)).sum("queries")
        return solved + (1 - solved) / self.array.attrs["p"]

    def last_shot(self, queries: str = "all") -> xr.DataArray:
        """checkpoint x split: the accuracy with as many examples as the context holds."""
        return self.accuracy(queries).isel(shot=-1, drop=True)

    def best_checkpoint(self, *splits: Split, queries: str = "all") -> int:
        """The step of the largest last-shot accuracy, mean over these splits: early stopping, as in the paper.

        Splits without queries of that kind are left out, and checkpoints that are not finite while others are.
        """
        undefined = self.array["checkpoint"].isin(self.not_finite())
        curve = self.last_shot(queries).sel(split=list(splits)).mean("split").fillna(0).where(~undefined, -1)
        return int(curve["checkpoint"][int(curve.argmax("checkpoint"))])

    def expected(self) -> xr.DataArray:
        """The loss over all queries: kinds of query may be missing at some shots."""
        return self.loss()

    def __str__(self) -> str:
        last = self.last_shot().isel(checkpoint=-1)
        shown = ", ".join(f"{split} {float(last.sel(split=split)):.0%}" for split in last["split"].values)
        return (
            f"{self.array.sizes['shot']} shots at {self.array.sizes['checkpoint']} checkpoints; last shot of the last: "
            f"{shown}{self.warning()}"
        )


def mean_and_error(
    values: Float[Tensor, "*rows task context shot"], counted: Bool[Tensor, "context shot"]
) -> tuple[Float[Tensor, "*rows shot"], Float[Tensor, "*rows shot"]]:
    """Mean over tasks of each task's mean over the contexts counted, and its standard error. Kernel."""
    per_task = (values * counted).sum(dim=-2) / counted.sum(dim=-2)
    mean, n_tasks = per_task.mean(dim=-2), per_task.shape[-2]
    variance = (per_task - mean.unsqueeze(-2)).square().sum(dim=-2) / (n_tasks - 1 if n_tasks > 1 else torch.nan)
    return mean, (variance / n_tasks).sqrt()


def shot_curve(
    checkpoints: Checkpoints,
    tasks: ModularTasks,
    *,
    n_contexts: int,
    seed: int,
    noise: float = 0.0,
    splits: Sequence[Split] = SPLITS,
    batch_size: int = 512,
) -> ShotCurves:
    """Every (step, model) on the same contexts, as long as the first model's context holds.

    Raises ValueError for noise outside [0, 1), no checkpoints, no contexts, and a model too small for the tasks.
    """
    steps, rows, asked = [], [], None
    for step, model in checkpoints_of(checkpoints):
        size = model.cfg.n_ctx // 3
        asked = asked or draw_questions(tasks, splits, n_examples=size, n_contexts=n_contexts, seed=seed, noise=noise)
        steps.append(step)
        rows.append(answers_of(model, asked, batch_size=batch_size))
    return shot_curve_of(steps, rows)


def shot_curve_of(steps: Sequence[int], answered: Sequence[Sequence[Answers]]) -> ShotCurves:
    """From what each checkpoint answered on each split. Raises ValueError when there is no checkpoint."""
    if not answered:
        raise ValueError("no checkpoints were asked: give at least one (step, model)")
    rows = torch.stack([torch.stack([_of_split(split) for split in splits]) for splits in answered])
    values = rearrange(rows, "checkpoint split queries measure shot -> measure checkpoint split queries shot")
    questions = [split.questions for split in answered[0]]
    array = xr.DataArray(
        values.numpy(),
        dims=ShotCurves.dims,
        coords={
            "measure": list(MEASURES),
            "checkpoint": list(steps),
            "split": [asked.split for asked in questions],
            "queries": list(QUERIES),
            "shot": np.arange(values.shape[-1]),
        },
        attrs=questions[0].description(),
    )
    return ShotCurves(array)


def _of_split(given: Answers) -> Float[Tensor, "queries measure shot"]:
    correct = (given.found == given.questions.true).float().masked_fill(given.loss.isnan(), torch.nan)
    rows = [
        torch.stack([*mean_and_error(correct, kind), *mean_and_error(given.loss, kind), kind.float().mean(dim=0)])
        for kind in given.questions.counted
    ]
    return torch.stack(rows)
