"""By which algorithm does a model answer? The likelihood of its answers under four hypotheses, by number of shots.

Each hypothesis is a distribution over the p answers to a query after k examples:

    chance              every answer alike
    memorization        the tasks trained on that agree with every example, each counted alike; chance if none agrees
    ratio matching      the answer of Ratio Matching where it solves the query; chance elsewhere
    modular regression  the answer of Modular Regression where it solves the query; chance elsewhere

    log-likelihood of h = mean over answers of log((1 - e) h(answer) + e / p)                   in nats per answer, <= 0

e, the fraction of answers given at random, is fitted for each hypothesis at each number of shots. It is the model's
own most probable answer that is judged, right or wrong. Standard errors are over contexts, and over tasks where only
some of a split's tasks are evaluated (intervals.py). Two hypotheses are compared by their difference answer by answer,
which is more precise than either value: the best one counts as decided when the 95% interval of its lead over every
other is above 0. The errors take e as given: at the e of largest likelihood, a small change of e does not change the
likelihood. Where a hypothesis predicts nearly all answers, the few others decide, and intervals are too narrow.

Special queries are reported apart, because shortcuts answer them: `symmetric` tasks (a = b), and `axis` queries (x = 0
or y = 0) of the others; `generic` are neither. Beyond the paper, which shows single grids (Figure 5).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
import xarray as xr
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from grok_interp.analysis.checkpoints_of import Checkpoints, checkpoints_of
from grok_interp.analysis.evaluation_contexts import AnsweredContexts, EvaluationContexts, answers_of, draw_contexts
from grok_interp.analysis.hypotheses import HYPOTHESES, predicted
from grok_interp.analysis.intervals import Z
from grok_interp.analysis.random_answers import log_likelihood
from grok_interp.analysis.sampled_over import each_sampled_over, sampling_coordinates
from grok_interp.arguments import checked
from grok_interp.data.modular import SPLITS, ModularTasks, Split
from grok_interp.results.result import Measure, Result

SUBSETS = ("generic", "symmetric", "axis")
ERRORS_FROM = {name: f"difference_from_{name.replace(' ', '_')}_se" for name in HYPOTHESES}


class AlgorithmAgreement(Result):
    """Log-likelihood of the model's answers (nats per answer), its standard error, the fitted fraction of random
    answers, the number of queries, and the standard error of the difference from each hypothesis.

    The coordinates `n_contexts`, `n_tasks` and `n_all_tasks` of each split say what the standard errors are over.
    """

    name = "agreement"
    dims = ("checkpoint", "split", "subset", "hypothesis", "shot")
    measures: ClassVar = {
        "log_likelihood": Measure("log-likelihood of the answers", "nats per answer"),
        "log_likelihood_se": Measure("standard error of the log-likelihood", "nats per answer", may_be_undefined=True),
        "random_fraction": Measure("fitted fraction of random answers", "fraction", may_be_undefined=True),
        "n_queries": Measure("number of queries", "1", may_be_undefined=True),
        **{
            name: Measure(f"standard error of the difference from {other}", "nats per answer", may_be_undefined=True)
            for other, name in ERRORS_FROM.items()
        },
    }

    def log_likelihood(self, subset: str = "generic") -> xr.DataArray:
        """checkpoint x split x hypothesis x shot; NaN where there was no query.

        Args:
            subset: of the queries: generic, symmetric or axis.
        """
        return self["log_likelihood"].sel(subset=subset, drop=True)

    def interval(self, subset: str = "generic") -> tuple[xr.DataArray, xr.DataArray]:
        """The 95% confidence interval of the log-likelihood, at most 0.

        Args:
            subset: of the queries: generic, symmetric or axis.
        """
        half = Z * self["log_likelihood_se"].sel(subset=subset, drop=True)
        return self.log_likelihood(subset) - half, (self.log_likelihood(subset) + half).clip(max=0)

    def difference(self, other: str, subset: str = "generic") -> xr.DataArray:
        """The log-likelihood of every hypothesis minus that of one: checkpoint x split x hypothesis x shot.

        Args:
            other: one of HYPOTHESES.
            subset: of the queries: generic, symmetric or axis.
        """
        values = self.log_likelihood(subset)
        return values - values.sel(hypothesis=other, drop=True)

    def difference_interval(self, other: str, subset: str = "generic") -> tuple[xr.DataArray, xr.DataArray]:
        """The 95% confidence interval of that difference, from the differences answer by answer.

        Args:
            other: one of HYPOTHESES.
            subset: of the queries: generic, symmetric or axis.
        """
        half = Z * self[ERRORS_FROM[other]].sel(subset=subset, drop=True)
        return self.difference(other, subset) - half, self.difference(other, subset) + half

    def best(self, subset: str = "generic") -> xr.DataArray:
        """checkpoint x split x shot: the likeliest hypothesis; "undecided" when the 95% CI of a lead includes 0.

        Args:
            subset: of the queries: generic, symmetric or axis.
        """
        values = self.log_likelihood(subset)
        index = values.fillna(-np.inf).argmax("hypothesis")
        names = values["hypothesis"][index].drop_vars("hypothesis")
        behind = xr.concat([self.difference_interval(other, subset)[1] for other in HYPOTHESES], "other")
        highest = behind.assign_coords(other=list(HYPOTHESES)).sel(other=names, drop=True)
        return names.where((highest < 0).sum("hypothesis") == len(HYPOTHESES) - 1, "undecided")

    def expected(self) -> xr.Dataset:
        """The log-likelihood over all subsets: one of them holds every query, the others may be empty."""
        return super().expected().max("subset")

    def not_finite(self) -> tuple[int, ...]:
        """Besides, the steps at which a value is missing that other checkpoints have."""
        values = self["log_likelihood"]
        missing = (values.isnull() & values.notnull().any("checkpoint")).any(("split", "subset", "hypothesis", "shot"))
        steps = {*super().not_finite(), *values["checkpoint"].to_numpy()[missing.to_numpy()].tolist()}
        return tuple(sorted(int(step) for step in steps))

    def __str__(self) -> str:
        best = self.best().isel(checkpoint=-1)
        lines = [
            f"{split} " + ", ".join(f"{shots} {name}" for shots, name in _stretches(best.sel(split=split)))
            for split in best["split"].values
        ]
        found, step = "; ".join(lines), int(best["checkpoint"])
        decided = f"decided where the 95% CI of its lead, over {each_sampled_over(self.dataset)}, is above 0"
        return f"most likely hypothesis by number of shots at step {step:,} ({decided}): {found}{self.warning()}"


def _stretches(best: xr.DataArray) -> list[tuple[str, str]]:
    """Equal neighbors joined: [("0-1", "chance"), ("2-11", "modular regression")]."""
    found: list[tuple[int, int, str]] = []
    for shot, name in zip(best["shot"].values, best.values, strict=True):
        begun = found.pop()[0] if found and found[-1][2] == name else int(shot)
        found.append((begun, int(shot), str(name)))
    return [(f"{first}-{last}" if last > first else f"{first}", name) for first, last, name in found]


@checked
def algorithm_agreement(
    checkpoints: Checkpoints,
    tasks: ModularTasks,
    *,
    n_contexts: int,
    seed: int,
    splits: Sequence[Split] = SPLITS,
    batch_size: int = 256,
) -> AlgorithmAgreement:
    """The likelihood of every (step, model)'s answers under each algorithm, on the contexts of `shot_curve`.

    Args:
        checkpoints: a run, one model, or any iterable of (step, model), as `checkpoints_of` takes them.
        tasks: the tasks and inputs of the four splits.
        n_contexts: contexts of each split, rounded up to an equal number of two or more for each task.
        seed: draws the contexts; the same seed draws those of `shot_curve`.
        splits: those to evaluate.
        batch_size: contexts per forward pass; changes memory, never the result.

    Returns:
        The agreement by algorithm, split and number of shots, in nats.

    Raises:
        ValueError: for no checkpoints, no contexts, and a vocabulary without all of Z_p.

    Example:
        >>> from grok_interp import ModularTasks, Transformer, preset, training_preset
        >>> tasks = ModularTasks.draw(training_preset("modular-tiny").data)
        >>> model = Transformer(preset("modular-tiny"), seed=0)
        >>> algorithm_agreement(model, tasks, n_contexts=16, seed=0).dataset.sizes["shot"]
        8
    """
    steps, rows, contexts = [], [], None
    for step, model in checkpoints_of(checkpoints, same=["n_ctx"]):
        size = model.cfg.n_ctx // 3
        contexts = contexts or draw_contexts(tasks, splits, n_examples=size, n_contexts=n_contexts, seed=seed)
        steps.append(step)
        rows.append(answers_of(model, contexts, batch_size=batch_size))
    return agreement_of(steps, rows, tasks)


def agreement_of(
    steps: Sequence[int], answered: Sequence[Sequence[AnsweredContexts]], tasks: ModularTasks
) -> AlgorithmAgreement:
    """From what each checkpoint answered on each split.

    Args:
        steps: of the checkpoints.
        answered: what each checkpoint answered on each split.
        tasks: of the run.

    Raises:
        ValueError: when there is no checkpoint.
    """
    if not answered:
        raise ValueError("no checkpoints were given: give at least one (step, model)")
    rows = torch.stack([torch.stack([_of_split(split, tasks) for split in splits]) for splits in answered])
    values = rearrange(rows, "checkpoint split ... measure shot -> measure checkpoint split ... shot")
    contexts = [split.contexts for split in answered[0]]
    coords = {
        "checkpoint": list(steps),
        "split": [each.split for each in contexts],
        "subset": list(SUBSETS),
        "hypothesis": list(HYPOTHESES),
        "shot": np.arange(values.shape[-1]),
        **sampling_coordinates(contexts),
    }
    arrays = dict(zip(AlgorithmAgreement.measures, values.float(), strict=True))
    return AlgorithmAgreement.of_arrays(arrays, coords, contexts[0].description())


def _of_split(given: AnsweredContexts, tasks: ModularTasks) -> Float[Tensor, "subset hypothesis measure shot"]:
    believed = predicted(given, tasks).masked_fill(given.loss.isnan(), torch.nan)
    f = given.contexts.task_fraction
    subsets = _subsets(given.contexts)
    rows = [
        log_likelihood(believed[:, chosen], counted[chosen], tasks.p, task_fraction=f) for chosen, counted in subsets
    ]
    return torch.stack(rows)


def _subsets(contexts: EvaluationContexts) -> list[tuple[Bool[Tensor, " task"], Bool[Tensor, "task context shot"]]]:
    """(tasks, queries) of each of SUBSETS."""
    symmetric = contexts.tasks[:, 0] == contexts.tasks[:, 1]
    axis = (contexts.inputs == 0).any(dim=-1)
    return [(~symmetric, ~axis), (symmetric, torch.ones_like(axis)), (~symmetric, axis)]
