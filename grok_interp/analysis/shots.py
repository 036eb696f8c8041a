"""Shot curves: accuracy and loss of the answer z after k = 0, 1, 2, ... examples of the task (Figure 1c of "Learning to
grok").

All tasks of a split answer the same contexts (aligned, as in training). Each task gives its mean over contexts; the
curve is the mean over tasks, with its standard error over tasks. A query that already stands among its examples can be
answered by looking it up, which a small p makes common: the same is reported over contexts in which it does not.

With `noise`, a share of the answers shown as examples is replaced by wrong ones (B.4); what counts is the true answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
import xarray as xr
from einops import rearrange
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from grok_interp.activations import HookedModel, logits
from grok_interp.data.modular import SPLITS, ModularTasks, Split, draw_inputs, sequences
from grok_interp.results import LabelledResult

EVALUATION_CONTEXTS, NOISE = 2, 3  # which stream of random numbers a seed is used for
MEASURES = ("accuracy", "accuracy_se", "loss", "loss_se")
CONTEXTS = ("all", "new query")


class ShotCurves(LabelledResult):
    """Accuracy (0 to 1) and loss (nats) by number of shots, with standard errors over tasks; NaN where undefined."""

    name = "shots"
    dims = ("measure", "checkpoint", "split", "contexts", "shot")

    def accuracy(self, contexts: str = "all") -> xr.DataArray:
        """checkpoint x split x shot."""
        return self.array.sel(measure="accuracy", contexts=contexts, drop=True)

    def last_shot(self, contexts: str = "all") -> xr.DataArray:
        """checkpoint x split: the accuracy with as many examples as the context holds."""
        return self.accuracy(contexts).isel(shot=-1, drop=True)

    def best_checkpoint(self, split: Split = "ood_test") -> int:
        """The step of the largest last-shot accuracy on a split: early stopping, as in the paper."""
        curve = self.last_shot().sel(split=split)
        return int(curve["checkpoint"][int(curve.argmax("checkpoint"))])

    def __str__(self) -> str:
        last = self.last_shot().isel(checkpoint=-1)
        shown = ", ".join(f"{split} {float(last.sel(split=split)):.0%}" for split in last["split"].values)
        return (
            f"{self.array.sizes['shot']} shots at {self.array.sizes['checkpoint']} checkpoints; last shot of the last: "
            f"{shown}"
        )


def repeated_queries(inputs: Int64[Tensor, "context example 2"]) -> Bool[Tensor, "context example"]:
    """Does the query after k examples stand among them? Kernel."""
    same = (inputs.unsqueeze(1) == inputs.unsqueeze(2)).all(dim=-1)  # context query example
    return same.tril(diagonal=-1).any(dim=-1)


def mean_and_error(
    values: Float[Tensor, "task context shot"], counted: Bool[Tensor, "context shot"]
) -> tuple[Float[Tensor, " shot"], Float[Tensor, " shot"]]:
    """Mean over tasks of each task's mean over the contexts counted, and its standard error. Kernel."""
    per_task = (values * counted).sum(dim=1) / counted.sum(dim=0)
    variance = (per_task - per_task.mean(dim=0)).square().sum(dim=0) / (len(per_task) - 1 or torch.nan)
    return per_task.mean(dim=0), (variance / len(per_task)).sqrt()


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

    Raises ValueError for noise outside [0, 1) and for a context too short for one example.
    """
    if not 0 <= noise < 1:
        raise ValueError(f"noise is the share of wrong answers shown, in [0, 1), got {noise}")
    steps, rows = [], []
    for step, model in checkpoints:
        steps.append(step)
        rows.append(torch.stack([_of_split(model, tasks, s, n_contexts, seed, noise, batch_size) for s in splits]))
    values = rearrange(rows, "checkpoint split contexts measure shot -> measure checkpoint split contexts shot")
    array = xr.DataArray(
        values.numpy(),
        dims=ShotCurves.dims,
        coords={
            "measure": list(MEASURES),
            "checkpoint": steps,
            "split": list(splits),
            "contexts": list(CONTEXTS),
            "shot": np.arange(values.shape[-1]),
        },
        attrs={"n_contexts": n_contexts, "seed": seed, "noise": noise, "p": tasks.p},
    )
    return ShotCurves(array)


def _of_split(
    model: HookedModel, tasks: ModularTasks, split: Split, n_contexts: int, seed: int, noise: float, batch_size: int
) -> Float[Tensor, "contexts measure shot"]:
    chosen, inputs = tasks.of(split)
    stream = SPLITS.index(split)
    examples = draw_inputs(
        inputs, n_contexts=n_contexts, n_examples=model.cfg.n_ctx // 3, seed=(seed, EVALUATION_CONTEXTS, stream)
    )
    true = sequences(chosen, examples, tasks.p)
    shown = with_wrong_answers(true, noise, tasks.p, seed=(seed, NOISE, stream))
    scores = answer_logits(model, shown.flatten(0, 1), batch_size=batch_size)
    correct, loss = (
        rearrange(measured, "(task context) shot -> task context shot", task=len(chosen))
        for measured in _judged(scores, true.flatten(0, 1)[:, 2::3])
    )
    new = ~repeated_queries(examples)
    rows = [[*mean_and_error(correct, c), *mean_and_error(loss, c)] for c in (torch.ones_like(new), new)]
    return torch.stack([torch.stack(row) for row in rows])


def answer_logits(
    model: HookedModel, tokens: Int64[Tensor, "batch pos"], *, batch_size: int
) -> Float[Tensor, "batch shot d_vocab"]:
    """The logits of every answer z of x y z x y z ..., on the CPU."""
    return torch.cat([logits(model, part[:, :-1])[:, 1::3].cpu() for part in tokens.split(batch_size)])


def _judged(
    scores: Float[Tensor, "batch shot d_vocab"], answers: Int64[Tensor, "batch shot"]
) -> tuple[Float[Tensor, "batch shot"], Float[Tensor, "batch shot"]]:
    """(correct, cross-entropy in nats) of each answer."""
    loss = torch.nn.functional.cross_entropy(scores.transpose(1, 2), answers, reduction="none")
    return (scores.argmax(dim=-1) == answers).float(), loss


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
