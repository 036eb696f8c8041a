"""The report's sections on the copying test: accuracy over training, and exact match string by string."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from grok_interp.analysis.comparison import TrainingCurves
from grok_interp.analysis.copying import CopyingAccuracy
from grok_interp.analysis.effects_over_seeds import mean_effect
from grok_interp.analysis.intervals import in_percent
from grok_interp.analysis.string_accuracy import final_exact_matches
from grok_interp.counted import counted, over
from grok_interp.data.copying import CopyTask
from grok_interp.plots.page import Section
from grok_interp.plots.pictures.copying_and_loss import copying_and_loss
from grok_interp.plots.pictures.strings import strings
from grok_interp.runs.run import Run
from grok_interp.studies.copying.comparisons import accuracies_of
from grok_interp.studies.copying.copying_results import CopyingInputs, CopyingResults


def copying_section(curves: TrainingCurves, results: CopyingResults, inputs: CopyingInputs) -> Section:
    task = inputs.samples.task
    queried = "each string" if task.query_every == 1 else f"the strings i = 0 (mod {task.query_every})"
    text = (
        f"Each evaluation input is {task.n_sequences} random strings of {task.n_prefix} + {task.n_suffix} symbols, one "
        f"per line, followed by the first {task.n_prefix} symbols of one of them. There are {task.n_samples} samples, "
        f"and {queried} is queried. Exact match: all {task.n_suffix} symbols that follow have the largest logit; ties "
        f"count as wrong. The curves are on strings of {_alphabet(task)}; {_of_the_paper(inputs)} "
        + " ".join(map(_guessing, inputs.tasks))
    )
    caption = (
        "Compare Figure 2 of “Language Models ‘Grok’ to Copy”. Bands: 95% Wilson intervals over "
        f"{results.accuracy.sizes_in_words}; tokens count as clustered by sample.{_windows(results)}"
    )
    drawing, table = copying_and_loss(curves, results.accuracy), curves.to_frame()
    return Section("Copying and loss", text, drawing, caption, table=table, file="copying_and_loss")


def _windows(results: CopyingResults) -> str:
    """What the loss is a mean of."""
    return f" Loss: mean{over(results.loss.dataset.attrs.get('n_windows'), 'window')}." if results.loss else ""


def _of_the_paper(inputs: CopyingInputs) -> str:
    if inputs.samples.task.alphabet_name == "hexadecimal":
        return "so does the paper."
    if inputs.hexadecimal is None:
        return "the paper's hexadecimal strings are left out, because it is not known that each digit is one token."
    return f"the paper uses {_alphabet(inputs.hexadecimal.task)}."


def _alphabet(task: CopyTask) -> str:
    return f"{len(task.alphabet):,} {task.alphabet_name} symbols"


def _guessing(task: CopyTask) -> str:
    return f"Chance per token on {_alphabet(task)}: {1 / len(task.alphabet):.1%}."


def strings_section(results: CopyingResults) -> Section:
    accuracies = results.accuracies
    text = " ".join(
        f"{each.dataset.attrs['alphabet'].capitalize()} strings, last checkpoint: {each.exact_match_in_words()} exact "
        f"match (95% CI over {each.sizes_in_words}), {each.per_sequence_in_words()} by string {each.strings_in_words}."
        for each in accuracies
    )
    caption = (
        "String 0 comes first in the prompt, farthest from the query. Bands: 95% Wilson intervals"
        f"{over(results.accuracy.n_samples, 'sample')}."
    )
    table = strings_table(accuracies)
    return Section("Exact match by string", text, strings(accuracies), caption, table=table, file="strings")


def alphabets_section(conditions: Mapping[str, Sequence[Run]], baseline: str) -> Section:
    """Both copying tests of the runs of each condition: string by string of the baseline, and a table of all.

    Args:
        conditions: name -> its runs, which differ in their seeds.
        baseline: the condition that is drawn.
    """
    accuracies = {name: accuracies_of(runs) for name, runs in conditions.items()}
    table = pd.DataFrame([row for name, each in accuracies.items() for row in _final_rows(name, each)])
    last = [f"{row['alphabet']} {_in_percent(row)}" for _, row in table[table["condition"] == baseline].iterrows()]
    names = [each.dataset.attrs["alphabet"] for each in accuracies[baseline][0]]
    text = (
        f"Exact match at the last checkpoint of the baseline, mean over {counted(len(accuracies[baseline]), 'seed')} "
        f"with its 95% interval (over samples x strings where all seeds agree): {', '.join(last)}. Curves and claims "
        f"above are measured on {names[0]} strings; the paper's test is on hexadecimal ones. The table has all "
        "conditions."
    )
    n_seeds, n_samples = len(accuracies[baseline]), accuracies[baseline][0][0].n_samples
    caption = (
        f"Baseline. Bands: 95% CI{over(n_seeds, 'seed')}; for a single seed, and where all agree,"
        f"{over(n_samples, 'sample')} (Wilson)."
    )
    drawing, title = strings(*accuracies[baseline]), f"{' and '.join(names)} strings".capitalize()
    return Section(title, text, drawing, caption, table=table, file="copying_strings")


def _final_rows(condition: str, runs: Sequence[Sequence[CopyingAccuracy]]) -> list[dict[str, Any]]:
    """One row per alphabet."""
    rows = []
    for accuracies in zip(*runs, strict=True):
        found = mean_effect(final_exact_matches(accuracies)).within(0.0, 1.0)
        ends = {"low": found.low, "high": found.high} if found.n_runs > 1 else {}
        if found.agreement:  # the spread over samples is left
            of_samples = accuracies[0].exact_match_interval().isel(checkpoint=-1)
            ends = dict(zip(("low", "high"), of_samples.to_numpy().tolist(), strict=True))
        rows.append(
            {
                "condition": condition,
                "alphabet": accuracies[0].dataset.attrs["alphabet"],
                "exact_match": found.value,
                "low": ends.get("low", np.nan),
                "high": ends.get("high", np.nan),
                "seeds": found.n_runs,
            }
        )
    return rows


def _in_percent(row: pd.Series) -> str:
    return in_percent(row["exact_match"], row["low"], row["high"])


def strings_table(accuracies: Sequence[CopyingAccuracy]) -> pd.DataFrame:
    """One row per alphabet, checkpoint and string: exact-match accuracy with its 95% interval."""
    tables = []
    for each in accuracies:
        low, high = each.per_sequence_interval()
        columns = {"exact_match": each.per_sequence(), "low": low, "high": high}
        table = xr.Dataset({name: array.drop_vars("bound", errors="ignore") for name, array in columns.items()})
        tables.append(table.to_dataframe().reset_index().assign(alphabet=each.dataset.attrs["alphabet"]))
    return pd.concat(tables, ignore_index=True)
