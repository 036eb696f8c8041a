"""Examples of the copying test: a string that a model copies, and one that it does not.

They are chosen by a rule, not by hand: in the order of samples, then of queried strings, the first whose suffix is
copied at the last checkpoint, and the first whose suffix is not. Where every suffix is copied, the second is the one to
which the model gives the lowest probability.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from grok_interp.analysis.copying import CopyingAccuracy, suffix_scores
from grok_interp.analysis.predictions import predicted_tokens
from grok_interp.data.copying import CopySamples, CopyTask
from grok_interp.models.activations import HookedModel, device_of, logits

Place = tuple[int, int]  # sample, queried string


@dataclass(frozen=True)
class CopyExample:
    """One query of the copying test and what a model answers; tokens are ids.

    Attributes:
        sample: index of the sample.
        sequence: index i of the queried string within the sample.
        prefix: the prompt after the strings.
        expected: the suffix, the right answer.
        predicted: the token of strictly largest logit at each position of the suffix, the expected tokens before it
            given; `NO_PREDICTION` for a tie.
        written: what greedy decoding writes, the model's own tokens before it given.
        probabilities: of each expected token, between 0 and 1, the expected tokens before it given.
    """

    sample: int
    sequence: int
    prefix: tuple[int, ...]
    expected: tuple[int, ...]
    predicted: tuple[int, ...]
    written: tuple[int, ...]
    probabilities: tuple[float, ...]

    @property
    def copied(self) -> bool:
        return self.predicted == self.expected


def copy_examples(model: HookedModel, samples: CopySamples, accuracy: CopyingAccuracy) -> list[CopyExample]:
    """A copied string and one that is not, by the rule of the module; fewer where there is none.

    Args:
        model: the last checkpoint of `accuracy`.
        samples: the evaluation inputs that `accuracy` was measured on.
        accuracy: one checkpoint or more.

    Returns:
        The copied string first. Without a copied string, the other alone; neither where logits are not finite.

    Example:
        >>> from grok_interp import CopyTask, Transformer, copying_accuracy, preset
        >>> model = Transformer(preset("copier-tiny"), seed=0)
        >>> samples = CopyTask.fitting(64, n_samples=3).sample()
        >>> accuracy = copying_accuracy([(0, model)], samples)
        >>> [(each.sample, each.sequence, each.copied) for each in copy_examples(model, samples, accuracy)]
        [(0, 0, False)]
    """
    copied, other = (first_string(accuracy, copied=wanted) for wanted in (True, False))
    if other is None and copied is not None and not accuracy.at()["correct"].isnull().any():
        other = least_probable_string(model, samples)
    places = dict.fromkeys(place for place in (copied, other) if place)
    return [copy_example(model, samples, *place) for place in places]


def first_string(accuracy: CopyingAccuracy, *, copied: bool) -> Place | None:
    """The first string, in the order of samples, whose suffix is copied (or is not) at the last checkpoint.

    Args:
        accuracy: over the same samples.
        copied: whether the string that is looked for is copied.
    """
    whole = accuracy.at()["correct"].min("char", skipna=False)
    found = np.argwhere(whole.to_numpy() == (1 if copied else 0))
    return (int(found[0, 0]), int(whole["sequence"][found[0, 1]])) if len(found) else None


def least_probable_string(model: HookedModel, samples: CopySamples) -> Place:
    """The string whose suffix has the lowest probability.

    Args:
        model: reads the vocabulary of the samples.
        samples: of the copying test.
    """
    log_probabilities = torch.stack(
        [
            _log_probabilities(scores, samples.suffix(index)).sum(dim=-1)
            for index, scores in zip(samples.task.queries, suffix_scores(model, samples), strict=True)
        ],
        dim=1,
    )
    sample, number = divmod(int(log_probabilities.argmin()), log_probabilities.shape[1])
    return sample, samples.task.queries[number]


def copy_example(model: HookedModel, samples: CopySamples, sample: int, sequence: int) -> CopyExample:
    """What a model answers to the query of one string.

    Args:
        model: any hooked model whose context holds the test.
        samples: evaluation inputs.
        sample: index of the sample.
        sequence: index of the string; any of the sample's, queried in `accuracy` or not.
    """
    n_suffix, device = samples.task.n_suffix, device_of(model)
    tokens = torch.cat([samples.context[sample], samples.query(sequence)[sample]]).to(device)
    prefix, expected = samples.query(sequence)[sample].split([samples.task.n_prefix, n_suffix])
    scores = logits(model, tokens[None, :-1])[:, -n_suffix:].cpu()
    return CopyExample(
        sample,
        sequence,
        prefix=tuple(prefix.tolist()),
        expected=tuple(expected.tolist()),
        predicted=tuple(predicted_tokens(scores)[0].tolist()),
        written=_greedy(model, tokens[:-n_suffix], n_suffix),
        probabilities=tuple(_log_probabilities(scores, expected[None])[0].exp().tolist()),
    )


def within(samples: CopySamples, n_tokens: int, *, n_samples: int) -> CopySamples:
    """The same test on the first strings of each sample, as many as `n_tokens` hold; itself where all of them fit.

    Args:
        samples: evaluation inputs.
        n_tokens: tokens of the shortened test, at least those of one string and its query.
        n_samples: samples kept of a shortened test.
    """
    task = samples.task
    if task.n_tokens <= n_tokens:
        return samples
    fitting = CopyTask.fitting(n_tokens, n_prefix=task.n_prefix, n_suffix=task.n_suffix)
    strings = samples.strings[:n_samples, : fitting.n_sequences]
    shortened = replace(task, n_sequences=fitting.n_sequences, query_every=fitting.query_every, n_samples=len(strings))
    return CopySamples(shortened, strings)


def _log_probabilities(scores: Tensor, expected: Tensor) -> Tensor:
    """Of the expected token at each position."""
    return scores.log_softmax(dim=-1).gather(-1, expected.unsqueeze(-1)).squeeze(-1)


def _greedy(model: HookedModel, prompt: Tensor, n_tokens: int) -> tuple[int, ...]:
    tokens = prompt
    for _ in range(n_tokens):
        following = logits(model, tokens[None])[0, -1].argmax()
        tokens = torch.cat([tokens, following[None]])
    return tuple(tokens[len(prompt) :].tolist())
