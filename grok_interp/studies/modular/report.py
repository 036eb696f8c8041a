"""The report of a modular run: when it generalizes, from how many shots, by which algorithm, with what inside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from grok_interp.analysis.circularity import circularity
from grok_interp.analysis.grid import grid_comparisons
from grok_interp.analysis.kaleidoscope import kaleidoscope
from grok_interp.analysis.phases import PAPER_THRESHOLD, Transience, phase, transience
from grok_interp.analysis.shares import midpoint
from grok_interp.checkpoints.run import run_provenance
from grok_interp.checkpoints.series import CheckpointSeries
from grok_interp.configs import ModularConfig, TrainConfig
from grok_interp.data.modular import SPLITS, Split
from grok_interp.models.transformer import Transformer
from grok_interp.schedules import spread_steps
from grok_interp.studies.modular.figures import kaleidoscopes_over_training
from grok_interp.studies.modular.inputs import (
    block_similarity,
    default_shots,
    grid_examples,
    last_slot,
    most_circular,
    slot_tokens,
    token_names,
    unseen_task,
)
from grok_interp.studies.modular.results import EARLY_STOPPING, ModularProbes, ModularResults
from grok_interp.views.algorithms import plot_agreement, plot_grids
from grok_interp.views.attention import attention_view
from grok_interp.views.circles import plot_circles
from grok_interp.views.matrices import plot_similarity
from grok_interp.views.report import Headline, Page, Section, inline_svg
from grok_interp.views.shots import SPLIT_NAMES, plot_last_shot, plot_shots
from grok_interp.views.theme import save_figure

THRESHOLD = PAPER_THRESHOLD
EXAMPLES_SHOWN, HEADS_SHOWN, STEPS_SHOWN = 8, 48, 12  # of the attention view: 24 tokens, as in the paper


def write_report(directory: Path, results: ModularResults, probes: ModularProbes, *, threshold: float) -> Path:
    """report.html, and its figures as SVG and PDF in `figures`; the page's path.

    A split counts as learnt when its last-shot accuracy is above `threshold`. Works on a run that is still training.
    """
    directory, series, step = Path(directory), CheckpointSeries(directory), results.best_step
    model = series.load(step)
    sections = [
        _training_section(results, threshold),
        _shots_section(results, step),
        _algorithm_section(results, step),
        _grid_section(model, probes),
        _circles_section(model, probes, step),
        *(_similarity_section(model, probes, step, layer) for layer in range(model.cfg.n_layers)[-2:]),
        _kaleidoscope_section(directory),
    ]
    for name, _, figure in sections:
        save_figure(figure, directory / "figures" / name)
    page = Page(
        title="When does in-context modular arithmetic emerge?",
        summary=_summary(series.config, results),
        headlines=[Headline(value, label) for label, value in headlines(results, threshold=threshold).items()],
        sections=[section for _, section, _ in sections] + [_attention_section(series, probes, step)],
        settings=_settings(directory, series.config, probes),
        warnings=list(_warnings(series.config, results, threshold)),
    )
    return page.write(directory / "report.html")


def headlines(results: ModularResults, *, threshold: float) -> dict[str, str]:
    """What the page and the command line say first: label -> value."""
    shots, step = results.shots, results.best_step
    found = {}
    for split in SPLITS:
        name = SPLIT_NAMES[split]
        every, new = (shots.last_shot(queries).sel(checkpoint=step, split=split) for queries in ("all", "new"))
        found[f"last-shot accuracy, {name} (new queries: {float(new):.1%})"] = f"{float(every):.1%}"
    last: dict[Split, float] = {s: float(shots.last_shot().sel(checkpoint=step, split=s)) for s in SPLITS}
    ood = transience(shots.last_shot("new").sel(split=list(EARLY_STOPPING)).mean("split").fillna(0))
    best = results.agreement.best().sel(checkpoint=step, split="ood_train").isel(shot=-1)
    return found | {
        "step of the best o.o.d. accuracy over new queries: early stopping": f"{step:,}",
        f"phase at that step (learnt: above {threshold:g})": phase(last, threshold=threshold),
        "likeliest algorithm there at the last shot, o.o.d. train": str(best.values),
        "step at which o.o.d. train reached half of its last value": _step(
            midpoint(shots.last_shot().sel(split="ood_train"))
        ),
        f"of the best o.o.d. accuracy over new queries, {ood.peak:.1%}, left at the last checkpoint": _kept(ood),
        "chance": f"{1 / shots.array.attrs['p']:.1%}",
    }


def _kept(found: Transience) -> str:
    return f"{found.last / found.peak:.0%}" if found.peak else "not defined"


def _step(step: float) -> str:
    return f"{step:,.0f}" if np.isfinite(step) else "never"


def _summary(config: TrainConfig, results: ModularResults) -> str:
    data, last = config.data, results.steps[-1]
    assert isinstance(data, ModularConfig)
    return (
        f"A {config.model.n_layers}-layer transformer of {config.model.n_params:,} parameters, trained for {last:,} "
        f"updates on z = a x + b y (mod {data.p}) with {data.n_id} of the {data.p**2} tasks (a, b) and "
        f"{data.n_train_inputs} of the {data.p**2} inputs (x, y), {config.model.n_ctx // 3} examples a sequence, "
        f"looked into at {len(results.steps)} checkpoints."
    )


def _warnings(config: TrainConfig, results: ModularResults, threshold: float) -> Iterator[str]:
    if (last := results.steps[-1]) < config.n_steps:
        yield f"Partial run: analyzed up to step {last:,} of {config.n_steps:,}."
    highest = results.shots.last_shot("new").max("checkpoint")
    low = [SPLIT_NAMES[split] for split in SPLITS if not float(highest.sel(split=split)) > threshold]
    if low:
        yield f"Never above {threshold:.0%} at the last shot, over new queries: {', '.join(low)}."


def _training_section(results: ModularResults, threshold: float) -> tuple[str, Section, Figure]:
    figure = plot_last_shot(results.shots, threshold=threshold)
    text = (
        "Accuracy of the last answer of the context on the four splits: tasks trained on or not (i.d., o.o.d.), inputs "
        "trained on or not (train, test). A query that stands among its examples can be looked up: the right picture "
        f"leaves these out. Dashed: {threshold:.0%}; dotted: chance."
    )
    return "last_shot", Section("The four splits over training", text, inline_svg(figure)), figure


def _shots_section(results: ModularResults, step: int) -> tuple[str, Section, Figure]:
    figure = plot_shots(results.shots, step=step, split="ood_train")
    text = (
        "Left: accuracy by number of shots, beside what Ratio Matching and Modular Regression could reach on the same "
        "contexts, guessing the rest. Right: by what a query takes. Who matches ratios is at chance on “regression”. "
        "Bands: one standard error over tasks."
    )
    return "shots", Section("Learning in context", text, inline_svg(figure), "After Figure 1c."), figure


def _algorithm_section(results: ModularResults, step: int) -> tuple[str, Section, Figure]:
    figure = plot_agreement(results.agreement, step=step)
    text = (
        "How likely the model's own answers are, right or wrong, under each algorithm with a fitted share of random "
        "answers; tasks with a = b and queries with a zero left out. Bands: 95%."
    )
    caption = str(results.at([step]).agreement)
    return "agreement", Section("By which algorithm", text, inline_svg(figure), caption), figure


def _grid_section(model: Transformer, probes: ModularProbes) -> tuple[str, Section, Figure]:
    n_examples = last_slot(model.cfg.n_ctx) + 1
    task, inputs = unseen_task(probes.tasks), grid_examples(probes.tasks.p, n_examples - 1)
    grids = grid_comparisons(model, task, inputs, probes.tasks.p, shots=default_shots(n_examples))
    figure = plot_grids(grids)
    text = f"Task {task}, not trained on: every query (x, y) after the same k examples. Red: only the model is right."
    return "grids", Section("Query by query", text, inline_svg(figure), "After Figure 5."), figure


def _circles_section(model: Transformer, probes: ModularProbes, step: int) -> tuple[str, Section, Figure]:
    circles = most_circular(model, probes.tasks, step=step)
    figure = plot_circles(circles)
    text = f"The head whose outputs at x and y are the most circular. {circularity(circles, seed=0)}"
    return "circles", Section("Circle of circles", text, inline_svg(figure), "After Figure 6."), figure


def _similarity_section(
    model: Transformer, probes: ModularProbes, step: int, layer: int
) -> tuple[str, Section, Figure]:
    similarity = block_similarity(model, probes.tasks, step=step, layer=layer, position="z")
    figure = plot_similarity(similarity)
    section = Section(f"Similarity after block {layer}", str(kaleidoscope(similarity, seed=0)), inline_svg(figure))
    return f"similarity_{layer}", section, figure


def _kaleidoscope_section(directory: Path) -> tuple[str, Section, Figure]:
    figure = kaleidoscopes_over_training(directory)
    text = (
        "How far the similarities of all pairs follow each algorithm's pattern, at every checkpoint: y/x = y'/x' "
        "(Ratio Matching) and a x + b y = a x' + b y' (Modular Regression). At z the answer stands in the sequence, so "
        "that the second pattern is there from the beginning; at y it has to be worked out. Shaded: chance."
    )
    return "kaleidoscopes", Section("Patterns over training", text, inline_svg(figure)), figure


def _attention_section(series: CheckpointSeries, probes: ModularProbes, step: int) -> Section:
    model = series.config.model
    tokens = slot_tokens(model.n_ctx, probes.tasks, last_slot(model.n_ctx))[-1, : 3 * EXAMPLES_SHOWN]
    heads = list(np.ndindex(model.n_layers, model.n_heads))[-HEADS_SHOWN:]
    steps = sorted({*spread_steps(series.steps, STEPS_SHOWN), step})
    view = attention_view(series, tokens, names=lambda _: token_names(tokens), heads=heads, steps=steps)
    text = (
        f"The first {EXAMPLES_SHOWN} examples of an unseen task. Choose a head, and move the slider through training."
    )
    return Section("Attention", text, view.html())


def _settings(directory: Path, config: TrainConfig, probes: ModularProbes) -> dict[str, Any]:
    described = run_provenance(directory)["data"]["description"]
    return {"tasks": described, **config.flattened(), "probes": probes.description()}
