"""By which algorithm does a model answer? The likelihood of its answers under four hypotheses, by number of shots.

Each hypothesis is a distribution over the p answers to a query after k examples:

    chance              every answer alike
    memorization        the tasks trained on that agree with every example, each counted alike; chance if none agrees
    ratio matching      the answer of Ratio Matching where it solves the query; chance elsewhere
    modular regression  the answer of Modular Regression where it solves the query; chance elsewhere

    log-likelihood of h = mean over answers of log((1 - e) h(answer) + e / p)                   in nats an answer, <= 0

e, the share of answers given at random, is fitted for each hypothesis at each number of shots. It is the model's own
most probable answer that is judged, right or wrong. Mean and standard error are over tasks. Two hypotheses are told
apart by their difference task by task, which is surer than either value: the best one counts as decided when the 95%
interval of its lead over every other is above 0. The errors take e as given: with few tasks they are too small.

Special queries are reported apart, because shortcuts answer them: `symmetric` tasks (a = b), and `axis` queries (x = 0
or y = 0) of the others; `generic` are neither. Beyond the paper, which shows single grids (Figure 5).
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
from grok_interp.analysis.queries import solved_queries
from grok_interp.analysis.questions import Answers, Questions, answers_of, draw_questions
from grok_interp.analysis.shots import mean_and_error
from grok_interp.data.modular import SPLITS, ModularTasks, Split, answers
from grok_interp.results import LabelledResult

HYPOTHESES = ("chance", "memorization", "ratio matching", "modular regression")
SUBSETS = ("generic", "symmetric", "axis")
INTERVAL = 1.96  # standard errors: 95%


class AlgorithmAgreement(LabelledResult):
    """Log-likelihood of the model's answers (nats an answer), its standard error, the fitted share of random answers,
    and the standard error of the lead that the best hypothesis has."""

    name = "agreement"
    dims = ("measure", "checkpoint", "split", "subset", "hypothesis", "shot")

    def log_likelihood(self, subset: str = "generic") -> xr.DataArray:
        """checkpoint x split x hypothesis x shot; NaN where nothing was asked."""
        return self.array.sel(measure="log_likelihood", subset=subset, drop=True)

    def interval(self, subset: str = "generic") -> tuple[xr.DataArray, xr.DataArray]:
        """The 95% confidence interval of the log-likelihood."""
        error = INTERVAL * self.array.sel(measure="standard_error", subset=subset, drop=True)
        return self.log_likelihood(subset) - error, self.log_likelihood(subset) + error

    def best(self, subset: str = "generic") -> xr.DataArray:
        """checkpoint x split x shot: the likeliest hypothesis; "undecided" when its lead over another is not sure."""
        values = self.log_likelihood(subset)
        index = values.fillna(-np.inf).argmax("hypothesis")
        lead = values.isel(hypothesis=index, drop=True) - values
        unsure = lead <= INTERVAL * self.array.sel(measure="lead_error", subset=subset, drop=True)
        names = values["hypothesis"][index].drop_vars("hypothesis")
        return names.where(unsure.sum("hypothesis") == 1, "undecided")  # the best itself leads by 0

    def expected(self) -> xr.DataArray:
        """The log-likelihood over all subsets: one of them holds every query, the others may be empty."""
        return self.array.sel(measure="log_likelihood").max("subset")

    def not_finite(self) -> tuple[int, ...]:
        """Besides, the steps at which a value is missing that other checkpoints have."""
        values = self.array.sel(measure="log_likelihood")
        missing = (values.isnull() & values.notnull().any("checkpoint")).any(("split", "subset", "hypothesis", "shot"))
        steps = {*super().not_finite(), *values["checkpoint"].to_numpy()[missing.to_numpy()].tolist()}
        return tuple(sorted(int(step) for step in steps))

    def __str__(self) -> str:
        best = self.best().isel(checkpoint=-1)
        lines = [
            f"{split} " + ", ".join(f"{shots} {name}" for shots, name in _stretches(best.sel(split=split)))
            for split in best["split"].values
        ]
        found = "; ".join(lines)
        return f"likeliest hypothesis by number of shots at step {int(best['checkpoint']):,}: {found}{self.warning()}"


def _stretches(best: xr.DataArray) -> list[tuple[str, str]]:
    """Equal neighbours joined: [("0-1", "chance"), ("2-11", "modular regression")]."""
    found: list[tuple[int, int, str]] = []
    for shot, name in zip(best["shot"].values, best.values, strict=True):
        begun = found.pop()[0] if found and found[-1][2] == name else int(shot)
        found.append((begun, int(shot), str(name)))
    return [(f"{first}-{last}" if last > first else f"{first}", name) for first, last, name in found]


def algorithm_agreement(
    checkpoints: Checkpoints,
    tasks: ModularTasks,
    *,
    n_contexts: int,
    seed: int,
    splits: Sequence[Split] = SPLITS,
    batch_size: int = 512,
) -> AlgorithmAgreement:
    """Every (step, model) on the contexts of `shot_curve` with the same seed; it raises the same errors."""
    steps, rows, asked = [], [], None
    for step, model in checkpoints_of(checkpoints):
        size = model.cfg.n_ctx // 3
        asked = asked or draw_questions(tasks, splits, n_examples=size, n_contexts=n_contexts, seed=seed)
        steps.append(step)
        rows.append(answers_of(model, asked, batch_size=batch_size))
    return agreement_of(steps, rows, tasks)


def agreement_of(
    steps: Sequence[int], answered: Sequence[Sequence[Answers]], tasks: ModularTasks
) -> AlgorithmAgreement:
    """From what each checkpoint answered on each split. Raises ValueError when there is no checkpoint."""
    if not answered:
        raise ValueError("no checkpoints were asked: give at least one (step, model)")
    rows = torch.stack([torch.stack([_of_split(split, tasks) for split in splits]) for splits in answered])
    values = rearrange(rows, "checkpoint split ... measure shot -> measure checkpoint split ... shot")
    questions = [split.questions for split in answered[0]]
    array = xr.DataArray(
        values.numpy(),
        dims=AlgorithmAgreement.dims,
        coords={
            "measure": ["log_likelihood", "standard_error", "random_share", "lead_error"],
            "checkpoint": list(steps),
            "split": [asked.split for asked in questions],
            "subset": list(SUBSETS),
            "hypothesis": list(HYPOTHESES),
            "shot": np.arange(values.shape[-1]),
        },
        attrs=questions[0].description(),
    )
    return AlgorithmAgreement(array)


def _of_split(given: Answers, tasks: ModularTasks) -> Float[Tensor, "subset hypothesis measure shot"]:
    believed = predicted(given, tasks).masked_fill(given.loss.isnan(), torch.nan)
    subsets = _subsets(given.questions)
    return torch.stack([log_likelihood(believed[:, chosen], counted, tasks.p) for chosen, counted in subsets])


def _subsets(questions: Questions) -> list[tuple[Bool[Tensor, " task"], Bool[Tensor, "context shot"]]]:
    """(tasks, queries) of each of SUBSETS."""
    symmetric = questions.tasks[:, 0] == questions.tasks[:, 1]
    axis = (questions.inputs == 0).any(dim=-1)
    return [(~symmetric, ~axis), (symmetric, torch.ones_like(axis)), (~symmetric, axis)]


def predicted(given: Answers, tasks: ModularTasks) -> Float[Tensor, "hypothesis task context shot"]:
    """The probability that each of HYPOTHESES gives to the answers found. Kernel."""
    right, p = (given.found == given.questions.true).float(), tasks.p
    by_algorithm = [torch.where(solved, right, 1 / p) for solved in solved_queries(given.questions.inputs, p)]
    return torch.stack([torch.full_like(right, 1 / p), memorized(given, tasks), *by_algorithm])


def memorized(given: Answers, tasks: ModularTasks) -> Float[Tensor, "task context shot"]:
    """The share of the tasks trained on, of those that agree with all examples before, that give the answer found."""
    of_trained = answers(tasks.id_tasks, given.questions.inputs, tasks.p)
    rows = []
    for answer, true in zip(given.found, given.questions.true, strict=True):
        agrees = (of_trained == true).cumprod(dim=-1).roll(1, dims=-1)
        agrees[..., 0] = 1  # before the first example
        same, n_agreeing = (agrees * (of_trained == answer)).sum(dim=0), agrees.sum(dim=0)
        rows.append(torch.where(n_agreeing > 0, same / n_agreeing, 1 / tasks.p))
    return torch.stack(rows)


def log_likelihood(
    h: Float[Tensor, "hypothesis task context shot"], counted: Bool[Tensor, "context shot"], p: int
) -> Float[Tensor, "hypothesis measure shot"]:
    """Each hypothesis in the measures of `AlgorithmAgreement`, at each number of shots. Kernel."""
    e = random_share(h, counted, p)
    logs = _mixed(h, e, p).log()
    mean, error = mean_and_error(logs, counted)
    best = mean.nan_to_num(-torch.inf).argmax(dim=0)  # shot
    of_best = logs.gather(0, best.expand(1, *logs.shape[1:]))
    _, lead_error = mean_and_error(of_best - logs, counted)
    return torch.stack([mean, error, e.masked_fill(mean.isnan(), torch.nan), lead_error], dim=1)


def random_share(
    h: Float[Tensor, "*hypothesis task context shot"], counted: Bool[Tensor, "context shot"], p: int
) -> Float[Tensor, "*hypothesis shot"]:
    """The e of the largest likelihood. The likelihood is concave in e: its slope is bisected to the 24th bit."""
    low = torch.zeros(*h.shape[:-3], h.shape[-1])
    high = torch.ones_like(low)
    for _ in range(24):
        e = (low + high) / 2
        slope = (((1 / p - h) / _mixed(h, e, p)) * counted).sum(dim=(-3, -2))
        low, high = torch.where(slope > 0, e, low), torch.where(slope > 0, high, e)
    return (low + high) / 2


def _mixed(h: Tensor, e: Float[Tensor, "*hypothesis shot"], p: int) -> Tensor:
    e = e.unsqueeze(-2).unsqueeze(-2)
    return (1 - e) * h + e / p
