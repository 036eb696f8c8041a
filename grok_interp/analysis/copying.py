"""Copying accuracy (A.2, Figure 1): given the prefix of an earlier string again, does the model go on with its suffix?

Greedy decoding copies a suffix exactly if and only if each of its tokens is the arg-max under teacher forcing, so one
forward pass decides. The strings that all queries of a sample share are run once when the model has a KV cache.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from grok_interp.activations import HookedModel, device_of, evaluating, in_batches, logits
from grok_interp.analysis.prefixes import Caching, prefix_cache
from grok_interp.data.copying import CopySamples
from grok_interp.results import LabelledResult


class CopyingAccuracy(LabelledResult):
    """Was each suffix token predicted? 1 or 0, for every sample, queried sequence i and position in the suffix."""

    name = "correct"
    dims = ("checkpoint", "sample", "sequence", "char")

    def exact(self) -> xr.DataArray:
        """The paper's accuracy: the share of suffixes copied whole, between 0 and 1, per checkpoint."""
        return self.per_sequence().mean("sequence")

    def per_sequence(self) -> xr.DataArray:
        """The same for each queried sequence i."""
        return self.array.min("char").mean("sample")

    def per_token(self) -> xr.DataArray:
        """The share of suffix tokens predicted, earlier ones given; chance is 1 over the alphabet."""
        return self.array.mean(("sample", "sequence", "char"))

    def __str__(self) -> str:
        exact, token = self.exact()[-1], self.per_token()[-1]
        return (
            f"copying accuracy at {self.array.sizes['checkpoint']} checkpoints; at the last {float(exact):.1%} of "
            f"suffixes, {float(token):.1%} of their tokens"
        )


def predicted(
    scores: Float[Tensor, "sample pos d_vocab"], suffix: Int64[Tensor, "sample char"]
) -> Bool[Tensor, "sample char"]:
    """Kernel: is each suffix token the arg-max? The last scores belong to the last suffix token."""
    return scores[:, -suffix.shape[1] :].argmax(dim=-1) == suffix


def copying_accuracy(
    checkpoints: Iterable[tuple[int, HookedModel]], samples: CopySamples, *, batch_size: int = 64
) -> CopyingAccuracy:
    """Every (step, model) on the same samples. Raises ValueError when the test is longer than a model's context."""
    steps, correct = [], []
    for step, model in checkpoints:
        samples.task.require_context(model.cfg.n_ctx)
        batches = in_batches(model, samples.strings, batch_size)
        parts = [_correct(each, CopySamples(samples.task, part)) for each, part in batches]
        steps.append(step)
        correct.append(torch.cat(parts).numpy().astype(np.int8))
    task = samples.task
    array = xr.DataArray(
        np.stack(correct),
        dims=CopyingAccuracy.dims,
        coords={"checkpoint": steps, "sequence": list(task.queries)},
        attrs={
            "n_sequences": task.n_sequences,
            "n_prefix": task.n_prefix,
            "n_suffix": task.n_suffix,
            "seed": task.seed,
        },
    )
    return CopyingAccuracy(array)


def _correct(model: HookedModel, samples: CopySamples) -> Bool[Tensor, "sample sequence char"]:
    score = _scores_from_cache if isinstance(model, Caching) else _scores_from_the_start
    n_prefix = samples.task.n_prefix
    suffixes = [samples.query(index)[:, n_prefix:] for index in samples.task.queries]
    scores = score(model, samples)
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
        yield logits(model, tokens)[:, -samples.task.n_suffix :].cpu()
