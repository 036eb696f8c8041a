"""The sections of a report on ablation of heads; every number in their texts and tables is a result's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from grok_interp.analysis.ablation import HeadAblation
from grok_interp.analysis.ablation_arguments import named
from grok_interp.analysis.ablation_conditions import CONTROLS
from grok_interp.analysis.induction import InductionScores
from grok_interp.analysis.single_ablation import SingleAblation
from grok_interp.counted import counted, over
from grok_interp.plots.page import Section, table_html
from grok_interp.plots.pictures.ablation import ablation
from grok_interp.plots.pictures.single_heads import single_heads
from grok_interp.runs.run import Run
from grok_interp.runs.series_run import SeriesRun
from grok_interp.studies.copying.ablation_inputs import AblationInputs, ablation_inputs, formed_heads
from grok_interp.studies.copying.ablation_results import ablations, are_stored, single_ablations
from grok_interp.studies.copying.copying_results import FORMED, analyze, evaluation_inputs

MATTERS = 0.02  # fraction of suffixes: with 500 of them some three standard errors of a fraction near 0
WITHOUT_HEADS, WITHOUT_EACH = "Ablation of the induction heads", "Ablation of each head alone"
FIGURES = {WITHOUT_EACH: "copying/heads", WITHOUT_HEADS: "copying/ablation"}


def ablation_section(run: Run) -> Section:
    """Copying and loss over training without the induction heads, beside controls."""
    results, inputs = ablations(run), ablation_inputs(run, analyze(run))
    caption = (
        "zero: output 0, plus the constant of the biases, if any; mean: mean output over validation text; resample: "
        f"output on another text; edges: attention to tokens that followed an earlier occurrence of the last "
        f"{inputs.n_match} tokens is cut. The same heads are ablated at every step. Bands: 95% CI of the mean over "
        f"draws: {_measured_on(results[0])}."
    )
    table = pd.concat([each.to_frame().assign(how=each.dataset.attrs["how"]) for each in results])
    return Section(WITHOUT_HEADS, ablation_text(results, inputs), ablation(results), caption, table=table)


def ablation_table(results: Sequence[HeadAblation]) -> pd.DataFrame:
    """Exact match and validation loss at the last checkpoint: one row per condition, one column per way of ablation."""
    rows = [
        {"measure": words, "heads": condition}
        | {each.dataset.attrs["how"]: each.in_words(measure, name) for each in results}
        for measure, words in (("exact_match", "exact match"), ("loss", "validation loss (nats)"))
        for name, condition in _conditions(results).items()
    ]
    return pd.DataFrame(rows)


def ablation_table_section(run: Run) -> Section:
    """`ablation_table` on the page."""
    results = ablations(run)
    step, table = int(results[0].dataset["checkpoint"][-1]), ablation_table(results)
    text = f"Step {step:,}. Brackets: 95% CI of one run (1 seed): {_measured_on(results[0])}."
    return Section(
        "Accuracy after ablation", text, html=f'<div class="wide compact">{table_html(table)}</div>', table=table
    )


def single_heads_section(run: Run) -> Section:
    """Whether I(L, H) finds the heads that matter."""
    results, induction = single_ablations(run), analyze(run).induction
    table = pd.concat([each.to_frame().assign(how=each.dataset.attrs["how"]) for each in results])
    text = single_heads_text(results, induction)
    caption = (
        f"One dot per head, one color per layer. Bars: 95% CI, paired with intact: {_measured_on(results[0])}. "
        f"I(L, H): mean{over(induction.dataset.attrs.get('n_sequences'), 'sequence')}."
    )
    return Section(WITHOUT_EACH, text, single_heads(results, induction), caption, table=table)


def _measured_on(result: HeadAblation | SingleAblation) -> str:
    """accuracies over 100 samples, loss over 32 windows"""
    samples, windows = (over(result.dataset.attrs.get(f"n_{noun}s"), noun) for noun in ("sample", "window"))
    return f"accuracies{samples}, loss{windows}"


def stored_sections(run: Run) -> list[Section]:
    """Both sections, of what has been measured: an ablation takes longer than a report, and waits for its command."""
    if evaluation_inputs(run).held_out is None:
        return [_missing(title, figure, run) for title, figure in FIGURES.items()]
    each, together = (are_stored(run, name) for name in ("single_ablation", "ablation"))
    return [
        single_heads_section(run) if each else _missing(WITHOUT_EACH, FIGURES[WITHOUT_EACH], run),
        *(
            [ablation_section(run), ablation_table_section(run)]
            if together
            else [_missing(WITHOUT_HEADS, FIGURES[WITHOUT_HEADS], run)]
        ),
    ]


def _missing(title: str, figure: str, run: Run) -> Section:
    command = f"grok-interp reproduce {figure} --run {run}"
    if isinstance(run, SeriesRun):
        text = ["--text", "FILE"] if evaluation_inputs(run).held_out is None else []
        command = run.command(*text, "--figure", figure)
    return Section(title, f"Not evaluated at these checkpoints. To evaluate it: {command}")


def ablation_text(results: Sequence[HeadAblation], inputs: AblationInputs) -> str:
    """What was found, in words."""
    return " ".join([_choice(inputs), _onsets(results), _controls(results, inputs), _intervals(inputs)])


def _conditions(results: Sequence[HeadAblation]) -> dict[str, str]:
    """Condition -> what is ablated, of those that were measured."""
    elsewhere = results[0].controls_are_elsewhere
    conditions = {
        "intact": "none",
        "ablated": results[0].dataset.attrs["heads"],
        "random": "as many random heads" if elsewhere else "as many random heads of the same layers",
        "entropy": "the heads closest in attention entropy",
    }
    if _is_one_control(results):
        del conditions["entropy"]
    if not results[0].has_controls:
        del conditions["random"]
    return conditions


def _intervals(inputs: AblationInputs) -> str:
    """What the intervals of one run are over."""
    n_samples, n_strings = len(inputs.samples.strings), len(inputs.samples.task.queries)
    return (
        f"Intervals: 95% of one run (1 seed), over {n_samples:,} samples x {n_strings} strings (exact match, "
        f"Wilson), over samples (per-token accuracy) and over {counted(len(inputs.windows), 'window')} of the loss "
        f"(t)."
    )


def single_heads_text(results: Sequence[SingleAblation], induction: InductionScores) -> str:
    """Which heads matter, way by way, and which of them the score finds."""
    scores, formed = induction["I"].isel(checkpoint=-1), formed_heads(induction)
    found = ", ".join(f"{named([head])} ({float(scores[head]):.2f})" for head in formed) or "no head"
    left = "; ".join(f"{result.dataset.attrs['how']}: {_heads_that_matter(result)}" for result in results)
    return (
        f"I(L, H) is above {FORMED:g} at the last step in {found}. Heads whose ablation costs more than {MATTERS:.0%} "
        f"of exact match, with the exact match that remains of {results[0].in_words('exact_match')}: {left}. "
        "I(L, H) identifies heads that copy what followed the same token before. The heads that these read from have "
        "an I of about 0 and may be as necessary. Intervals: 95% of one run (1 seed)"
        f"{over(results[0].dataset.attrs.get('n_samples'), 'sample')} (Wilson)."
    )


def _heads_that_matter(result: SingleAblation) -> str:
    cost = -result.effect("exact_match").isel(checkpoint=-1)
    heads = [head for head in result.costliest() if float(cost[head]) > MATTERS]
    return ", ".join(f"{named([head])} {result.in_words('exact_match', head)}" for head in heads) or "none"


def _choice(inputs: AblationInputs) -> str:
    text = f"Ablated: {named(inputs.heads)}, with the largest I(L, H) at the last step."
    if not inputs.formed:
        text += f" It is not above {FORMED:g}: no induction head has formed."
    if left_in := [head for head in inputs.formed if head not in inputs.heads]:
        text += f" Not ablated, so that enough heads remain as controls: {named(left_in)}."
    if inputs.spared:
        text += f" Excluded from the controls, as induction heads or part of the same circuit: {named(inputs.spared)}."
    return text


def _onsets(results: Sequence[HeadAblation]) -> str:
    """From which step on the heads matter."""
    intact = results[0]["exact_match"].sel(condition="intact").isel(draw=0)
    copied = intact["checkpoint"].to_numpy()[intact.to_numpy() > MATTERS]
    onsets = {result.dataset.attrs["how"]: _onset(result) for result in results}
    return (
        f"First evaluated step with an exact match above {MATTERS:.0%}: "
        f"{f'{copied[0]:,}' if len(copied) else 'none'}. First step at which ablation removes {MATTERS:.0%} more than "
        f"every control: {_each_way(onsets)}."
    )


def _onset(result: HeadAblation) -> str:
    onset = result.onset(threshold=MATTERS)
    if not np.isfinite(onset):
        return "none"
    left = result["exact_match"].sel(checkpoint=slice(onset, None))
    margin = left.sel(condition=CONTROLS).min(("condition", "draw")) - left.sel(condition="ablated").max("draw")
    return f"{onset:,.0f} {'and all later ones' if bool((margin > MATTERS).all()) else 'but not at all later ones'}"


def _controls(results: Sequence[HeadAblation], inputs: AblationInputs) -> str:
    if not results[0].has_controls:
        return (
            f"There are no controls: fewer than {counted(len(inputs.heads), 'head')} are neither ablated nor induction "
            "heads nor of the same circuit."
        )
    text = f"{inputs.n_draws} sets of random heads were drawn."
    if inputs.n_draws == 1:
        text = f"The layers have one possible set of random heads, {_control(results[0], 'random')}."
    if results[0].controls_are_elsewhere:
        text += (
            " The layers of the ablated heads have too few other heads that are not induction heads: random heads of "
            "other layers are used."
        )
    if _is_one_control(results):
        text += " At the last step it is also the closest in entropy, so the two controls are the same."
    return text


def _is_one_control(results: Sequence[HeadAblation]) -> bool:
    return _control(results[0], "random") == _control(results[0], "entropy")


def _control(result: HeadAblation, name: str) -> str:
    """The heads of a control at the last checkpoint, in all draws."""
    draws = result.dataset["heads"].isel(checkpoint=-1).sel(condition=name).to_numpy().tolist()
    return " or ".join(dict.fromkeys(draws))


def _each_way(values: dict[str, str]) -> str:
    ways: dict[str, list[str]] = {}
    for how, value in values.items():
        ways.setdefault(value, []).append(how)
    return "; ".join(f"{value} ({', '.join(each)})" for value, each in ways.items())
