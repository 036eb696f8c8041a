"""Do the heads that the score finds do the copying? On the circuit written by hand the study says yes, and which."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ground_truth import (
    CIRCUIT,
    INDUCTION_HEAD,
    PREVIOUS_TOKEN_HEAD,
    distinct_copy_samples,
    induction_circuit,
    random_tokens,
    repeated_distinct_tokens,
)

from grok_interp import plots
from grok_interp.analysis.ablation import HeadAblation
from grok_interp.analysis.ablation_arguments import WAYS
from grok_interp.analysis.ablation_samples import MEASURES
from grok_interp.analysis.head_scores import HeadScores, head_scores
from grok_interp.analysis.induction import InductionScores, induction_scores
from grok_interp.analysis.single_ablation import single_ablation
from grok_interp.configs import TrainConfig
from grok_interp.data.copying import CopyTask
from grok_interp.models.transformer import Transformer
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.runs.saved_checkpoints import SavedCheckpoints
from grok_interp.studies.copying import ablation_results
from grok_interp.studies.copying.ablation_inputs import (
    AblationInputs,
    ablation_inputs,
    formed_heads,
    induction_circuits,
    n_control_sets,
    never_controls,
    spared_heads,
    unambiguous_match,
    with_controls,
)
from grok_interp.studies.copying.ablation_report import (
    ablation_section,
    ablation_table,
    ablation_text,
    single_heads_section,
    single_heads_text,
)
from grok_interp.studies.copying.ablation_results import ablation_of, ablations, single_ablations
from grok_interp.studies.copying.copying_results import analyze
from grok_interp.studies.copying.head_figures import ablation, single_heads

MODELS = [(step, induction_circuit(sharpness=sharpness)) for step, sharpness in ((0, 0.0), (10, 30.0), (20, 30.0))]


def scores_of_circuit() -> tuple[InductionScores, HeadScores]:
    tokens = repeated_distinct_tokens()
    names = ["previous_token", "k_composition"]
    return induction_scores(MODELS, tokens), head_scores(MODELS[-1:], tokens, scores=names)


def circuit_inputs(**changes: Any) -> AblationInputs:
    inputs = AblationInputs(
        heads=(INDUCTION_HEAD,),
        spared=(PREVIOUS_TOKEN_HEAD,),
        formed=(INDUCTION_HEAD,),
        samples=distinct_copy_samples(),
        windows=repeated_distinct_tokens(),
        reference=random_tokens(CIRCUIT, n_sequences=7, length=37, seed=1),
        n_match=1,
        n_draws=4,
    )
    return replace(inputs, **changes)


def small_scores(values: list[list[float]]) -> InductionScores:
    """I of layer x head at one checkpoint, Abar and EP the same."""
    return InductionScores.of_arrays(dict.fromkeys(InductionScores.measures, [values]), {"checkpoint": [0]})


def no_circuit(n_layers: int, n_heads: int) -> HeadScores:
    arrays = dict.fromkeys(["previous_token", "k_composition"], np.zeros((1, n_layers, n_heads)))
    return HeadScores.of_arrays(arrays, {"checkpoint": [0]}, {"chance": {"k_composition": 0.1}})


# Which heads, beside which


def test_the_circuit_is_found_and_its_other_half_spared() -> None:
    induction, scores = scores_of_circuit()
    assert formed_heads(induction) == [INDUCTION_HEAD]
    assert induction_circuits(induction, scores) == [(PREVIOUS_TOKEN_HEAD, INDUCTION_HEAD)]
    assert spared_heads([INDUCTION_HEAD], induction, scores) == (PREVIOUS_TOKEN_HEAD,)
    assert spared_heads([PREVIOUS_TOKEN_HEAD], induction, scores) == (INDUCTION_HEAD,)
    assert spared_heads([PREVIOUS_TOKEN_HEAD, INDUCTION_HEAD], induction, scores) == ()
    assert spared_heads([(1, 3)], induction, scores) == ()


def test_a_head_that_looks_elsewhere_is_no_half_of_a_circuit() -> None:
    tokens, blind = repeated_distinct_tokens(), [(20, induction_circuit(sharpness=0.0))]
    induction, _ = scores_of_circuit()
    assert not induction_circuits(induction, head_scores(blind, tokens, scores=["previous_token", "k_composition"]))


def test_formed_heads_are_taken_as_far_as_controls_are_left() -> None:
    induction, scores = small_scores([[0.0, 0.2], [0.5, 0.6]]), no_circuit(2, 2)
    assert formed_heads(induction) == [(1, 1), (1, 0), (0, 1)]
    assert with_controls(formed_heads(induction), induction, scores) == [(1, 1)], "L0H0 is the only other head"
    assert never_controls([(1, 1)], induction, scores) == ((0, 1), (1, 0)), "induction heads are no controls"
    assert formed_heads(small_scores([[0.0, 0.09]])) == []
    assert with_controls([(0, 0)], small_scores([[0.9], [0.0]]), no_circuit(2, 1)) == [(0, 0)], "beside L1H0"
    assert with_controls([(0, 0)], small_scores([[0.9], [0.9]]), no_circuit(2, 1)) == []


def test_sets_of_controls_are_counted() -> None:
    assert n_control_sets([(1, 0)], [], 5) == 4
    assert n_control_sets([(1, 0), (1, 1), (0, 2)], [(0, 1), (3, 3)], 5) == 3 * 3
    assert n_control_sets([(2, 1)], [], 2) == 1
    assert n_control_sets([(2, 1)], [(2, 0)], 2) == n_control_sets([(2, 1), (2, 0)], [], 2) == 0


def test_an_edge_is_named_by_more_characters_where_more_repeat_by_chance() -> None:
    assert unambiguous_match(CopyTask.fitting(128)) == 3  # 113 tokens: .44 by chance after two, .03 after three
    assert unambiguous_match(CopyTask.fitting(1024)) == 4
    assert unambiguous_match(CopyTask(n_sequences=2, n_prefix=2, n_suffix=2)) == 2, "no longer than the prefix"


# The circuit written by hand


@pytest.mark.parametrize("how", WAYS)
def test_without_what_the_score_finds_the_circuit_copies_nothing(how: str) -> None:
    last = ablation_of(MODELS, circuit_inputs(), how)["exact_match"].isel(checkpoint=-1)
    for condition, expected in {"intact": 1.0, "ablated": 0.0, "random": 1.0, "entropy": 1.0}.items():
        assert (last.sel(condition=condition) == expected).all()


def test_the_text_says_what_was_found() -> None:
    results = [ablation_of(MODELS, circuit_inputs(), how) for how in ("zero", "edges")]
    text = ablation_text(results, circuit_inputs())
    for said in (
        "Ablated: L1H0",
        "of the same circuit: L0H0.",
        "Intervals: 95% of one run (1 seed), over 5 samples x 2 strings (exact match, Wilson)",
        "an exact match above 2%: 10. ",
        "more than every control: 10 and all later ones (zero, edges).",
        "4 sets of random heads were drawn",
    ):
        assert said in text
    assert "Not ablated" not in text and "no induction head has formed" not in text


def test_the_table_has_what_is_left_at_the_last_step() -> None:
    table = ablation_table([ablation_of(MODELS, circuit_inputs(), how) for how in ("zero", "edges")])
    exact = table[table["measure"] == "exact match"].set_index("heads")
    expected = {
        "none": "100.0% [72.2, 100.0]",
        "L1H0": "0.0% [0.0, 27.8]",
        "as many random heads of the same layers": "100.0% [72.2, 100.0]",
    }
    for heads, cell in expected.items():
        assert exact.loc[heads, ["zero", "edges"]].tolist() == [cell, cell]
    assert set(table["measure"]) == {"exact match", "validation loss (nats)"}


def test_the_text_owns_up_to_a_single_control_and_to_what_never_came() -> None:
    inputs = circuit_inputs(n_draws=1, formed=(), spared=(*((0, head) for head in range(5)), (1, 1), (1, 2), (1, 3)))
    text = ablation_text([ablation_of(MODELS[:1], inputs, "zero")], inputs)
    assert "It is not above 0.1: no induction head has formed." in text
    assert "have one possible set of random heads, L1H4. At the last step it is also the closest in entropy" in text
    assert "an exact match above 2%: none. " in text and "every control: none (zero)" in text
    left = circuit_inputs(formed=(INDUCTION_HEAD, (1, 2)))
    assert "Not ablated, so that enough heads remain as controls: L1H2." in ablation_text(
        [ablation_of(MODELS, left, "zero")], left
    )


def test_the_text_on_single_heads_names_those_that_matter() -> None:
    induction, _ = scores_of_circuit()
    samples, windows = distinct_copy_samples(), repeated_distinct_tokens()
    result = single_ablation(MODELS[-1:], samples, windows, how="zero")
    text = single_heads_text([result], induction)
    assert "above 0.1 at the last step in L1H0 (" in text
    matter = text.split("that remains of 100.0% [72.2, 100.0]: zero: ")[1].split(". ")[0]
    assert "L1H0 0.0% [" in text and "L0H0 0.0%" in text and "H3" not in matter


# A run


@pytest.fixture
def run(tiny: TrainConfig, tmp_path: Path) -> Run:
    return run_training(tmp_path / "run", tiny)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ways that were measured, in order."""
    ways: list[str] = []

    def noted(checkpoints: Any, inputs: AblationInputs, how: str) -> HeadAblation:
        ways.append(how)
        return ablation_of(checkpoints, inputs, how)

    monkeypatch.setattr(ablation_results, "ablation_of", noted)
    return ways


def test_a_run_is_evaluated_in_every_way_and_stored(run: Run, measured: list[str]) -> None:
    told: list[tuple[int, int]] = []
    first = ablations(run, n_checkpoints=3, on_checkpoint=lambda done, to_do: told.append((done, to_do)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert sorted(measured) == sorted([*WAYS] * 3)
    for how, result in zip(WAYS, first, strict=True):
        assert result.dataset["checkpoint"].to_numpy().tolist() == [0, 10, 20]
        assert result.dataset.attrs["how"] == how
        assert result.dataset.sizes["draw"] == 1, "two heads a layer leave one other"
    again = ablations(run, n_checkpoints=3)
    assert len(measured) == 12, "nothing was measured twice"
    for result, known in zip(first, again, strict=True):
        assert known.dataset.equals(result.dataset) and known.dataset.attrs == result.dataset.attrs


def test_a_checkpoint_is_loaded_once_for_all_ways(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ablation_inputs(run, analyze(run))  # which reads the last checkpoint, to find its circuit
    loaded: list[int] = []
    load = SavedCheckpoints.load

    def noted(checkpoints: SavedCheckpoints, step: int) -> Transformer:
        loaded.append(step)
        return load(checkpoints, step)

    monkeypatch.setattr(SavedCheckpoints, "load", noted)
    ablations(run, n_checkpoints=3)
    assert sorted(loaded) == [0, 10, 20]


def test_what_is_kept_is_never_stale(run: Run, measured: list[str]) -> None:
    def ask(**options: Any) -> HeadAblation:
        return ablations(run, ways=["zero"], **{"n_checkpoints": 2, **options})[0]

    before = ask()
    layer, head = ablation_inputs(run, analyze(run)).heads[0]
    ask(heads=[(layer, 1 - head)])
    assert len(measured) == 4, "other heads"
    ask(n_checkpoints=3)
    assert len(measured) == 5, "one more checkpoint"
    ask()
    run.checkpoints.save(20, run.load(0))
    after = ask()
    assert len(measured) == 7, "another file under the same name, so other heads"
    steps_agree = [all((result[name][1] == result[name][0]).all() for name in MEASURES) for result in (after, before)]
    assert steps_agree == [True, False]


def test_figures_and_sections_of_a_run(run: Run, measured: list[str]) -> None:
    drawing, section = ablation(run), ablation_section(run)
    assert len(drawing.panels) == 12 and sorted(measured) == sorted([*WAYS] * 5)
    assert section.printed.startswith("<svg") and "no induction head has formed" in section.text
    assert "the last 2 tokens" in section.caption  # 56 tokens, 94 symbols: 56 / 94 ** 2 < 0.1 < 56 / 94
    assert len(single_heads(run).panels) == 8
    assert "in no head." in single_heads_section(run).text
    stored = {file.name.partition("-")[0] for file in (run.directory / "results").glob("*ablation_*")}
    assert stored == {f"{name}_{how}" for name in ("ablation", "single_ablation") for how in WAYS}


def test_donors_are_other_text_than_the_loss_is_measured_on(run: Run) -> None:
    inputs = ablation_inputs(run, analyze(run))
    windows, donors = ({tuple(row) for row in rows.tolist()} for rows in (inputs.windows[:, :-1], inputs.reference))
    assert windows and donors and not windows & donors
    assert set(inputs.options("zero")) == set() and set(inputs.options("edges")) == {"n_match"}


def test_a_single_checkpoint_is_enough(run: Run) -> None:
    for step in (0, 5, 10, 15):
        run.checkpoints.path(step).unlink()
    (result,) = ablations(run, ways=["zero"])
    assert result.dataset["checkpoint"].to_numpy().tolist() == [20]
    assert "every control: none (zero)" in ablation_text([result], ablation_inputs(run, analyze(run)))
    assert single_ablations(run, ways=["zero"])[0].dataset.sizes["checkpoint"] == 1


def test_heads_that_cannot_be_compared_are_refused(run: Run) -> None:
    with pytest.raises(ValueError, match="no head L5H0: the model has 2 layers of 2 heads"):
        ablations(run, heads=[(5, 0)])
    with pytest.raises(ValueError, match="needs distinct heads, one or more, got none"):
        ablations(run, heads=[])
    with pytest.raises(ValueError, match="how must be one of zero, mean, resample, edges, got 'delete'"):
        ablations(run, ways=["delete"])


def test_controls_of_a_whole_layer_are_of_the_other_layer(run: Run) -> None:
    (result,) = ablations(run, heads=[(1, 0), (1, 1)], ways=["zero"], n_checkpoints=2)
    assert (result.dataset["heads"].sel(condition=["random", "entropy"]).isin(["L0H0 L0H1", "L0H1 L0H0"])).all()
    text = ablation_text([result], ablation_inputs(run, analyze(run), heads=[(1, 0), (1, 1)]))
    assert "as many random heads" in ablation_table([result])["heads"].tolist()
    assert "random heads of other layers are used" in text


def test_without_controls_the_text_says_so(run: Run) -> None:
    heads = [(0, 0), (0, 1), (1, 0)]
    (result,) = ablations(run, heads=heads, ways=["zero"], n_checkpoints=2)
    assert not result.has_controls and result["exact_match"].sel(condition="random").isnull().all()
    text = ablation_text([result], ablation_inputs(run, analyze(run), heads=heads))
    assert "There are no controls: fewer than 3 heads are neither ablated nor induction heads" in text
    assert "random heads" not in text
    assert set(ablation_table([result])["heads"]) == {"none", "L0H0 L0H1 L1H0"}
    assert plots.on_paper(plots.ablation([result])).legends[0].get_texts()[0].get_text() == (
        "without random heads of the same layers: none left"
    )


def test_a_layer_of_one_head_has_its_control_in_another_layer(tiny: TrainConfig, tmp_path: Path) -> None:
    run = run_training(tmp_path / "one", tiny.with_model(n_heads=1))
    for section in (ablation_section(run), single_heads_section(run)):
        assert section.printed.startswith("<svg")
    assert "random heads of other layers are used" in ablation_section(run).text
