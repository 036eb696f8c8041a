"""The report of a copying run: what emerged, when, and which heads carry it, on one page that opens offline."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from grok_interp.analysis.comparison import training_curves
from grok_interp.analysis.copying import CopyingAccuracy
from grok_interp.analysis.emergence import Emergence
from grok_interp.analysis.formation import FormationOrder, formation_order
from grok_interp.analysis.fraction_of_change import fraction_of_change, half_change
from grok_interp.analysis.loss import PositionLoss
from grok_interp.configs import TextConfig, TrainConfig
from grok_interp.counted import counted, over
from grok_interp.plots.page import Page
from grok_interp.runs.run import Run
from grok_interp.studies.change_points import MARGIN, rise, rise_in_words
from grok_interp.studies.copying.ablation_report import stored_sections
from grok_interp.studies.copying.accuracy_sections import copying_section, strings_section
from grok_interp.studies.copying.circuit_sections import circuit_sections
from grok_interp.studies.copying.copying_results import FORMED, CopyingInputs, CopyingResults
from grok_interp.studies.copying.evaluation_text import evaluation_text
from grok_interp.studies.copying.example_section import example_section
from grok_interp.studies.copying.first_screen import FirstScreen
from grok_interp.studies.copying.head_sections import attention_section, formation_section, head_map_section
from grok_interp.studies.copying.stored_attribution import attribution_sections
from grok_interp.studies.copying.stored_examples import stored_examples, stored_prompt


def report_page(
    run: Run, results: CopyingResults, inputs: CopyingInputs, *, threshold: float | None = None, device: str = "cpu"
) -> Page:
    """The page; a head counts as formed when I(L, H) is above `threshold`, 0.1 if None. Models run on `device`."""
    threshold = FORMED if threshold is None else threshold
    config, order = run.config, formation_order(results.induction, threshold=threshold)
    curves = training_curves([results.with_config(config)])
    show, options = evaluation_text(run).vocabulary.show, {"device": device}
    first = FirstScreen.of_run(run, results)
    return Page(
        title="When does copying emerge?",
        answer=first.answer(),
        overview=first.overview(),
        summary=_summary(config, results, inputs),
        headlines=first.cards(),
        sections=[
            copying_section(curves, results, inputs),
            strings_section(results),
            *circuit_sections(run),
            example_section(stored_examples(run, results, inputs, **options), results.accuracy, show),
            head_map_section(results),
            formation_section(results, order),
            *stored_sections(run),
            *attribution_sections(run),
            attention_section(run, results, stored_prompt(run, results, inputs, **options), show, device),
        ],
        numbers=numbers(results, threshold=threshold),
        settings=_settings(run, inputs),
        warnings=list(_warnings(config, results, order)),
    )


def numbers(results: CopyingResults, *, threshold: float) -> dict[str, str]:
    """Every number of the report: label -> value."""
    order = formation_order(results.induction, threshold=threshold)
    accuracy = results.accuracy
    token = accuracy.per_token().dropna("checkpoint")
    layer, head = results.induction.strongest()[0]
    score = float(results.induction["I"].isel(checkpoint=-1).sel(layer=layer, head=head))
    found = rise(token, chance=accuracy.chance["per_token"], trials=accuracy.trials["per_token"])
    cis = f"95% CI{over(token.size, 'checkpoint')}"
    sequences = over(results.induction.dataset.attrs.get("n_sequences"), "sequence")
    return {
        f"exact-match accuracy at the last checkpoint, 95% CI ({accuracy.sizes_in_words})": (
            accuracy.exact_match_in_words()
        ),
        f"exact-match accuracy by string {accuracy.strings_in_words}": accuracy.per_sequence_in_words(),
        f"per-token accuracy at the last checkpoint (95% CI over {accuracy.n_samples:,} samples)": (
            accuracy.per_token_in_words()
        ),
        **(_hexadecimal(results.hexadecimal) if results.hexadecimal else {}),
        f"onset of per-token accuracy, {MARGIN:.0%} above chance or more (step, {cis})": rise_in_words(found, "onset"),
        f"midpoint of the rise of per-token accuracy (step, {cis})": rise_in_words(found, "midpoint"),
        **_fall_of_loss(results.loss, found),
        f"I(L, H) of the strongest head, L{layer}H{head}{sequences}": f"{score:.2f}",
        f"step at which L{layer}H{head} passed I(L, H) = {threshold:g}": _step(
            float(order["onset"].sel(layer=layer, head=head))
        ),
        f"number of heads with I(L, H) above {threshold:g} at some checkpoint": f"{int(order['onset'].count())}",
        "Kendall's tau of depth and onset of the heads that formed": _tau(order),
    }


def _fall_of_loss(loss: PositionLoss | None, found: Emergence | None) -> dict[str, str]:
    if loss is None:
        return {}
    curve = loss.mean().dropna("checkpoint")
    half = found.midpoint.value if found and found.rises else np.nan
    made = fraction_of_change(curve).interp(checkpoint=half).item() if np.isfinite(half) and curve.size else np.nan
    return {
        "fraction of the total drop in validation loss by that step": _percent(made),
        "step at half of the total drop in validation loss": _step(half_change(curve) if curve.size else np.nan),
    }


def _hexadecimal(accuracy: CopyingAccuracy) -> dict[str, str]:
    return {
        f"exact-match accuracy on hexadecimal strings, 95% CI ({accuracy.sizes_in_words})": (
            accuracy.exact_match_in_words()
        ),
        f"exact-match accuracy on hexadecimal strings by string {accuracy.strings_in_words}": (
            accuracy.per_sequence_in_words()
        ),
    }


def _tau(order: FormationOrder) -> str:
    found = order.depth_order()
    return f"{found.tau:+.2f}" if np.isfinite(found.tau) else "not defined"


def _step(step: float) -> str:
    return f"{step:,.0f}" if np.isfinite(step) else "never"


def _percent(fraction: float) -> str:
    return f"{fraction:.0%}" if np.isfinite(fraction) else "not defined"


def _summary(config: TrainConfig, results: CopyingResults, inputs: CopyingInputs) -> str:
    last = results.steps[-1]
    assert isinstance(config.data, TextConfig)
    return (
        f"A {config.model.n_layers}-layer transformer of {config.model.n_params:,} parameters, trained on "
        f"{config.data.source} for {last:,} updates ({last * config.tokens_per_step:,} tokens), evaluated at "
        f"{counted(len(results.steps), 'checkpoint')}. {_synthetic_copies(config)} "
        f"{inputs.held_out_sentence}"
    )


def _synthetic_copies(config: TrainConfig) -> str:
    data = config.data
    assert isinstance(data, TextConfig)
    validation = "Validation text is unmodified."
    if data.copy_fraction == 0 and data.random_fraction == 0:
        return f"The training windows are plain text. {validation}"
    shortest, longest = data.segment_lengths
    return (
        f"{data.copy_fraction:.0%} of the training windows contain synthetic copies: they consist of segments of "
        f"{shortest} to {longest} tokens, and with probability {data.segment_copy_probability:g} a segment is a copy "
        f"of an earlier span of its window. {data.random_fraction:.0%} of the windows are random characters. No "
        f"window has the format of the copying test. {validation}"
    )


def _warnings(config: TrainConfig, results: CopyingResults, order: FormationOrder) -> Iterator[str]:
    if (last := results.steps[-1]) < config.n_steps:
        yield f"Partial run: analyzed up to step {last:,} of {config.n_steps:,}."
    yield from warnings_on(results, order)


def warnings_on(results: CopyingResults, order: FormationOrder) -> Iterator[str]:
    """What a reader must know before the numbers."""
    yield from results.not_finite_warnings()
    for accuracy in results.accuracies:
        if undefined := accuracy.undefined_steps:
            steps, alphabet = ", ".join(f"{step:,}" for step in undefined), accuracy.dataset.attrs["alphabet"]
            yield f"Logits are not finite at step {steps}: accuracy on {alphabet} strings is undefined there."
    if float(results.accuracy.exact_match().max()) == 0:
        every = "every finite checkpoint" if results.accuracy.undefined_steps else "every checkpoint"
        yield f"Exact-match accuracy is 0% at {every}: no string is copied."
    if not int(order["onset"].count()):
        yield "No head passed the threshold: no induction head has formed in this run."


def _settings(run: Run, inputs: CopyingInputs) -> dict[str, object]:
    copies, settings = _synthetic_copies(run.config), run.config.flattened()
    return {
        "text": run.data_description,
        "synthetic copies": copies,
        **settings,
        "evaluation": inputs.description(),
    }
