"""The circuit: chosen on one half of the samples, tested on the other, drawn only where it matters more than others."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ground_truth import (
    INDUCTION_HEAD,
    PREVIOUS_TOKEN_HEAD,
    distinct_copy_samples,
    induction_circuit,
    repeated_distinct_tokens,
)

from grok_interp import head_scores, induction_scores
from grok_interp.analysis.edge_ablation import EdgeAblation, edge_ablation
from grok_interp.analysis.edge_paths import Edge
from grok_interp.configs import TrainConfig
from grok_interp.plots.marks import Line
from grok_interp.runs.run_training import run_training
from grok_interp.studies.copying import analyze
from grok_interp.studies.copying.circuit import (
    CIRCUIT,
    MOST_SENDERS,
    Circuit,
    candidate_edges,
    chosen_edges,
    circuit_of_run,
    stored_circuit,
)
from grok_interp.studies.copying.circuit_sections import circuit_section, circuit_sections, circuit_text

MODEL, TOKENS = induction_circuit(), repeated_distinct_tokens()
INDUCTION = induction_scores(MODEL, TOKENS)
SCORES = head_scores(MODEL, TOKENS, scores=["previous_token", "k_composition"])
THE_EDGE, ANOTHER = Edge(PREVIOUS_TOKEN_HEAD, INDUCTION_HEAD), Edge((0, 2), (1, 3))


def ablated(**groups: list[Edge]) -> EdgeAblation:
    samples = distinct_copy_samples(n_samples=7)
    return edge_ablation(MODEL, samples, TOKENS, groups=groups, reference=repeated_distinct_tokens(seed=3))


def circuit(first: Edge, *controls: Edge) -> Circuit:
    groups = {CIRCUIT: [first]} | {f"random edges {n}": [edge] for n, edge in enumerate(controls, start=1)}
    return Circuit(ablated(**{str(first): [first]}), (first,), ablated(**groups), SCORES)


def test_candidates_come_from_the_scores_and_the_edge_that_matters_is_chosen() -> None:
    candidates = candidate_edges(INDUCTION, SCORES)
    assert candidates[0] == THE_EDGE, "the largest previous-token score comes first"
    assert len(candidates) == MOST_SENDERS
    assert {edge.receiver for edge in candidates} == {INDUCTION_HEAD}
    found = ablated(**{str(edge): [edge] for edge in candidates})
    assert chosen_edges(found, candidates) == (THE_EDGE,)


def test_a_circuit_is_found_when_its_effect_is_beyond_every_control() -> None:
    assert circuit(THE_EDGE, ANOTHER).is_found
    assert not circuit(ANOTHER, THE_EDGE).is_found
    assert not circuit(ANOTHER, Edge((0, 1), (1, 1))).is_found, "neither matters"
    assert not circuit(THE_EDGE).is_found, "there is no control"


def test_the_section_draws_a_circuit_that_was_found_and_no_other(tiny: TrainConfig, tmp_path: Path) -> None:
    run = run_training(tmp_path / "run", tiny)
    section = circuit_section(circuit(THE_EDGE, ANOTHER), run)
    assert section.title == "The mechanism" and section.drawing
    (line,) = [mark for mark in section.drawing.panels[0].marks if isinstance(mark, Line)]
    assert line.label == "L0H0>L1H0.K"
    assert "They are L0H0 (previous-token score 1.00) to L1H0" in section.text
    other = circuit_section(circuit(ANOTHER, THE_EDGE), run)
    assert other.title == "The mechanism: no circuit found" and other.drawing is None
    assert "The intervals overlap: no circuit is drawn." in other.text
    assert "as controls: no circuit is drawn" in circuit_text(circuit(THE_EDGE))
    nothing = Circuit(ablated(**{str(ANOTHER): [ANOTHER]}), (), None, SCORES)
    assert circuit_text(nothing).endswith("There is none: no circuit is drawn.")
    assert "in the first layer" in circuit_text(Circuit(None, (), None, SCORES))


def test_the_circuit_of_a_run_is_stored_with_it(
    tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brief = {"n_steps": 5, "warmup_steps": 0, "checkpoint_steps": (0, 5)}
    run = run_training(tmp_path / "run", replace(tiny, init_seed=1, **brief))
    assert analyze(run).induction.strongest() == [(1, 1)], "a head that may read from another"
    assert stored_circuit(run) is None
    (section,) = circuit_sections(run)
    assert section.text.endswith(f"To evaluate it: grok-interp reproduce copying/edges --run {run}")
    found = circuit_of_run(run)
    assert found.candidates is not None
    assert np.isfinite(found.candidates["per_token"]).all()

    def refuse(*_: Any, **__: Any) -> None:
        pytest.fail("a model was loaded")

    monkeypatch.setattr(type(run.checkpoints), "load", refuse)
    again = stored_circuit(run)
    assert again is not None and again.chosen == found.chosen
    assert circuit_sections(run)[0].title.startswith("The mechanism")
