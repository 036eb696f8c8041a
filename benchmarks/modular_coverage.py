"""How often do the 95% intervals of the modular study cover the value on 50,000 contexts?

    python benchmarks/modular_coverage.py      modular-p11, its last checkpoint: 20 minutes of one core
    python benchmarks/modular_coverage.py --n-draws 20 --n-true 5000       a look at it: about 2 minutes

One checkpoint of a reference run is evaluated once on 50,000 contexts of each split, and 300 times on as many contexts
as the study takes, each time with another fixed seed. Counted are the draws whose interval covers the value on 50,000
contexts, at the last shot and over all numbers of shots: of accuracies, losses, log-likelihoods of the algorithms and
their differences. By chance alone, 300 intervals that cover in 95% of cases cover in 92% to 98% of 300 draws with
probability 0.988.

The second table has the components of the variance: how many contexts give a standard error of 1 point, if each task
has its own contexts and if all tasks share them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import torch
import tyro
import xarray as xr

from grok_interp.analysis.agreement import HYPOTHESES
from grok_interp.analysis.evaluation_contexts import EvaluationContexts, answers_of
from grok_interp.analysis.phases import PAPER_THRESHOLD, phases
from grok_interp.data.modular import SPLITS, sequences
from grok_interp.models.transformer import Transformer
from grok_interp.reference import load_reference
from grok_interp.runs.run import Run
from grok_interp.studies.modular.modular_inputs import N_CONTEXTS, evaluation_inputs
from grok_interp.studies.modular.modular_results import ModularResults

FIRST_DRAW, TRUE, CROSSED = 1, 100_000, 100_001  # seeds
N_CROSSED = 400  # contexts shared by all tasks, for the components of the variance
ROUNDING = 1e-5  # results are kept in float32
Three = tuple[xr.DataArray, xr.DataArray, xr.DataArray]  # value, low, high: split x shot


def estimates(found: ModularResults) -> Iterator[tuple[str, Three]]:
    """Everything that has an interval, of one checkpoint."""
    shots, agreement = found.shots, found.agreement
    for queries in ("all", "new"):
        yield f"accuracy, {queries} queries", _first(shots.accuracy(queries), *shots.interval(queries))
        yield f"loss, {queries} queries", _first(shots.loss(queries), *shots.loss_interval(queries))
    values, (low, high) = agreement.log_likelihood(), agreement.interval()
    for name in HYPOTHESES[1:]:
        yield f"log-likelihood, {name}", _first(*(each.sel(hypothesis=name, drop=True) for each in (values, low, high)))
    for one, other in combinations(HYPOTHESES[::-1], 2):
        ends = (agreement.difference(other), *agreement.difference_interval(other))
        yield f"{one} minus {other}", _first(*(each.sel(hypothesis=one, drop=True) for each in ends))


def _first(value: xr.DataArray, low: xr.DataArray, high: xr.DataArray) -> Three:
    return value.isel(checkpoint=0), low.isel(checkpoint=0), high.isel(checkpoint=0)


def evaluated(run: Run, model: Transformer, step: int, *, n_contexts: int, seed: int) -> ModularResults:
    inputs = evaluation_inputs(run, n_contexts=n_contexts, seed=seed)
    return ModularResults.of_model(model, ModularResults.analyzers(inputs), step=step)


def covered(truth: Three, draw: Three) -> xr.DataArray:
    """1 or 0; NaN where the draw has no interval."""
    value, (_, low, high) = truth[0], draw
    return ((low - ROUNDING <= value) & (value <= high + ROUNDING)).where(high.notnull() & value.notnull())


def print_coverage(truth: ModularResults, draws: list[ModularResults]) -> None:
    print("| 95% interval of | " + " | ".join(SPLITS) + " |\n| --- |" + " --- |" * len(SPLITS))
    true, found = dict(estimates(truth)), [dict(estimates(draw)) for draw in draws]
    for name, value in true.items():
        hits = xr.concat([covered(value, draw[name]) for draw in found], "draw")
        last, every = hits.isel(shot=-1).mean("draw"), hits.mean(["draw", "shot"])
        cells = [f"{float(last.sel(split=s)):.1%} ({float(every.sel(split=s)):.1%})" for s in SPLITS]
        print(f"| {name} | " + " | ".join(cells) + " |")


def print_errors(truth: ModularResults, draws: list[ModularResults], step: int) -> None:
    """The standard error that is reported, and the one that the draws show; the phases."""
    print("\n| last shot, all queries | " + " | ".join(SPLITS) + " |\n| --- |" + " --- |" * len(SPLITS))
    accuracy = xr.concat([draw.shots.last_shot().isel(checkpoint=0) for draw in draws], "draw")
    reported = xr.concat([draw.shots.standard_error().isel(checkpoint=0, shot=-1) for draw in draws], "draw")
    true = truth.shots.last_shot().isel(checkpoint=0)
    rows = {
        "accuracy on the many contexts": true,
        "mean standard error reported": reported.mean("draw"),
        "standard deviation of the draws": accuracy.std("draw", ddof=1),
    }
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(f"{float(row.sel(split=s)):.2%}" for s in SPLITS) + " |")
    named = [phases(each.shots, threshold=PAPER_THRESHOLD)[step] for each in (truth, *draws)]
    print(f"\nphase on the many contexts: {named[0]}")
    print(f"most probable phase of the draws: {dict(Counter(each.most_probable for each in named[1:]))}")
    mean = sum(each.of_each[named[0].most_probable] for each in named[1:]) / len(draws)
    print(f"mean probability that a draw gives to the phase on the many contexts: {mean:.1%}")


def print_components(run: Run, model: Transformer) -> None:
    """Of last-shot accuracy on the same contexts for all tasks of a split."""
    print("\n| split | tasks | variance of tasks | of contexts | of both | sequences for s.e. 1 point, own | shared |")
    print("| --- |" + " --- |" * 6)
    for asked in evaluation_inputs(run, n_contexts=2 * N_CROSSED, seed=CROSSED).contexts:
        table = _crossed(model, asked)
        n_tasks, n_contexts = table.shape
        of_tasks, of_contexts = table.mean(dim=1).var(), table.mean(dim=0).var()
        rest = table - table.mean(dim=1, keepdim=True) - table.mean(dim=0, keepdim=True) + table.mean()
        residual = rest.square().sum() / ((n_tasks - 1) * (n_contexts - 1))
        components = [of_tasks - residual / n_contexts, of_contexts - residual / n_tasks, residual]
        own, shared = table.var(dim=1).mean() / 0.01**2, n_tasks * of_contexts / 0.01**2
        numbers = " | ".join(f"{max(0.0, float(each)):.4f}" for each in components)
        print(f"| {asked.split} | {n_tasks} | {numbers} | {float(own):,.0f} | {float(shared):,.0f} |")


def _crossed(model: Transformer, asked: EvaluationContexts) -> torch.Tensor:
    """task x context: 1 where the last answer is right."""
    pool = asked.inputs.flatten(0, 1)[:N_CROSSED]
    inputs = pool.expand(len(asked.tasks), *pool.shape)
    shared = replace(asked, inputs=inputs, shown=sequences(asked.tasks, inputs, asked.p))
    (given,) = answers_of(model, [shared])
    return (given.found == shared.true)[..., -1].double()


def main(
    *,
    run: str = "modular-p11",
    step: int | None = None,
    n_draws: int = 300,
    n_true: int = 50_000,
    n_contexts: int = N_CONTEXTS,
    threads: int = 1,
) -> None:
    """Print the tables.

    Args:
        run: the name of a reference run.
        step: the checkpoint; the last one if not given.
        n_draws: draws of contexts, with the seeds 1, 2, ...
        n_true: contexts of each split that stand for all contexts.
        n_contexts: contexts of each split in a draw.
        threads: of torch.
    """
    torch.set_num_threads(threads)
    opened = load_reference(run)
    step = opened.steps[-1] if step is None else step
    model = opened.load(step)
    print(f"{run}, step {step:,}: {n_draws} draws of {n_contexts:,} contexts, against {n_true:,}\n", flush=True)
    truth = evaluated(opened, model, step, n_contexts=n_true, seed=TRUE)
    seeds = range(FIRST_DRAW, FIRST_DRAW + n_draws)
    draws = [evaluated(opened, model, step, n_contexts=n_contexts, seed=seed) for seed in seeds]
    print_coverage(truth, draws)
    print_errors(truth, draws, step)
    print_components(opened, model)


if __name__ == "__main__":
    tyro.cli(main)
