"""The circuit that copies: which earlier heads the induction heads read from, chosen and tested on different samples.

    candidates  edges into the keys of each induction head (I(L, H) above `FORMED` at the last checkpoint, or the
                strongest head) from the earlier heads of the largest previous-token score
    chosen      on one half of the samples: edges without which per-token accuracy falls, 95% over samples
    tested      on the other half: the chosen edges cut together, beside random edges between the same layers

A circuit is found when the whole interval of the effect is below that of every control. Results are stored with the
run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grok_interp.analysis.ablation_arguments import Head
from grok_interp.analysis.edge_ablation import EdgeAblation, edge_ablation
from grok_interp.analysis.edge_paths import Edge, edges_between, random_edges
from grok_interp.analysis.head_scores import HeadScores
from grok_interp.analysis.induction import InductionScores
from grok_interp.configs.schedules import spread_steps
from grok_interp.data.copying import CopySamples
from grok_interp.models.activations import HookedModel
from grok_interp.results.analyzer import Analyzer
from grok_interp.runs.run import Run
from grok_interp.studies.copying.ablation_inputs import (
    VERSION,
    AblationInputs,
    ablation_inputs,
    circuit_scores,
    formed_heads,
)
from grok_interp.studies.copying.copying_results import analyze

MOST_RECEIVERS, MOST_SENDERS = 4, 4  # induction heads, and earlier heads that each may read from
N_DRAWS, N_CHECKPOINTS, SEED = 3, 12, 0
CIRCUIT, RANDOM = "the circuit's edges", "random edges"
MEASURE = "per_token"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Circuit:
    """What was found in one run.

    Args:
        candidates: ablated one by one on one half of the samples, at the last checkpoint; groups are named by edge.
            None where there are none: the induction heads are in the first layer.
        chosen: the edges of the circuit; empty where no candidate matters.
        tested: the chosen edges and controls on the other half, over training; None without chosen edges.
        scores: previous-token score and K-composition of every head.
    """

    candidates: EdgeAblation | None
    chosen: tuple[Edge, ...]
    tested: EdgeAblation | None
    scores: HeadScores

    @property
    def is_found(self) -> bool:
        """Whether the effect's interval is below that of every control; without a control there is no evidence."""
        if self.tested is None or self.tested.dataset.sizes["group"] < 2:
            return False
        low, high = (end.isel(checkpoint=-1).to_numpy() for end in self.tested.effect_interval(MEASURE))
        return bool(high[0] < 0 and high[0] < low[1:].min())


def circuit_of_run(run: Run, *, device: str = "cpu", on_checkpoint: Progress | None = None) -> Circuit:
    """The circuit of an analyzed run; what is not stored is evaluated.

    Args:
        run: a run on text.
        device: where models run, a torch device.
        on_checkpoint: called with (checkpoints done, checkpoints to do) of the test over training.
    """
    found = _circuit(run, device=device, on_checkpoint=on_checkpoint)
    assert found, "what is missing is evaluated"
    return found


def stored_circuit(run: Run) -> Circuit | None:
    """The circuit, where all of it was evaluated for the checkpoints there are now."""
    may_read = any(layer for layer, _ in _receivers(analyze(run).induction))
    return None if may_read and not run.results.has("edge_candidates") else _circuit(run, only_stored=True)


def _circuit(
    run: Run, *, device: str = "cpu", on_checkpoint: Progress | None = None, only_stored: bool = False
) -> Circuit | None:
    results = analyze(run, device=device)
    scores = circuit_scores(run, results, device=device)
    if not (candidates := candidate_edges(results.induction, scores)):
        return Circuit(None, (), None, scores)
    inputs = ablation_inputs(run, results, device=device)

    def evaluated(analyzer: Analyzer[EdgeAblation], steps: Sequence[int]) -> EdgeAblation | None:
        if only_stored and run.results.missing(analyzer, run.checkpoints, steps):
            return None
        (found,) = run.evaluate([analyzer], steps=steps, device=device, on_checkpoint=on_checkpoint)
        return found

    if (each := evaluated(_candidates(inputs, candidates), results.steps[-1:])) is None:
        return None
    if not (chosen := chosen_edges(each, candidates)):
        return Circuit(each, (), None, scores)
    test = _test(inputs, chosen, candidates, run.model.n_heads)
    tested = evaluated(test, spread_steps(results.steps, N_CHECKPOINTS))
    return None if tested is None else Circuit(each, chosen, tested, scores)


def candidate_edges(induction: InductionScores, scores: HeadScores) -> list[Edge]:
    """By head scores alone, at the last checkpoint."""
    looks_back = scores["previous_token"].isel(checkpoint=-1).to_numpy()
    found: list[Edge] = []
    for receiver in _receivers(induction):
        earlier: list[Head] = [(int(layer), int(head)) for layer, head in np.ndindex(looks_back[: receiver[0]].shape)]
        senders = sorted(earlier, key=lambda head: -looks_back[head])[:MOST_SENDERS]
        found += edges_between(senders, [receiver])
    return found


def _receivers(induction: InductionScores) -> list[Head]:
    return (formed_heads(induction) or induction.strongest())[:MOST_RECEIVERS]


def chosen_edges(found: EdgeAblation, candidates: Sequence[Edge]) -> tuple[Edge, ...]:
    """Those without which per-token accuracy falls at the last checkpoint, with 95%."""
    _, high = found.effect_interval(MEASURE)
    return tuple(edge for edge in candidates if float(high[-1].sel(group=str(edge))) < 0)


def _half(inputs: AblationInputs, start: int) -> CopySamples:
    """Every second sample."""
    return CopySamples(inputs.samples.task, inputs.samples.strings[start::2])


def _candidates(inputs: AblationInputs, edges: Sequence[Edge]) -> Analyzer[EdgeAblation]:
    groups = {str(edge): [edge] for edge in edges}
    return _analyzer("edge_candidates", inputs, 0, groups)


def _test(
    inputs: AblationInputs, chosen: Sequence[Edge], spared: Sequence[Edge], n_heads: int
) -> Analyzer[EdgeAblation]:
    controls = random_edges(chosen, n_heads=n_heads, n_draws=N_DRAWS, seed=SEED, spared=spared)
    groups = {CIRCUIT: list(chosen)} | {f"{RANDOM} {n}": list(each) for n, each in enumerate(controls, start=1)}
    return _analyzer("edge_circuit", inputs, 1, groups)


def _analyzer(name: str, inputs: AblationInputs, half: int, groups: dict[str, list[Edge]]) -> Analyzer[EdgeAblation]:
    samples = _half(inputs, half)
    described: dict[str, Any] = {**inputs.text(), "half": half}
    described["groups"] = {group: " ".join(map(str, edges)) for group, edges in groups.items()}

    def evaluate(step: int, model: HookedModel) -> EdgeAblation:
        options: dict[str, Any] = {"groups": groups, "reference": inputs.reference}
        return edge_ablation([(step, model)], samples, inputs.windows, **options)

    return Analyzer(name, EdgeAblation, described, evaluate, VERSION)
