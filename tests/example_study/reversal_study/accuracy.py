"""Reversal accuracy: the fraction of strings whose symbol at a place of the reversed half has the largest logit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from grok_interp.models.activations import HookedModel, device_of
from grok_interp.plots import TRAINING_STEP, Axis, Drawing, Line, Panel, ordered_colors
from grok_interp.plots.registry import picture
from grok_interp.results.analyzer import Analyzer, tokens_hash
from grok_interp.results.result import Measure, Result
from grok_interp.runs.once_per_run import once_per_run
from grok_interp.runs.run import Run
from grok_interp.studies.run_results import RunResults
from reversal_study.batches import sequences
from reversal_study.study import ReversalConfig

EVALUATION_SEED = 2**40  # training draws with smaller ones


class ReversalAccuracy(Result):
    """Accuracy by place in the reversed string, 0 to 1."""

    name = "reversal_accuracy"
    dims = ("checkpoint", "place")
    measures: ClassVar = {"accuracy": Measure("accuracy by place", "fraction")}

    def __str__(self) -> str:
        n, last = self.dataset.sizes["checkpoint"], self.at()["accuracy"].mean()
        return f"reversal accuracy at {n} checkpoints; {float(last):.0%} at the last"


@dataclass(frozen=True)
class ReversalResults(RunResults):
    accuracy: ReversalAccuracy


@once_per_run
def evaluation_inputs(run: Run) -> Tensor:
    """batch x pos."""
    assert isinstance(run.config.data, ReversalConfig)
    return sequences(32, run.config.data, seed=EVALUATION_SEED)


def analyzers(tokens: Tensor) -> list[Analyzer]:
    def evaluate(step: int, model: HookedModel) -> ReversalAccuracy:
        return reversal_accuracy(step, model, tokens)

    return [Analyzer("reversal_accuracy", ReversalAccuracy, {"tokens": tokens_hash(tokens)}, evaluate)]


@torch.inference_mode()
def reversal_accuracy(step: int, model: HookedModel, tokens: Tensor) -> ReversalAccuracy:
    """Of one checkpoint, teacher-forced."""
    length = tokens.shape[1] // 2
    logits = model(tokens[:, :-1].to(device_of(model))).cpu()
    right = logits[:, -length:].argmax(-1) == tokens[:, -length:]
    accuracy = right.double().mean(dim=0)[None]
    return ReversalAccuracy.of_arrays({"accuracy": accuracy}, {"checkpoint": [step]})


@picture(ReversalAccuracy)
def accuracy_over_training(result: ReversalAccuracy) -> Drawing:
    """One line per place in the reversed string."""
    array = result["accuracy"]
    colors: Sequence[str] = ordered_colors(array.sizes["place"])
    lines = [
        Line(array["checkpoint"].to_numpy(), array.isel(place=place).to_numpy(), f"symbol {place}", color)
        for place, color in enumerate(colors)
    ]
    return Drawing([Panel(TRAINING_STEP, Axis("accuracy", limits=(0, 1.02)), lines)])
