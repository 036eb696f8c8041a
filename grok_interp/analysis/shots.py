"""Shot curves: accuracy and loss of the answer z after k = 0, 1, 2, ... examples of the task (Figure 1c of "Learning to
grok").

All tasks of a split answer the same contexts (aligned, as in training). Each task gives its mean over contexts; the
curve is the mean over tasks, with its standard error over tasks. Everything is reported over all queries, over the new
ones (a query that already stands among its examples can be looked up, which a small p makes common), and over each kind
of query (queries.py): what can be answered by which algorithm.

With `noise`, a share of the answers shown as examples is replaced by wrong ones (B.4); what counts is the true answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from einops import rearrange
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from grok_interp.activations import HookedModel, logits
from grok_interp.analysis.queries import QUERIES, query_kinds
from grok_interp.data.modular import SPLITS, ModularTasks, Split, answers, draw_inputs, sequences
from grok_interp.results import LabelledResult

EVALUATION_CONTEXTS, NOISE = 2, 3  # which stream of random numbers a seed is used for
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

    def best_checkpoint(self, split: Split = "ood_test", queries: str = "all") -> int:
        """The step of the largest last-shot accuracy on a split: early stopping, as in the paper."""
        curve = self.last_shot(queries).sel(split=split)
        return int(curve["checkpoint"][int(curve.argmax("checkpoint"))])

    def __str__(self) -> str:
        last = self.last_shot().isel(checkpoint=-1)
        shown = ", ".join(f"{split} {float(last.sel(split=split)):.0%}" for split in last["split"].values)
        return (
            f"{self.array.sizes['shot']} shots at {self.array.sizes['checkpoint']} checkpoints; last shot of the last: "
            f"{shown}"
        )


@dataclass(frozen=True)
class Questions:
    """What every checkpoint is asked of one split: all its tasks on the same contexts."""

    tasks: Int64[Tensor, "task 2"]
    inputs: Int64[Tensor, "context example 2"]
    shown: Int64[Tensor, "task context pos"]  # x y z x y z ..., some z wrong if noise was asked for
    true: Int64[Tensor, "task context shot"]

    @classmethod
    def draw(
        cls, tasks: ModularTasks, split: Split, n_examples: int, n_contexts: int, seed: int, noise: float = 0.0
    ) -> Questions:
        chosen, pairs = tasks.of(split)
        stream = SPLITS.index(split)
        draw = (seed, EVALUATION_CONTEXTS, stream)
        inputs = draw_inputs(pairs, n_contexts=n_contexts, n_examples=n_examples, seed=draw)
        tokens = sequences(chosen, inputs, tasks.p)
        shown = with_wrong_answers(tokens, noise, tasks.p, seed=(seed, NOISE, stream))
        return cls(chosen, inputs, shown, answers(chosen, inputs, tasks.p))

    def ask(self, model: HookedModel, batch_size: int) -> Float[Tensor, "task context shot d_vocab"]:
        scores = answer_logits(model, self.shown.flatten(0, 1), batch_size=batch_size)
        return scores.unflatten(0, self.shown.shape[:2])


def draw_questions(
    model: HookedModel, tasks: ModularTasks, splits: Sequence[Split], *, n_contexts: int, seed: int, noise: float = 0.0
) -> list[Questions]:
    """One for each split, as long as the model's context holds.

    Raises ValueError for no contexts, a context shorter than one example, and a vocabulary without all of Z_p.
    """
    cfg = model.cfg
    if n_contexts < 1 or cfg.n_ctx < 3 or cfg.d_vocab < tasks.p:
        raise ValueError(
            f"needed are n_contexts of 1 or more, n_ctx of 3 or more and d_vocab of p = {tasks.p} or more, got "
            f"{n_contexts}, {cfg.n_ctx} and {cfg.d_vocab}"
        )
    return [Questions.draw(tasks, split, cfg.n_ctx // 3, n_contexts, seed, noise) for split in splits]


def mean_and_error(
    values: Float[Tensor, "*rows task context shot"], counted: Bool[Tensor, "context shot"]
) -> tuple[Float[Tensor, "*rows shot"], Float[Tensor, "*rows shot"]]:
    """Mean over tasks of each task's mean over the contexts counted, and its standard error. Kernel."""
    per_task = (values * counted).sum(dim=-2) / counted.sum(dim=-2)
    mean, n_tasks = per_task.mean(dim=-2), per_task.shape[-2]
    variance = (per_task - mean.unsqueeze(-2)).square().sum(dim=-2) / (n_tasks - 1 if n_tasks > 1 else torch.nan)
    return mean, (variance / n_tasks).sqrt()


def shot_curves(
    checkpoints: Iterable[tuple[int, HookedModel]],
    tasks: ModularTasks,
    *,
    n_contexts: int,
    seed: int,
    noise: float = 0.0,
    splits: Sequence[Split] = SPLITS,
    batch_size: int = 512,
) -> ShotCurves:
    """Every (step, model) on the same contexts, as long as the model's context holds.

    Raises ValueError for noise outside [0, 1), no checkpoints, no contexts, and a model too small for the tasks.
    """
    if not 0 <= noise < 1:
        raise ValueError(f"noise is the share of wrong answers shown, in [0, 1), got {noise}")
    steps, rows, asked, counted = [], [], [], []
    for step, model in checkpoints:
        if not asked:
            asked = draw_questions(model, tasks, splits, n_contexts=n_contexts, seed=seed, noise=noise)
            counted = [query_kinds(questions.inputs, tasks.p) for questions in asked]
        steps.append(step)
        rows.append(torch.stack([_of_split(model, *one, batch_size) for one in zip(asked, counted, strict=True)]))
    if not rows:
        raise ValueError("no checkpoints to ask: give at least one (step, model)")
    values = rearrange(rows, "checkpoint split queries measure shot -> measure checkpoint split queries shot")
    array = xr.DataArray(
        values.numpy(),
        dims=ShotCurves.dims,
        coords={
            "measure": list(MEASURES),
            "checkpoint": steps,
            "split": list(splits),
            "queries": list(QUERIES),
            "shot": np.arange(values.shape[-1]),
        },
        attrs={"n_contexts": n_contexts, "seed": seed, "noise": noise, "p": tasks.p},
    )
    return ShotCurves(array)


def _of_split(
    model: HookedModel, questions: Questions, counted: Bool[Tensor, "queries context shot"], batch_size: int
) -> Float[Tensor, "queries measure shot"]:
    scores = questions.ask(model, batch_size)
    correct = (scores.argmax(dim=-1) == questions.true).float()
    loss = torch.nn.functional.cross_entropy(scores.movedim(-1, 1), questions.true, reduction="none")
    rows = [
        torch.stack([*mean_and_error(correct, kind), *mean_and_error(loss, kind), kind.float().mean(dim=0)])
        for kind in counted
    ]
    return torch.stack(rows)


def answer_logits(
    model: HookedModel, tokens: Int64[Tensor, "batch pos"], *, batch_size: int
) -> Float[Tensor, "batch shot d_vocab"]:
    """The logits of every answer z of x y z x y z ..., on the CPU."""
    return torch.cat([logits(model, part[:, :-1])[:, 1::3].cpu() for part in tokens.split(batch_size)])


def with_wrong_answers(
    tokens: Int64[Tensor, "*batch pos"], noise: float, p: int, *, seed: tuple[int, ...]
) -> Int64[Tensor, "*batch pos"]:
    """Each answer z replaced with probability `noise`, by one of the p - 1 others, all equally likely."""
    if noise == 0:
        return tokens
    generator = np.random.default_rng(seed)
    z = tokens[..., 2::3].numpy()
    wrong = (z + generator.integers(1, p, z.shape)) % p
    shown = tokens.clone()
    shown[..., 2::3] = torch.from_numpy(np.where(generator.random(z.shape) < noise, wrong, z))
    return shown
