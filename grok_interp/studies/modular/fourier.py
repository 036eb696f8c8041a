"""Fourier analysis of one run: key frequencies of the last checkpoint, losses on unseen tasks, at every checkpoint."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from grok_interp.analysis.fourier import GROUPS, FourierSpectrum, fourier_spectrum
from grok_interp.analysis.fourier_loss import FourierLoss, fourier_losses
from grok_interp.analysis.fourier_top import TopFrequencyFraction, top_frequency_fraction
from grok_interp.checkpoints.series import CheckpointSeries
from grok_interp.data.modular import Split
from grok_interp.models.transformer import Transformer
from grok_interp.studies.modular.inputs import evaluation_seed, one_task_per_context
from grok_interp.studies.modular.results import probes_of_run

SPLIT: Split = "ood_train"  # as the other figures of one split
N_CONTEXTS = 512
MOST_KEY_FREQUENCIES = 5  # by default, as Nanda et al. 2023 found, but no more than half: 2 of 5 at p = 11


@dataclass(frozen=True)
class FourierAnalysis:
    """Spectra, losses (one result for each group) and top-frequency fractions at the same checkpoints."""

    spectrum: FourierSpectrum
    losses: Sequence[FourierLoss]
    tops: TopFrequencyFraction


def fourier_analysis(
    directory: Path, *, n_key: int | None = None, n_contexts: int = N_CONTEXTS, device: str = "cpu"
) -> FourierAnalysis:
    """All three analyses of every checkpoint of a run on modular arithmetic.

    Args:
        directory: the run.
        n_key: how many key frequencies each group has, within 1 .. (p - 1) / 2; half of these rounded up, at most 5,
            if None. They are those of largest variance at the last checkpoint.
        n_contexts: how many contexts the losses are measured on, each with one o.o.d. task and inputs of its own.
        device: where the models run, a torch device.

    Returns:
        The three results.

    Raises:
        ValueError: for a run on text and for `n_key` out of range.
    """
    series, tasks = CheckpointSeries(directory), probes_of_run(directory).tasks

    def models() -> Iterator[tuple[int, Transformer]]:
        return series.at(series.steps, device=device)

    n_key = min(MOST_KEY_FREQUENCIES, math.ceil((tasks.p - 1) / 4)) if n_key is None else n_key
    spectrum = fourier_spectrum(series, p=tasks.p)
    n_examples = series.config.model.n_ctx // 3
    seed = evaluation_seed(series.config)
    tokens = one_task_per_context(tasks, SPLIT, n_examples=n_examples, n_contexts=n_contexts, seed=seed)
    losses = [
        fourier_losses(models(), tasks.p, tokens, group=group, frequencies=spectrum.key_frequencies(group, n_key))
        for group in GROUPS
    ]
    return FourierAnalysis(spectrum, losses, top_frequency_fraction(series, p=tasks.p, n_key=n_key, seed=0))
