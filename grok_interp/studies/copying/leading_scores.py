"""Which scores of the heads move before the onset of copying, over the seeds of a copier.

The scores of the heads at all checkpoints of a run are stored with it. The onset of copying is that of the per-token
accuracy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from grok_interp import plots
from grok_interp.analysis.head_scores import HeadScores
from grok_interp.analysis.leading_indicators import LeadingIndicators, indicator_scores, leading_indicators
from grok_interp.plots.page import Section
from grok_interp.results.analyzer import Analyzer, tokens_hash
from grok_interp.runs.run import Run
from grok_interp.studies.change_points import MARGIN
from grok_interp.studies.copying.copying_results import analyze, evaluation_inputs


def leads_of_runs(runs: Sequence[Run], *, device: str = "cpu") -> LeadingIndicators:
    """Of runs that differ in their seeds; a run is named by the seed of its weights.

    Raises ValueError for two runs of one seed, and for runs with fewer than 8 checkpoints.
    """
    seeds = [run.config.init_seed for run in runs]
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"leads are compared over seeds, got two runs of one init_seed: {seeds}")
    accuracies = [analyze(run, device=device).accuracy for run in runs]
    return leading_indicators(
        [indicators_of_run(run, device=device) for run in runs],
        [accuracy.per_token().dropna("checkpoint") for accuracy in accuracies],
        seeds=seeds,
        chance=accuracies[0].chance["per_token"],
        margin=MARGIN,
        trials=min(accuracy.trials["per_token"] for accuracy in accuracies),
    )


def leads_section(runs: Sequence[Run], *, device: str = "cpu") -> Section:
    """The picture with its numbers in words and, in a table, by seed with the head that is followed."""
    result = leads_of_runs(runs, device=device)
    text = (
        f"Onset of the per-token copying accuracy minus the onset of a score, in updates, seed by seed; {result}. The "
        "strongest head of a score is the one with the largest value at the last checkpoint, chosen in each seed; the "
        "table names it. A score without a rise has no onset and is counted as such (no rise: "
        f"{_without_rise(result)})."
    )
    caption = (
        "Dots: seeds. Bars: mean and 95% interval over the n seeds that have a lead. Above 0 the score moves before "
        "copying."
    )
    drawing, table = plots.leads(result), result.to_frame()
    return Section("Leading indicators", text, drawing, caption, table=table, file="copying_leads")


def _without_rise(result: LeadingIndicators) -> str:
    counts = result.summary()
    rows = counts[counts["no_rise"] > 0].to_dict("records")
    listed = (f"{row['score']} of the {row['followed']} {row['no_rise']}" for row in rows)
    return ", ".join(listed) or "none"


def indicators_of_run(
    run: Run, *, device: str = "cpu", on_checkpoint: Callable[[int, int], None] | None = None
) -> HeadScores:
    """`indicator_scores` of every checkpoint of a run; stored with the run.

    Args:
        run: a run on text.
        device: where the models run, a torch device.
        on_checkpoint: told (checkpoints done, checkpoints to do); not called for stored results.
    """
    tokens = evaluation_inputs(run).tokens
    analyzer = Analyzer(
        "indicator_scores",
        HeadScores,
        {"tokens": tokens_hash(tokens)},
        lambda step, model: indicator_scores([(step, model)], tokens),
    )
    (result,) = run.evaluate([analyzer], device=device, on_checkpoint=on_checkpoint)
    return result
