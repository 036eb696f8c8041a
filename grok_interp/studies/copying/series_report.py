"""The report of a series of checkpoints from elsewhere: as that of a run, without what is not known of its training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from grok_interp.analysis.formation import FormationOrder, formation_order
from grok_interp.counted import counted
from grok_interp.plots.page import Page, Section
from grok_interp.runs.series_run import NotEvaluatedError, SeriesRun
from grok_interp.studies.copying.ablation_report import stored_sections
from grok_interp.studies.copying.accuracy_sections import copying_section, strings_section
from grok_interp.studies.copying.comparisons import curves_of_series_run
from grok_interp.studies.copying.copying_inputs import CopyingInputs
from grok_interp.studies.copying.copying_report import numbers, warnings_on
from grok_interp.studies.copying.copying_results import FORMED, CopyingResults
from grok_interp.studies.copying.example_section import TITLE, example_section
from grok_interp.studies.copying.first_screen import FirstScreen
from grok_interp.studies.copying.head_sections import (
    attention_of,
    attention_section,
    formation_section,
    head_map_section,
)
from grok_interp.studies.copying.series_inputs import noted_inputs
from grok_interp.studies.copying.stored_attribution import attribution_sections
from grok_interp.studies.copying.stored_examples import stored_examples, stored_prompt
from grok_interp.studies.flagged import flagged


def store_for_report(run: SeriesRun, results: CopyingResults, inputs: CopyingInputs, *, device: str) -> None:
    """Evaluate and store what the page shows beside the results: examples, and attention patterns."""
    stored_examples(run, results, inputs, device=device)
    tokens, _ = stored_prompt(run, results, inputs, device=device)
    attention_of(run, results, tokens, device=device)


def series_page(
    run: SeriesRun, results: CopyingResults, inputs: CopyingInputs, *, threshold: float | None, device: str
) -> Page:
    """The page; a head counts as formed when I(L, H) is above `threshold`, 0.1 if None. Models run on `device`.

    Where the series was not named, what is not stored is left out, and the page says which command evaluates it.
    """
    threshold = FORMED if threshold is None else threshold
    order, show = formation_order(results.induction, threshold=threshold), noted_inputs(run).vocabulary.show

    def examples() -> Section:
        return example_section(stored_examples(run, results, inputs, device=device), results.accuracy, show)

    def attention() -> Section:
        return attention_section(run, results, stored_prompt(run, results, inputs, device=device), show, device)

    sections = [
        copying_section(curves_of_series_run(run, results), results, inputs),
        strings_section(results),
        _or_why(TITLE, examples),
        head_map_section(results),
        formation_section(results, order),
        *stored_sections(run),
        *attribution_sections(run),
        _or_why("Attention of the strongest heads", attention),
    ]
    first = FirstScreen.of_run(run, results)
    return Page(
        title="When does copying emerge?",
        summary=_summary(run, results, inputs),
        answer=first.answer("One series of checkpoints."),
        overview=_flagged(first.overview(), run),
        headlines=first.cards(),
        sections=[_flagged(section, run) for section in sections],
        numbers=numbers(results, threshold=threshold),
        settings=_settings(run, inputs),
        warnings=list(_warnings(run, results, order)),
    )


def _or_why(title: str, make: Callable[[], Section]) -> Section:
    """The section, or what evaluates it."""
    try:
        return make()
    except NotEvaluatedError as error:
        return Section(title, f"This section is {error}.")


def _flagged(section: Section, run: SeriesRun) -> Section:
    return replace(section, drawing=flagged(section.drawing, run.findings)) if section.drawing else section


def _summary(run: SeriesRun, results: CopyingResults, inputs: CopyingInputs) -> str:
    model, steps, per_step = run.model, results.steps, run.source.tokens_per_step
    tokens = "" if per_step is None else f" ({steps[-1] * per_step:,} tokens)"
    return (
        f"{run.source.source}: a {model.n_layers}-layer model ({model.architecture}) of {model.n_params:,} parameters "
        f"that was trained elsewhere, evaluated at {counted(len(steps), 'checkpoint')} up to step "
        f"{steps[-1]:,}{tokens}. "
        f"{noted_inputs(run).described} {inputs.held_out_sentence}"
    )


def _warnings(run: SeriesRun, results: CopyingResults, order: FormationOrder) -> Iterator[str]:
    if (n_done := len(results.steps)) < len(run.steps):
        yield f"Partial: evaluated at {n_done} of {counted(len(run.steps), 'checkpoint')}. `{run.command()}` resumes."
    for finding in run.findings:
        yield f"Audit of the checkpoints: {finding}"
    yield from warnings_on(results, order)


def _settings(run: SeriesRun, inputs: CopyingInputs) -> dict[str, object]:
    noted = noted_inputs(run)
    return {
        "checkpoints": run.source.source,
        "options": " ".join(run.source.options) or "none",
        **{f"model.{name}": value for name, value in vars(run.model).items()},
        "BOS token": "none" if noted.bos is None else noted.bos,
        "audit": str(run.audit).replace("\n", "; "),
        "evaluation": inputs.description(),
    }
