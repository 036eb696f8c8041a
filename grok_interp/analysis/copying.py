"""Copying accuracy (A.2, Figure 1): does the model continue the prefix of an earlier string with its suffix?

Greedy decoding copies a suffix exactly if and only if each of its tokens is predicted under teacher forcing, so one
forward pass decides. A token counts as predicted only if its logit is strictly the largest (`predictions`): ties are
wrong. Where the largest logit is not finite the answer is undefined, NaN, and so are the accuracies of its checkpoint.
The strings that all queries of a sample share are run once when the model has a KV cache.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
import xarray as xr
from jaxtyping import Float, Int64
from torch import Tensor

from grok_interp.analysis.arguments import require_outputs
from grok_interp.analysis.checkpoints_of import Checkpoints, checkpoints_of
from grok_interp.analysis.intervals import BOUNDS, in_percent, with_bounds
from grok_interp.analysis.predictions import predicted_tokens
from grok_interp.analysis.prefixes import Caching, prefix_cache
from grok_interp.analysis.sample_intervals import fraction_interval
from grok_interp.arguments import checked
from grok_interp.counted import counted
from grok_interp.data.copying import CopySamples
from grok_interp.models.activations import HookedModel, device_of, evaluating, in_batches, logits
from grok_interp.results.result import Measure, Result


class CopyingAccuracy(Result):
    """Was each suffix token predicted? 1, 0 or NaN (undefined), by sample, queried string and position in the suffix.

    `dataset.attrs["alphabet"]` names the symbols that the strings are made of. Intervals are over samples, 95%. All
    strings of a sample share one context; pooled over strings their answers are counted as independent, which measured
    variances over samples support (dev/LOG.md).
    """

    name = "correct"
    dims = ("checkpoint", "sample", "sequence", "char")
    measures: ClassVar = {"correct": Measure("suffix token predicted: 1, else 0", "1")}

    def exact_match(self) -> xr.DataArray:
        """Exact-match accuracy, the paper's: the fraction of suffixes copied without an error, by checkpoint."""
        return self.per_sequence().mean("sequence", skipna=False)

    def exact_match_interval(self) -> xr.DataArray:
        """Wilson interval of `exact_match` over all samples and strings: bound x checkpoint."""
        return with_bounds(self.exact_match(), self.n_samples * self.dataset.sizes["sequence"])

    def per_sequence(self) -> xr.DataArray:
        """Exact-match accuracy of each queried string: checkpoint x sequence."""
        return self["correct"].min("char", skipna=False).mean("sample", skipna=False)

    def per_sequence_interval(self) -> xr.DataArray:
        """Wilson interval of `per_sequence` over samples: bound x checkpoint x sequence."""
        return with_bounds(self.per_sequence(), self.n_samples)

    def per_token(self) -> xr.DataArray:
        """The fraction of suffix tokens predicted, earlier ones given; chance is 1 over the alphabet."""
        return self["correct"].mean(("sample", "sequence", "char"), skipna=False)

    def per_token_error(self) -> xr.DataArray:
        """Standard error of `per_token`, clustered by sample: from the spread of the samples' means; NaN for one."""
        of_samples = self["correct"].mean(("sequence", "char"), skipna=False)
        squares = ((of_samples - of_samples.mean("sample", skipna=False)) ** 2).sum("sample", skipna=False)
        n = self.n_samples
        return (squares / (n - 1 if n > 1 else np.nan) / n) ** 0.5

    def per_token_interval(self) -> xr.DataArray:
        """Wilson interval of `per_token`, clustered by sample: bound x checkpoint; NaN for one sample.

        Its n is the number of answers that would have the standard error of the samples' means (`fraction_interval`).
        """
        of_samples = self["correct"].mean(("sequence", "char"), skipna=False).transpose("checkpoint", "sample")
        ends = [self.per_token().copy(data=end) for end in fraction_interval(of_samples.to_numpy().astype(float))]
        return xr.concat(ends, pd.Index(BOUNDS, name="bound"))

    @property
    def trials(self) -> dict[str, float]:
        """How many independent answers each accuracy is the fraction of, by the names of `TrainingCurves`.

        Exact match: samples times strings. Per token: as many as have its standard errors, over all checkpoints, and no
        more than there are.
        """
        n_exact = self.n_samples * self.dataset.sizes["sequence"]
        mean, squares = self.per_token(), float((self.per_token_error() ** 2).sum())
        n_per_token = float((mean * (1 - mean)).sum()) / squares if squares > 0 else n_exact
        n_answers = float(n_exact * self.dataset.sizes["char"])
        return {"exact_match": float(n_exact), "per_token": min(max(n_per_token, 1.0), n_answers)}

    @property
    def n_samples(self) -> int:
        return self.dataset.sizes["sample"]

    @property
    def undefined_steps(self) -> list[int]:
        """Checkpoints with an answer whose largest logit is not finite."""
        undefined = self["correct"].isnull().any(("sample", "sequence", "char"))
        return self.dataset["checkpoint"].to_numpy()[undefined.to_numpy()].tolist()

    @property
    def sizes_in_words(self) -> str:
        """500 samples x 5 strings"""
        return f"{counted(self.n_samples, 'sample')} x {counted(self.dataset.sizes['sequence'], 'string')}"

    @property
    def strings_in_words(self) -> str:
        """The indices of the queried strings: 0-4, or 0, 5, 10."""
        indices = self.dataset["sequence"].to_numpy().tolist()
        consecutive = len(indices) > 1 and indices == list(range(indices[0], indices[-1] + 1))
        return f"{indices[0]}-{indices[-1]}" if consecutive else ", ".join(map(str, indices))

    def exact_match_in_words(self, *, digits: int = 1) -> str:
        """Of the last checkpoint with its interval: 96.6% [95.8, 97.3]

        Args:
            digits: after the decimal point.
        """
        interval = self.exact_match_interval().isel(checkpoint=-1)
        return in_percent(*map(float, (self.exact_match()[-1], *interval)), digits=digits)

    def per_sequence_in_words(self) -> str:
        """Of the last checkpoint, by string, and the largest error: 98 / 96 / 96 / 96 / 97% (95% CIs ±2 or less)"""
        last, (low, high) = self.per_sequence()[-1].to_numpy(), self.per_sequence_interval().isel(checkpoint=-1)
        if np.isnan(last).any():
            return "undefined"
        error = 100 * float(np.maximum(high - last, last - low).max())
        return " / ".join(f"{100 * each:.0f}" for each in last) + f"% (95% CIs ±{error:.0f} or less)"

    def per_token_in_words(self) -> str:
        """Of the last checkpoint with its interval: 99.4% [99.2, 99.6]"""
        return in_percent(*map(float, (self.per_token()[-1], *self.per_token_interval().isel(checkpoint=-1))))

    @property
    def chance(self) -> dict[str, float]:
        """Accuracies of a uniform guess among the symbols of the strings, by the names of `TrainingCurves`.

        Empty for a result that does not record how many symbols there are.
        """
        if "n_symbols" not in self.dataset.attrs:
            return {}
        per_token = 1 / self.dataset.attrs["n_symbols"]
        return {"per_token": per_token, "exact_match": per_token ** self.dataset.sizes["char"]}

    def __str__(self) -> str:
        return (
            f"copying accuracy ({self.dataset.attrs['alphabet']} strings) at "
            f"{counted(self.dataset.sizes['checkpoint'], 'checkpoint')}; at the last "
            f"{self.exact_match_in_words()} exact match, "
            f"{self.per_sequence_in_words()} by string {self.strings_in_words}, {self.per_token_in_words()} per token "
            f"(95% CIs over {self.sizes_in_words}){self.warning()}"
        )


def predicted(
    scores: Float[Tensor, "sample pos d_vocab"], suffix: Int64[Tensor, "sample char"]
) -> Float[Tensor, "sample char"]:
    """Is each suffix token predicted? Kernel.

    Args:
        scores: logits; the last ones belong to the last suffix token.
        suffix: the expected tokens.

    Returns:
        1 where the logit of the expected token is strictly the largest, NaN where the largest is not finite, else 0.
    """
    of_suffix = scores[:, -suffix.shape[1] :]
    correct = (predicted_tokens(of_suffix) == suffix).float()
    return correct.where(of_suffix.amax(dim=-1).isfinite(), torch.nan)


@checked
def copying_accuracy(checkpoints: Checkpoints, samples: CopySamples, *, batch_size: int = 64) -> CopyingAccuracy:
    """Copying accuracy of every (step, model) on the same samples.

    Args:
        checkpoints: one model, (step, model) pairs, or a series of checkpoints.
        samples: strings of the copying test, from `CopyTask.sample()`.
        batch_size: samples per forward pass; changes memory, not the result.

    Returns:
        Whether each suffix token was predicted: 1, 0 or NaN by checkpoint, sample, sequence and char.

    Raises:
        ValueError: if the test is longer than a model's context.

    Example:
        >>> from grok_interp import CopyTask, Transformer, copying_accuracy, preset
        >>> samples = CopyTask.fitting(64, n_samples=3).sample()
        >>> copying_accuracy([(0, Transformer(preset("copier-tiny"), seed=0))], samples).per_sequence().shape
        (1, 2)
    """
    steps, correct = [], []
    for step, model in checkpoints_of(checkpoints, tokens=samples.context, n_read=0):
        samples.task.require_context(model.cfg.n_ctx)
        require_outputs(model, samples.strings)
        batches = in_batches(model, samples.strings, batch_size)
        parts = [_correct(each, CopySamples(samples.task, part)) for each, part in batches]
        steps.append(step)
        correct.append(torch.cat(parts).numpy())
    task = samples.task
    attrs = {
        "n_sequences": task.n_sequences,
        "n_prefix": task.n_prefix,
        "n_suffix": task.n_suffix,
        "seed": task.seed,
        "alphabet": task.alphabet_name,
        "n_symbols": len(task.alphabet),
    }
    coords = {"checkpoint": steps, "sequence": list(task.queries)}
    return CopyingAccuracy.of_arrays({"correct": np.stack(correct)}, coords, attrs)


def suffix_scores(model: HookedModel, samples: CopySamples) -> Iterable[Float[Tensor, "sample char d_vocab"]]:
    """The logits of every suffix token, earlier ones given: one tensor for each queried string, on the CPU.

    Args:
        model: reads the vocabulary of the samples.
        samples: of the copying test.
    """
    n_suffix = samples.task.n_suffix
    score = _scores_from_cache if isinstance(model, Caching) else _scores_from_the_start
    return (scores[:, -n_suffix:] for scores in score(model, samples))


def _correct(model: HookedModel, samples: CopySamples) -> Float[Tensor, "sample sequence char"]:
    suffixes = [samples.suffix(index) for index in samples.task.queries]
    scores = suffix_scores(model, samples)
    return torch.stack([predicted(s, suffix) for s, suffix in zip(scores, suffixes, strict=True)], dim=1)


def _scores_from_cache(model: Any, samples: CopySamples) -> Iterable[Tensor]:
    device, shared = device_of(model), prefix_cache(model, samples.context)
    with evaluating(model):
        for index in samples.task.queries:
            query = samples.query(index)[:, :-1].to(device)
            yield model(query, cache=shared.branch()).float().cpu()


def _scores_from_the_start(model: HookedModel, samples: CopySamples) -> Iterable[Tensor]:
    for index in samples.task.queries:
        tokens = torch.cat([samples.context, samples.query(index)[:, :-1]], dim=1)
        yield logits(model, tokens).cpu()
