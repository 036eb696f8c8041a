"""The report of a run."""

from __future__ import annotations

from grok_interp.plots.page import Headline, Page, Section
from grok_interp.runs.run import Run
from reversal_study.accuracy import ReversalResults, accuracy_over_training


def report_page(run: Run, results: ReversalResults, *, threshold: float) -> Page:
    accuracy = results.accuracy["accuracy"].mean("place")
    learned = accuracy["checkpoint"].to_numpy()[accuracy.to_numpy() > threshold]
    return Page(
        title="When is a string reversed?",
        summary=f"{run.data_description}, evaluated at {len(results.steps)} checkpoints.",
        headlines=[
            Headline(f"{float(accuracy[-1]):.0%}", "accuracy at the last checkpoint"),
            Headline(f"{learned[0]:,}" if len(learned) else "never", f"first step with accuracy above {threshold:g}"),
        ],
        sections=[
            Section("Accuracy", "By place.", accuracy_over_training(results.accuracy), file="reversal"),
        ],
        settings=run.config.flattened(),
    )
