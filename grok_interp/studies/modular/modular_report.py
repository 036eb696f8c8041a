"""The report of a modular run: when it generalizes, from how many shots, by which algorithm, and its internals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from grok_interp import plots
from grok_interp.analysis.circularity import Circularity
from grok_interp.analysis.phases import PAPER_THRESHOLD
from grok_interp.analysis.sampled_over import sampled_over
from grok_interp.configs import ModularConfig, TrainConfig
from grok_interp.configs.schedules import spread_steps
from grok_interp.counted import counted, over
from grok_interp.data.modular import SPLITS
from grok_interp.plots.attention import attention_view
from grok_interp.plots.page import Page, Section
from grok_interp.plots.pictures.shots import SPLIT_NAMES
from grok_interp.results.result import Result
from grok_interp.runs.run import Run
from grok_interp.studies.attention import stored_attention
from grok_interp.studies.modular.all_numbers import numbers
from grok_interp.studies.modular.first_screen import FirstScreen
from grok_interp.studies.modular.grids import grids
from grok_interp.studies.modular.modular_inputs import (
    ModularInputs,
    last_slot,
    slot_tokens,
    tasks_of_run,
    token_names,
    unseen_task,
)
from grok_interp.studies.modular.modular_results import ModularResults
from grok_interp.studies.modular.representations import (
    block_kaleidoscope,
    block_similarity,
    circles,
    circularities,
    head_circularity,
    kaleidoscopes,
)

LEAST_SEEN = 0.05  # of the variance: a smaller circle cannot be seen in the picture
CIRCULARITIES = 24  # checkpoints of which the report shows them: half a second each on a slow core
EXAMPLES_SHOWN, HEADS_SHOWN, STEPS_SHOWN = 8, 48, 12  # of the attention view: 24 tokens, as in the paper


def report_page(
    run: Run, results: ModularResults, inputs: ModularInputs, *, threshold: float | None = None, device: str = "cpu"
) -> Page:
    """The page; a split counts as learned when its last-shot accuracy is above `threshold`, 0.75 if None.

    Models run on `device`.
    """
    threshold = PAPER_THRESHOLD if threshold is None else threshold
    step, first = results.best_step, FirstScreen(results, threshold)
    sections = [
        _training_section(results, threshold),
        _shots_section(results, step),
        _algorithm_section(results, step),
        _grid_section(run, step, device),
        _circles_section(run, step, device),
        *(_similarity_section(run, step, layer, device) for layer in range(run.config.model.n_layers)[-2:]),
        _kaleidoscope_section(run, device),
        _circularity_section(run, device),
    ]
    return Page(
        title="When does in-context modular arithmetic emerge?",
        summary=_summary(run.config, results),
        answer=first.answer(),
        overview=first.overview(),
        headlines=first.cards(),
        sections=[*sections, _attention_section(run, step, device)],
        numbers=numbers(results, threshold=threshold),
        settings=_settings(run, inputs),
        warnings=list(_warnings(run.config, results, threshold)),
        start=step,
    )


def _summary(config: TrainConfig, results: ModularResults) -> str:
    data, last = config.data, results.steps[-1]
    assert isinstance(data, ModularConfig)
    return (
        f"A {config.model.n_layers}-layer transformer of {config.model.n_params:,} parameters, trained for {last:,} "
        f"updates on z = a x + b y (mod {data.p}) with {data.n_id} of the {data.p**2} tasks (a, b) and "
        f"{data.n_train_inputs} of the {data.p**2} inputs (x, y), {config.model.n_ctx // 3} examples per sequence, "
        f"evaluated at {counted(len(results.steps), 'checkpoint')}."
    )


def _warnings(config: TrainConfig, results: ModularResults, threshold: float) -> Iterator[str]:
    yield from results.not_finite_warnings()
    if (last := results.steps[-1]) < config.n_steps:
        yield f"Partial run: analyzed up to step {last:,} of {config.n_steps:,}."
    highest = results.shots.last_shot("new").max("checkpoint")
    low = [SPLIT_NAMES[split] for split in SPLITS if not float(highest.sel(split=split)) > threshold]
    if low:
        yield f"Never above {threshold:.0%} at the last shot, over new queries: {', '.join(low)}."


def _intervals(results: ModularResults) -> str:
    """What the intervals of one run's figures are over."""
    shots = results.shots.dataset
    samples = "; ".join(f"{SPLIT_NAMES[split]} {sampled_over(shots, split)}" for split in shots["split"].values)
    return f"Intervals: 95% CI of one run (1 seed) over contexts: {samples}."


def _training_section(results: ModularResults, threshold: float) -> Section:
    text = (
        "Accuracy of the last answer of the context on the four splits: tasks trained on or not (i.d., o.o.d.), inputs "
        "trained on or not (train, test). New queries: those that are not among their examples, where the answer could "
        f"be looked up. Dashed: {threshold:.0%}; dotted: chance. {_intervals(results)}"
    )
    drawing, table = plots.last_shot(results.shots, threshold=threshold), results.shots.to_frame()
    table = table[table["shot"].eq(table["shot"].max()) & table["queries"].isin(["all", "new"])]
    return Section("The four splits over training", text, drawing, table=table, file="last_shot")


def _shots_section(results: ModularResults, step: int) -> Section:
    text = (
        "Left: accuracy by number of shots, and the accuracy that Ratio Matching and Modular Regression would reach on "
        "the same contexts if they guessed what they cannot solve. Right: by kind of query. Ratio Matching alone "
        f"predicts chance accuracy on “regression”. {_intervals(results)}"
    )
    drawing, table = plots.shot_curves(results.shots, step=step), results.at([step]).shots.to_frame().dropna()
    return Section("Learning in context", text, drawing, "Compare Figure 1c of the paper.", table=table, file="shots")


def _algorithm_section(results: ModularResults, step: int) -> Section:
    text = (
        "Log-likelihood of the model's answers, correct or not, under each algorithm with a fitted fraction of random "
        "answers. Tasks with a = b and queries with a zero are left out."
    )
    best = results.at([step]).agreement
    drawing, table = plots.agreement(results.agreement, step=step), best.to_frame().dropna()
    return Section("By which algorithm", text, drawing, _named_splits(best), table=table, file="agreement")


def _named_splits(result: Result) -> str:
    """`_sentence`, with the splits as the figures name them."""
    text = _sentence(result)
    for split, name in SPLIT_NAMES.items():
        text = text.replace(split, name)
    return text


def _grid_section(run: Run, step: int, device: str) -> Section:
    found = grids(run, step=step, device=device)
    drawing, task = plots.grids(found), unseen_task(tasks_of_run(run))
    text = (
        f"Task {task}, which is not a training task: every query (x, y) once, after the same k examples. One list of "
        "examples, 1 seed: there is no interval."
    )
    return Section("Query by query", text, drawing, "Compare Figure 5 of the paper.", file="grids")


def _circles_section(run: Run, step: int, device: str) -> Section:
    found = circles(run, step=step, device=device)
    head = found.dataset.attrs["layer"], found.dataset.attrs["head"]
    measured = head_circularity(run, head, step=step, device=device)
    text = f"The head whose outputs at x and y have the largest circularity. {_sentence(measured)}"
    return Section(
        _circles_title(measured), text, plots.circles(found), "Compare Figure 6 of the paper.", file="circles"
    )


def _circles_title(measured: Circularity) -> str:
    """What is seen: a circle by both logarithms, by one alone, or none that shuffled logarithms do not have."""
    last = measured.at()
    seen = [name for name in ("x", "y") if float(last[f"fraction_{name}"]) >= LEAST_SEEN]
    if not seen or not float(measured.margin()[-1]) > 0:
        return "No circle of circles"
    return "Circle of circles" if len(seen) == 2 else f"A circle by log {seen[0]} alone"


def _similarity_section(run: Run, step: int, layer: int, device: str) -> Section:
    similarity = block_similarity(run, step=step, layer=layer, position="z", device=device)
    text = _sentence(block_kaleidoscope(run, "z", layer, step=step, device=device))
    title, name = f"Similarity after block {layer}", f"similarity_{layer}"
    return Section(title, text, plots.similarity(similarity), "Compare Figure 7 of the paper.", file=name)


def _kaleidoscope_section(run: Run, device: str) -> Section:
    blocks = kaleidoscopes(run, device=device)
    text = (
        "Rank correlation of the similarities of all pairs with the pattern of each algorithm, at every checkpoint: "
        "y/x = y'/x' (Ratio Matching) and a x + b y = a x' + b y' (Modular Regression). At z the answer is in the "
        "sequence, so the second pattern is present from the beginning; at y it must be computed. Shaded: below the "
        f"95% quantile{_shuffles(blocks[0])}. One unseen task, 1 seed."
    )
    drawing, table = plots.kaleidoscopes(blocks), _one_table(blocks)
    return Section("Patterns over training", text, drawing, table=table, file="kaleidoscopes")


def _circularity_section(run: Run, device: str) -> Section:
    every = -(-len(run) // CIRCULARITIES)
    heads = circularities(run, steps=run.steps[::-1][::every][::-1], device=device)
    text = (
        "Circularity of the outputs of each head at x and y, from 0 to 1, and its distance from the 95% quantile"
        f"{_shuffles(heads[0])} of the labels, at {counted(heads[0].dataset.sizes['checkpoint'], 'checkpoint')}."
    )
    drawing, table = plots.circularity(heads), _one_table(heads)
    return Section("Circularity over training", text, drawing, table=table, file="circularity")


def _shuffles(result: Result) -> str:
    return over(result.dataset.attrs["n_shuffles"], "shuffle")


def _sentence(result: Result) -> str:
    """The one line of a result, as a sentence of the page."""
    text = str(result)
    return f"{text[:1].upper()}{text[1:]}."


def _one_table(results: Sequence[Result]) -> pd.DataFrame:
    """One table of results that differ in the place they look at."""
    places = ("position", "layer", "head")
    tables = [
        each.to_frame().assign(**{name: each.dataset.attrs[name] for name in places if name in each.dataset.attrs})
        for each in results
    ]
    return pd.concat(tables)


def _attention_section(run: Run, step: int, device: str) -> Section:
    model = run.config.model
    tokens = slot_tokens(model.n_ctx, tasks_of_run(run), last_slot(model.n_ctx))[-1, : 3 * EXAMPLES_SHOWN]
    heads = list(np.ndindex(model.n_layers, model.n_heads))[-HEADS_SHOWN:]
    steps = sorted({*spread_steps(run.steps, STEPS_SHOWN), step})
    maps = stored_attention(run, tokens, heads=heads, steps=steps, device=device)
    view = attention_view(maps, tokens, names=lambda _: token_names(tokens), heads=heads)
    text = (
        f"The first {EXAMPLES_SHOWN} examples of an unseen task. Choose a head, and move the slider through training."
    )
    return Section("Attention", text, html=view.html())


def _settings(run: Run, inputs: ModularInputs) -> dict[str, object]:
    return {"tasks": run.data_description, **run.config.flattened(), "evaluation": inputs.description()}
