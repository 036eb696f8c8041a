"""The report's section on what the last checkpoint copies, and the prompt of its attention view."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pandas as pd
import torch

from grok_interp.analysis.copying import CopyingAccuracy, copying_accuracy
from grok_interp.analysis.predictions import NO_PREDICTION
from grok_interp.data.copying import CopySamples
from grok_interp.models.activations import HookedModel
from grok_interp.plots.page import Section, table_html
from grok_interp.studies.copying.examples import CopyExample, first_string, within

TITLE = "What it copies"
TOKENS_SHOWN, SAMPLES_TRIED = 128, 16  # of a prompt for the attention view
TIE = "(tie)"
Show = Callable[[Iterable[int]], list[str]]


def example_section(examples: Sequence[CopyExample], accuracy: CopyingAccuracy, show: Show) -> Section:
    """A string that the last checkpoint copies and one that it does not, with the model's answers.

    Args:
        examples: of the last checkpoint, as `copy_examples` returns them.
        accuracy: one checkpoint or more.
        show: each token as a string, as `Vocabulary.show`.
    """
    if not examples:
        return Section(TITLE, "The logits of the last checkpoint are not finite: there is no answer to show.")
    table = example_table(examples, show)
    caption = (
        "Most probable tokens and probabilities: with the expected tokens before each position given (teacher "
        "forcing). Greedy decoding: with the model's own tokens before each position."
    )
    html = f'<div class="wide strings">{table_html(table)}</div>'
    return Section(TITLE, example_text(examples, accuracy), caption=caption, html=html, table=table)


def example_text(examples: Sequence[CopyExample], accuracy: CopyingAccuracy) -> str:
    """By which rule the examples were chosen."""
    first = "evaluation input, in the order of samples and then of strings,"
    alphabet = accuracy.dataset.attrs["alphabet"]
    text = (
        f"The prompt is a sample of the copying test ({alphabet} strings) followed by the prefix of one of its strings."
    )
    copied = [example for example in examples if example.copied]
    if not copied:
        return f"{text} No suffix is copied at the last checkpoint. Shown: the first {first} of the test."
    text = f"{text} Copied: the first {first} whose suffix the last checkpoint copies."
    if len(copied) == len(examples):
        return f"{text} Every suffix of the test is copied. Least probable: the one of the lowest probability."
    return f"{text} Not copied: the first {first} whose suffix it does not copy."


def example_table(examples: Sequence[CopyExample], show: Show) -> pd.DataFrame:
    """One column for each example, one row for each thing that is shown of it.

    Args:
        examples: of `copy_examples`.
        show: token ids -> a string for each.
    """

    def joined(tokens: Iterable[int]) -> str:
        words = [TIE if token == NO_PREDICTION else show([token])[0] for token in tokens]
        return ("" if all(len(word) == 1 for word in words) else " | ").join(words)

    columns = {"": ["sample, string", "prefix", "expected suffix", "most probable tokens", "greedy decoding"]}
    columns[""].append("probability of each expected token")
    for number, example in enumerate(examples):
        name = "not copied" if not example.copied else "copied" if number == 0 else "least probable"
        columns[name] = [
            f"{example.sample}, {example.sequence}",
            joined(example.prefix),
            joined(example.expected),
            joined(example.predicted),
            joined(example.written),
            " ".join(f"{probability:.2f}" for probability in example.probabilities),
        ]
    return pd.DataFrame(columns)


def prompt(model: HookedModel, samples: CopySamples, accuracy: CopyingAccuracy) -> tuple[torch.Tensor, str]:
    """A copying test with its answer, with at most 128 tokens, as an attention view is read well; how it was chosen.

    It is the first evaluation input whose suffix the model copies. A test that is longer is shortened to its first
    strings, on which the model is evaluated anew. Where nothing is copied, the first evaluation input is taken.

    Args:
        model: the last checkpoint.
        samples: the evaluation inputs of `accuracy`.
        accuracy: one checkpoint or more.
    """
    shown = short_test(samples)
    return prompt_of(shown, accuracy if shown is samples else copying_accuracy([(0, model)], shown))


def short_test(samples: CopySamples) -> CopySamples:
    """The copying test with at most 128 tokens, as an attention view is read well."""
    return within(samples, TOKENS_SHOWN, n_samples=SAMPLES_TRIED)


def prompt_of(shown: CopySamples, accuracy: CopyingAccuracy) -> tuple[torch.Tensor, str]:
    """As `prompt`, from the accuracy on the test that is shown."""
    place = first_string(accuracy, copied=True)
    sample, sequence = place or (0, shown.task.queries[0])
    text = f"Sample {sample}, string {sequence} of the copying test, with its answer. "
    text += "The last checkpoint copies this suffix." if place else "No suffix is copied at the last checkpoint."
    return torch.cat([shown.context[sample], shown.query(sequence)[sample]]), text
