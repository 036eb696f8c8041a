"""What an ablation of a copying run is evaluated on: which heads, beside which controls, on which text.

The heads are those of I(L, H) above `FORMED` at the last checkpoint, at least the strongest. One that would leave too
few other heads as controls stays in, and the result says so.

Controls are heads that are not induction heads: those above `FORMED` that stay in are never controls. Nor are heads of
the same circuit. An induction head (I above `FORMED`) and a head of an
earlier layer are one circuit when the earlier one has the largest previous-token score before it, that score is above
1/2, and their K-composition is above that of random heads.

Held-out windows of text take turns: the loss is measured on one half, the other is what mean and resample ablation put
in place of a head. So no donor knows the text that the loss is measured on, nor the copying test: other tests of the
same layout would put the attention of the donor's own induction head, at the same positions, in place of the head's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from jaxtyping import Int64
from torch import Tensor

from grok_interp.analysis.ablation_arguments import Head, named, require_ablation
from grok_interp.analysis.ablation_controls import n_control_sets
from grok_interp.analysis.head_scores import HeadScores, head_scores
from grok_interp.analysis.induction import InductionScores
from grok_interp.data.copying import CopySamples, CopyTask
from grok_interp.results.analyzer import Analyzer, tokens_hash
from grok_interp.runs.run import Run
from grok_interp.studies.copying.copying_results import (
    FORMED,
    CopyingResults,
    evaluation_inputs,
    held_out_windows,
    samples_description,
)

LOOKS_BACK = 0.5  # previous-token score above which a head counts as a previous-token head
MOST_DRAWS = 5
N_WINDOWS = 64  # of text: the loss is measured on half of them
VERSION = 3  # of the results of ablations
BY_CHANCE = 0.1  # targets that a query of the copying test may have by chance


class AblationOptions(TypedDict, total=False):
    """What one way of ablation needs."""

    n_match: int
    reference: Int64[Tensor, "reference reference_pos"]


@dataclass(frozen=True)
class AblationInputs:
    """The evaluation inputs; `formed` are the heads above `FORMED`, ablated or not."""

    heads: tuple[Head, ...]
    spared: tuple[Head, ...]
    formed: tuple[Head, ...]
    samples: CopySamples
    windows: Int64[Tensor, "batch pos"]
    reference: Int64[Tensor, "reference reference_pos"]
    n_match: int
    n_draws: int

    def options(self, how: str) -> AblationOptions:
        """Of `ablated`, for one way."""
        if how == "edges":
            return {"n_match": self.n_match}
        return {"reference": self.reference} if how in ("mean", "resample") else {}

    def text(self) -> dict[str, object]:
        """The evaluation inputs whatever the heads, in plain values."""
        return {
            **samples_description(self.samples),
            "n_match": self.n_match,
            "windows": tokens_hash(self.windows),
            "reference": tokens_hash(self.reference),
            "intervals": "over samples",
        }

    def description(self) -> dict[str, object]:
        heads = {"heads": named(self.heads), "spared": named(self.spared), "n_draws": self.n_draws}
        return {**heads, **self.text()}


def ablation_inputs(
    run: Run,
    results: CopyingResults,
    *,
    heads: Sequence[Head] | None = None,
    device: str = "cpu",
) -> AblationInputs:
    """Fitted to an analyzed run; `heads` other than those that formed may be named.

    Raises ValueError for heads that the model does not have, and for too little text.
    """
    samples, windows = evaluation_inputs(run).samples, held_out_windows(run, N_WINDOWS)
    if len(windows) < 2:
        raise ValueError(f"the held-out text of {run} has one window, an ablation needs two: take a larger corpus")
    cfg, induction = run.model, results.induction
    scores = circuit_scores(run, results, device=device)
    formed = formed_heads(induction)
    if heads is None:
        strongest = formed or induction.strongest()
        heads = with_controls(strongest, induction, scores) or strongest
    require_ablation(cfg, heads, "zero", reference=None, n_match=None)
    spared = never_controls(heads, induction, scores)
    n_sets = n_control_sets(heads, spared, cfg.n_heads, cfg.n_layers)
    return AblationInputs(
        heads=tuple(heads),
        spared=spared,
        formed=tuple(formed),
        samples=samples,
        windows=windows[::2],
        reference=windows[1::2, :-1],
        n_match=unambiguous_match(samples.task),
        n_draws=max(1, min(MOST_DRAWS, n_sets)),
    )


def circuit_scores(run: Run, results: CopyingResults, *, device: str = "cpu") -> HeadScores:
    """Previous-token score and K-composition of every head at the last checkpoint; stored with the run."""
    names, tokens = ["previous_token", "k_composition"], evaluation_inputs(run).tokens
    analyzer = Analyzer(
        "circuit_scores",
        HeadScores,
        {"scores": names, "tokens": tokens_hash(tokens)},
        lambda step, model: head_scores([(step, model)], tokens, scores=names),
    )
    (scores,) = run.evaluate([analyzer], steps=results.steps[-1:], device=device)
    return scores


def formed_heads(induction: InductionScores) -> list[Head]:
    """Those of I above `FORMED` at the last checkpoint, largest first."""
    last = induction["I"].isel(checkpoint=-1)
    return [head for head in induction.strongest(last.size) if float(last[head]) > FORMED]


def with_controls(strongest: Sequence[Head], induction: InductionScores, scores: HeadScores) -> list[Head]:
    """As many of them, from the first on, as leave as many heads that may be controls."""
    kept: list[Head] = []
    sizes = induction.dataset.sizes
    for head in strongest:
        more = [*kept, head]
        if n_control_sets(more, never_controls(more, induction, scores), sizes["head"], sizes["layer"]):
            kept = more
    return kept


def never_controls(heads: Sequence[Head], induction: InductionScores, scores: HeadScores) -> tuple[Head, ...]:
    """The other induction heads, and the other halves of the circuits that `heads` belong to."""
    others = {*formed_heads(induction), *spared_heads(heads, induction, scores)}
    return tuple(sorted(others - set(heads)))


def spared_heads(heads: Sequence[Head], induction: InductionScores, scores: HeadScores) -> tuple[Head, ...]:
    """The other halves of the circuits that `heads` belong to."""
    circuits = [circuit for circuit in induction_circuits(induction, scores) if set(circuit) & set(heads)]
    return tuple(sorted({head for circuit in circuits for head in circuit} - set(heads)))


def induction_circuits(induction: InductionScores, scores: HeadScores) -> list[tuple[Head, Head]]:
    """(previous-token head, induction head) at the last checkpoint, by the rule of the module."""
    score = induction["I"].isel(checkpoint=-1).to_numpy()
    looks_back, composed = (scores[name][-1].to_numpy() for name in ("previous_token", "k_composition"))
    found: list[tuple[Head, Head]] = []
    for layer, head in np.argwhere((score > FORMED) & (composed > scores.dataset.attrs["chance"]["k_composition"])):
        earlier, which = divmod(int(looks_back[:layer].argmax()), score.shape[1])  # layer 0 composes with none: 0
        if looks_back[earlier, which] > LOOKS_BACK:
            found.append(((earlier, which), (int(layer), int(head))))
    return found


def unambiguous_match(task: CopyTask) -> int:
    """The shortest match that leaves a query of the copying test fewer than `BY_CHANCE` targets by chance.

    With n_match = 1 a hexadecimal character has dozens of targets in the paper's test, and a printable one has ten:
    cutting them all is another experiment than cutting the one edge that leads to the answer.
    """
    lengths = range(1, task.n_prefix)
    return next((n for n in lengths if task.n_tokens / len(task.alphabet) ** n < BY_CHANCE), task.n_prefix)
