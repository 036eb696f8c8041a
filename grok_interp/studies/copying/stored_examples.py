"""Examples of the copying test and the prompt of the attention view, at the last checkpoint; stored with the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
import xarray as xr

from grok_interp.data.copying import CopySamples
from grok_interp.models.activations import HookedModel
from grok_interp.results.analyzer import Analyzer
from grok_interp.results.result import Measure, Result
from grok_interp.runs.run import Run
from grok_interp.studies.copying.copying_results import (
    CopyingInputs,
    CopyingResults,
    accuracy_analyzer,
    samples_description,
)
from grok_interp.studies.copying.example_section import prompt_of, short_test
from grok_interp.studies.copying.examples import CopyExample, copy_examples

MOST_EXAMPLES = 2


class CopyExamples(Result):
    """Answers to up to two queries: token ids and probabilities (0 to 1); NaN where there is no second example.

    The coordinates `sample` and `sequence` say which query it is.
    """

    name = "copy_examples"
    dims = ("checkpoint", "example", "char")
    measures: ClassVar = {
        "predicted": Measure("predicted token", "1", may_be_undefined=True),
        "written": Measure("written token", "1", may_be_undefined=True),
        "probability": Measure("probability of the expected token", "fraction", may_be_undefined=True),
    }

    @classmethod
    def of(cls, examples: Sequence[CopyExample], n_suffix: int, step: int) -> CopyExamples:
        """The examples of one checkpoint."""
        values = np.full((3, 1, MOST_EXAMPLES, n_suffix), np.nan)
        places = np.full((2, 1, MOST_EXAMPLES), np.nan)
        for number, each in enumerate(examples):
            values[:, 0, number] = each.predicted, each.written, each.probabilities
            places[:, 0, number] = each.sample, each.sequence
        along = ("checkpoint", "example")
        coords = {"checkpoint": [step], "sample": (along, places[0]), "sequence": (along, places[1])}
        return cls.of_arrays(dict(zip(cls.measures, values, strict=True)), coords)

    def examples(self, samples: CopySamples) -> list[CopyExample]:
        """Of the last checkpoint, on the samples that they were evaluated on."""
        last = self.at()
        return [_example(last.isel(example=number), samples) for number in np.flatnonzero(last["sample"].notnull())]


def _example(answer: xr.Dataset, samples: CopySamples) -> CopyExample:
    sample, sequence = int(answer["sample"]), int(answer["sequence"])
    prefix, expected = samples.query(sequence)[sample].split([samples.task.n_prefix, samples.task.n_suffix])
    predicted, written, probabilities = (answer[name].to_numpy().tolist() for name in CopyExamples.measures)
    return CopyExample(
        sample,
        sequence,
        prefix=tuple(prefix.tolist()),
        expected=tuple(expected.tolist()),
        predicted=tuple(map(int, predicted)),
        written=tuple(map(int, written)),
        probabilities=tuple(probabilities),
    )


def stored_examples(
    run: Run, results: CopyingResults, inputs: CopyingInputs, *, device: str = "cpu"
) -> list[CopyExample]:
    """`copy_examples` of the last checkpoint."""
    samples = inputs.samples

    def evaluate(step: int, model: HookedModel) -> CopyExamples:
        accuracy = type(results.accuracy)(results.accuracy.dataset.sel(checkpoint=[step]))
        return CopyExamples.of(copy_examples(model, samples, accuracy), samples.task.n_suffix, step)

    analyzer = Analyzer(CopyExamples.name, CopyExamples, samples_description(samples), evaluate)
    (found,) = run.evaluate([analyzer], steps=results.steps[-1:], device=device)
    return found.examples(samples)


def stored_prompt(
    run: Run, results: CopyingResults, inputs: CopyingInputs, *, device: str = "cpu"
) -> tuple[torch.Tensor, str]:
    """`prompt` of the last checkpoint."""
    shown, accuracy = short_test(inputs.samples), results.accuracy
    if shown is not inputs.samples:
        analyzer = accuracy_analyzer("prompt_accuracy", shown)
        (accuracy,) = run.evaluate([analyzer], steps=results.steps[-1:], device=device)
    return prompt_of(shown, accuracy)
