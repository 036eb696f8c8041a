"""Fourier analysis of one run: key frequencies of the last checkpoint, losses on unseen tasks, at every checkpoint."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Int64
from torch import Tensor

from grok_interp.analysis.fourier import GROUPS, FourierSpectrum, fourier_spectrum
from grok_interp.analysis.fourier_loss import FourierLoss, fourier_losses
from grok_interp.analysis.fourier_top import TopFrequencyFraction, top_frequency_fraction
from grok_interp.data.modular import Split
from grok_interp.results.analyzer import Analyzer, tokens_hash
from grok_interp.runs.run import Run
from grok_interp.studies.modular.modular_inputs import evaluation_seed, one_task_per_context, tasks_of_run

SPLIT: Split = "ood_train"  # as the other figures of one split
N_CONTEXTS = 512
MOST_KEY_FREQUENCIES = 5  # by default, as Nanda et al. 2023 found, but no more than half: 3 of 5 at p = 11


@dataclass(frozen=True)
class FourierAnalysis:
    """Spectra, losses (one result for each group) and top-frequency fractions at the same checkpoints."""

    spectrum: FourierSpectrum
    losses: Sequence[FourierLoss]
    tops: TopFrequencyFraction


def fourier_analysis(
    run: Run, *, n_key: int | None = None, n_contexts: int = N_CONTEXTS, device: str = "cpu"
) -> FourierAnalysis:
    """All three analyses of every checkpoint of a run on modular arithmetic; stored with the run.

    Args:
        run: a run on modular arithmetic.
        n_key: how many key frequencies each group has, within 1 .. (p - 1) / 2; half of these rounded up, at most 5,
            if None. They are those of largest variance at the last checkpoint.
        n_contexts: how many contexts the losses are measured on, each with one o.o.d. task and inputs of its own.
        device: where the models run, a torch device.

    Returns:
        The three results.

    Raises:
        ValueError: for a run on text and for `n_key` out of range.
    """
    tasks = tasks_of_run(run)
    p, n_key = tasks.p, min(MOST_KEY_FREQUENCIES, math.ceil((tasks.p - 1) / 4)) if n_key is None else n_key
    spectrum, tops = run.evaluate([_spectrum(p), _top_frequencies(p, n_key)], device=device)
    assert isinstance(spectrum, FourierSpectrum) and isinstance(tops, TopFrequencyFraction)
    seed = evaluation_seed(run.config)
    tokens = one_task_per_context(
        tasks, SPLIT, n_examples=run.config.model.n_ctx // 3, n_contexts=n_contexts, seed=seed
    )
    analyzers = [_losses(tokens, p, group, spectrum.key_frequencies(group, n_key)) for group in GROUPS]
    return FourierAnalysis(spectrum, run.evaluate(analyzers, device=device), tops)


def _spectrum(p: int) -> Analyzer[FourierSpectrum]:
    return Analyzer(
        "fourier_spectrum", FourierSpectrum, {"p": p}, lambda step, model: fourier_spectrum([(step, model)], p=p)
    )


def _top_frequencies(p: int, n_key: int) -> Analyzer[TopFrequencyFraction]:
    options = {"p": p, "n_key": n_key, "seed": 0}
    return Analyzer(
        "top_frequency_fraction",
        TopFrequencyFraction,
        options,
        lambda step, model: top_frequency_fraction([(step, model)], **options),
    )


def _losses(
    tokens: Int64[Tensor, "context pos"], p: int, group: str, frequencies: Sequence[int]
) -> Analyzer[FourierLoss]:
    options: dict[str, Any] = {"p": p, "group": group, "frequencies": frequencies}
    return Analyzer(
        "fourier_loss",
        FourierLoss,
        {**options, "frequencies": list(frequencies), "tokens": tokens_hash(tokens)},
        lambda step, model: fourier_losses([(step, model)], tokens=tokens, **options),
    )
