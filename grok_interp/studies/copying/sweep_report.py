"""The report of a folder of experiments: every claim of the paper with a verdict, every figure, and tidy tables.

FOLDER/report.html
FOLDER/figures/*            each as SVG and PDF
FOLDER/tables/claims.csv    one row per claim and measure
FOLDER/tables/onsets.csv    one row per run and measure: change point, final value
FOLDER/tables/curves.csv    one row per run and checkpoint
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from grok_interp.analysis.comparison import TrainingCurves
from grok_interp.analysis.emergence import MIN_CHECKPOINTS
from grok_interp.analysis.formation import formation_order
from grok_interp.counted import counted
from grok_interp.files import write_text
from grok_interp.plots.page import Page, Section, table_html
from grok_interp.progress import silent
from grok_interp.runs.run import Run
from grok_interp.studies.claim import NOT_SUPPORTED, SUPPORTED, UNDECIDED, JudgedClaim
from grok_interp.studies.copying.ablation_report import ablation_section
from grok_interp.studies.copying.ablation_results import CLAIMED_WAYS, ablations
from grok_interp.studies.copying.accuracy_sections import alphabets_section
from grok_interp.studies.copying.comparisons import curves_of, formations
from grok_interp.studies.copying.copying_results import FORMED, analyze
from grok_interp.studies.copying.experiments import BASELINE
from grok_interp.studies.copying.figures import FIGURES, figure_6
from grok_interp.studies.copying.finished_experiments import (
    COMPARED,
    OF_THE_PAPER,
    Experiments,
    finished_experiments,
)
from grok_interp.studies.copying.leading_scores import leads_section
from grok_interp.studies.copying.onsets import ByMeasure, onsets_of
from grok_interp.studies.copying.seeds import Seeds
from grok_interp.studies.copying.seeds_heads import heads_of_seeds_section
from grok_interp.studies.copying.verdicts import curve_claims, heads_that_copy, shallow_to_deep
from grok_interp.studies.experiment import Experiment
from grok_interp.studies.picture import ShowProgress
from grok_interp.studies.study import FolderReport, analyze_shown


def write_sweep_report(
    folder: Path,
    runs: Sequence[Run],
    *,
    threshold: float | None = None,
    device: str = "cpu",
    show: ShowProgress = silent,
) -> tuple[Path, list[JudgedClaim]]:
    """The page's path, and the claims that it tests.

    Args:
        folder: of the experiments.
        runs: all that are in it.
        threshold: I(L, H) above which a head counts as formed, in the figure and the claim on formation order; 0.1 if
            None. The heads that are ablated do not depend on it.
        device: where models run that were not evaluated yet, a torch device.
        show: shows the progress of evaluating them.

    Raises:
        ValueError: when no experiment has a finished seed, naming the command that makes one.
    """
    experiments, threshold = finished_experiments(folder, runs), FORMED if threshold is None else threshold
    _evaluate(experiments, device, show)
    onsets = {each: onsets_of(experiments.curves(each)) for each in COMPARED if experiments.runs(each)}
    claims = claims_of(experiments, onsets, threshold=threshold)
    tables = _tables(onsets, claims)
    for name, table in tables.items():
        write_text(experiments.folder / "tables" / f"{name}.csv", table.to_csv(index=False, float_format="%.5g"))
    baseline = experiments.runs(BASELINE)
    seeds = Seeds.of_runs(baseline, device=device)
    page = Page(
        title="When and how does copying emerge? Claims of the paper, tested",
        summary=_summary(experiments),
        answer=seeds.answer(),
        overview=seeds.overview(),
        headlines=seeds.cards(),
        sections=[
            _claims_section(tables["claims"]),
            heads_of_seeds_section(baseline, seeds.screens, device=device),
            *(_figure_section(experiments, name, threshold) for name in OF_THE_PAPER if experiments.has(name)),
        ]
        + [_alphabets(experiments), *_leads(experiments), ablation_section(experiments.runs(BASELINE)[0])],
        settings=experiments.baseline.flattened(),
        warnings=[
            *(f"Not trained, so its claims are not tested: {name}." for name in experiments.missing),
            *(f"{run}: {text}" for run in experiments.all_runs for text in analyze(run).not_finite_warnings()),
        ],
    )
    page.save_figures(experiments.folder / "figures")
    return page.write(experiments.folder / "report.html"), claims


def report_on_experiments(
    folder: Path, runs: Sequence[Run], *, threshold: float | None, device: str, show: ShowProgress
) -> FolderReport:
    """The same, with what the command line says of the claims."""
    page, claims = write_sweep_report(folder, runs, threshold=threshold, device=device, show=show)
    rows = [
        {
            "verdict": claim.verdict,
            "claim": claim.text,
            "by": claim.measure,
            "seeds": claim.seeds,
            "needed": claim.seeds_needed,
            "needed if half": claim.seeds_needed_half,
            "runs trained": claim.runs_trained,
            "runs used": claim.runs_used,
        }
        for claim in claims
    ]
    return FolderReport(page, rows, {"claims": [asdict(claim) for claim in claims]})


def _evaluate(experiments: Experiments, device: str, show: ShowProgress) -> None:
    """What is cached already is not evaluated again."""
    for run in experiments.all_runs:
        analyze_shown(analyze, run, device=device, show=show)
    for run, ways in experiments.ablated_runs:
        with show("ablating induction heads") as advance:
            ablations(run, ways=ways, device=device, on_checkpoint=advance)


def claims_of(
    experiments: Experiments, onsets: Mapping[Experiment, ByMeasure], *, threshold: float = FORMED
) -> list[JudgedClaim]:
    """Every claim, in the paper's order, then those beyond it."""
    baseline = experiments.runs(BASELINE)
    order = [formation_order(analyze(run).induction, threshold=threshold) for run in baseline]
    curves = curve_claims(onsets[BASELINE], *(onsets.get(each) for each in COMPARED[1:]))
    decided = [*curves, shallow_to_deep(order)]
    causal = heads_that_copy([ablations(run, ways=CLAIMED_WAYS)[0] for run in baseline])
    return sorted(decided, key=lambda claim: claim.source) + causal


def _tables(onsets: Mapping[Experiment, ByMeasure], claims: Sequence[JudgedClaim]) -> dict[str, pd.DataFrame]:
    compared = [of for each, of in onsets.items() if each is not BASELINE]  # which each of them holds
    whole = dict.fromkeys(("seeds", "seeds_needed", "seeds_needed_half", "runs_trained", "runs_used"), "Int64")
    return {
        "claims": pd.DataFrame([asdict(claim) for claim in claims]).astype(whole),
        "onsets": pd.concat([each.to_frame() for of in compared for each in of.values()], ignore_index=True),
        "curves": pd.concat([_wide(of["loss"].curves) for of in compared], ignore_index=True),
    }


def _wide(curves: TrainingCurves) -> pd.DataFrame:
    """condition, seed, checkpoint, tokens and a column for each measure."""
    table = curves.to_frame().dropna(how="all", subset=list(curves.measures))
    tokens = curves.dataset["tokens_per_step"].to_series()
    table.insert(3, "tokens", table["checkpoint"] * table["condition"].map(tokens))
    return table


def _summary(experiments: Experiments) -> str:
    config, seeds = experiments.baseline, len(experiments.runs(BASELINE))
    return (
        f"Runs of a {config.model.n_layers}-layer copier of {config.model.n_params:,} parameters, each with one change "
        f"to the training of the baseline: {config.n_steps:,} updates each, {counted(seeds, 'seed')} of the baseline. "
        "The 95% CI over seeds decides a claim; it is undecided if the interval contains both answers. Every number "
        "is in tables/."
    )


def _claims_section(claims: pd.DataFrame) -> Section:
    counts = claims["verdict"].value_counts()
    verdicts = ", ".join(f"{counts.get(name, 0)} {name}" for name in (SUPPORTED, NOT_SUPPORTED, UNDECIDED))
    text = (
        f"Of {len(claims)} tests of the paper's claims: {verdicts}. Each claim is shown with its test. Claims about "
        "copying are tested by two measures. seeds_needed: the number of seeds that decides the claim with a power of "
        "80%, estimated from the spread over these seeds, if the effect is as observed; seeds_needed_half: if it is "
        "half as far from the boundary. runs_used: those of runs_trained that the number comes from; the others have "
        "no value, such as an onset, or no other run of their seed has one to compare with."
    )
    named = claims.rename(columns={"text": "claim"})
    return Section("Claim by claim", text, html=f'<div class="wide">{table_html(named)}</div>', table=named)


def _figure_section(experiments: Experiments, name: str, threshold: float) -> Section:
    runs, picture, of_heads = experiments.runs_of(name), FIGURES[name], name == "copying/fig6"
    drawing = figure_6(*runs, threshold=threshold) if of_heads else picture.draw(runs)
    text = (
        f"{counted(len(runs), 'run')}. A head has formed when I(L, H) is above {threshold:g}."
        if of_heads
        else f"{counted(len(runs), 'run')}. Thick: mean over {_seeds_of_conditions(runs)}; thin: each seed."
    )
    caption = f"Compare Figure {name[-1]} of “Language Models ‘Grok’ to Copy”."
    varied = picture.experiment.varied if picture.experiment else ()
    table = _head_table(runs) if of_heads else _wide(curves_of(runs, varied=varied))
    title = picture.description[:1].upper() + picture.description[1:]
    return Section(title, text, drawing, caption, table=table, file=name.replace("/", "_"))


def _seeds_of_conditions(runs: Sequence[Run]) -> str:
    """Runs of one folder are the seeds of a condition: "8 seeds", or "7-8 seeds" where one is missing."""
    numbers = Counter(run.directory.parent for run in runs).values()
    low, high = min(numbers), max(numbers)
    return counted(high, "seed") if low == high else f"{low}-{counted(high, 'seed')}"


def _alphabets(experiments: Experiments) -> Section:
    conditions: dict[str, list[Run]] = {}
    for run in experiments.all_runs:
        conditions.setdefault(run.directory.parent.name, []).append(run)
    return alphabets_section(conditions, "baseline")


def _leads(experiments: Experiments) -> list[Section]:
    """None for runs with too few checkpoints."""
    runs = experiments.runs(BASELINE)
    if min(len(run) for run in runs) < MIN_CHECKPOINTS:
        return []
    return [leads_section(runs)]


def _head_table(runs: Sequence[Run]) -> pd.DataFrame:
    """I(L, H) of every head of each run."""
    scores = [each.to_frame() for each, _ in formations(runs)]
    names = [str(run.directory.relative_to(run.directory.parents[1])) for run in runs]
    return pd.concat(scores, keys=names, names=["run"]).reset_index("run")
