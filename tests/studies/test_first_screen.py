"""The first screen of a report: one sentence in every case, and at most six numbers."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ground_truth import INDUCTION_HEAD, distinct_copy_samples, induction_circuit, repeated_distinct_tokens

from grok_interp import head_ablation, load_reference
from grok_interp.analysis.ablation import HeadAblation
from grok_interp.analysis.copying import CopyingAccuracy
from grok_interp.analysis.emergence import Emergence
from grok_interp.plots.marks import Line
from grok_interp.plots.page import Headline, Page
from grok_interp.studies import modular
from grok_interp.studies.copying import CopyingResults, analyze, first_screen
from grok_interp.studies.copying.first_screen import FirstScreen
from grok_interp.studies.modular.first_screen import FirstScreen as ModularFirstScreen

DEAD_HEAD = (1, 3)


@pytest.fixture(scope="module")
def results() -> CopyingResults:
    """Of the run that comes with the package, in which copying emerges."""
    return analyze(load_reference("copier-mini"))


def ablation_of(head: tuple[int, int]) -> HeadAblation:
    """In the circuit that is built by hand."""
    options: dict[str, Any] = {"how": "zero", "n_draws": 1, "seed": 0}
    samples, tokens = distinct_copy_samples(), repeated_distinct_tokens()
    return head_ablation([(0, induction_circuit())], samples, tokens, heads=[head], **options)


def at_chance(results: CopyingResults) -> CopyingResults:
    dataset = results.accuracy.dataset
    return replace(results, accuracy=CopyingAccuracy(dataset.assign(correct=0 * dataset["correct"])))


def test_the_sentence_says_when_how_sure_after_how_much_of_the_loss_and_on_how_many_seeds(
    results: CopyingResults,
) -> None:
    screen = FirstScreen(results, None)
    onset, made = screen.onset, screen.loss_made
    assert screen.answer() == (
        f"Copying emerged at step {onset.value:,.0f} (95% CI over 9 checkpoints: {onset.low:,.0f}-"
        f"{onset.high:,.0f}), after {made.value:.0%} of the drop in validation loss; no head has been "
        "ablated yet (L2H2 has the largest induction score, 0.74). One seed; others may differ."
    )
    assert 500 <= onset.low <= onset.value <= onset.high <= 750
    assert 0.5 < made.low <= made.value <= made.high < 1


def test_copying_of_tokens_without_a_whole_string_is_not_called_copying(results: CopyingResults) -> None:
    correct = results.accuracy.dataset["correct"]
    without_the_last = correct.where(correct["char"] < int(correct["char"].max()), 0)
    accuracy = CopyingAccuracy(results.accuracy.dataset.assign(correct=without_the_last.astype(correct.dtype)))
    said = FirstScreen(replace(results, accuracy=accuracy), None).answer()
    assert said.startswith("Copying of single tokens (exact match is 0% [0, 1] at the end) emerged at step ")


def test_heads_carry_copying_if_their_ablation_removes_more_than_that_of_random_heads(results: CopyingResults) -> None:
    carried = FirstScreen(results, ablation_of(INDUCTION_HEAD)).answer()
    assert "; L1H0 carries it: ablating it removes 100% [" in carried
    assert "of it (random heads: 0% [" in carried and carried.endswith(
        "]; 95% CI over 5 samples). One seed; others may differ."
    )
    dead = FirstScreen(results, ablation_of(DEAD_HEAD)).answer()
    assert "; no head is found that carries it: ablating L1H3 removes 0% [" in dead


def test_several_heads_are_named_up_to_three(results: CopyingResults) -> None:
    ablation = ablation_of(INDUCTION_HEAD)

    def sentence(heads: str) -> str:
        return FirstScreen(results, HeadAblation(ablation.dataset.assign_attrs(heads=heads))).answer()

    assert "L1H0, L1H1 and L1H2 carry it: ablating them removes" in sentence("L1H0 L1H1 L1H2")
    assert "L1H0 and 3 other induction heads carry it" in sentence("L1H0 L1H1 L1H2 L1H3")


def test_what_is_not_known_is_said(results: CopyingResults, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = FirstScreen(at_chance(results), None)
    assert nothing.answer().startswith("Copying did not emerge within 4,000 updates. Per-token accuracy is 0.0%")
    assert nothing.answer().endswith(
        "at step 4,000 (95% CI over 100 samples x 5 strings); chance is 1.1%. One seed; others may differ."
    )
    few = FirstScreen(results.at([0, 4000]), None)
    assert few.answer().startswith("Cannot tell when copying emerged: 2 checkpoints are too few, 8 are needed.")
    monkeypatch.setattr(first_screen, "rise", lambda *_, **__: Emergence(0.2, 0.4, 9, 0.95, "cannot tell"))
    unclear = FirstScreen(results, None)
    assert unclear.answer().startswith(
        "Cannot tell whether copying emerged: at these 9 checkpoints a clear rise would be detected with a probability "
        "of 40% only."
    )
    assert [card.value for card in unclear.cards()].count("cannot tell") == 2, "copying and the score of the head"


def test_at_most_six_numbers_and_each_has_an_interval(results: CopyingResults) -> None:
    cards = FirstScreen(results, ablation_of(INDUCTION_HEAD)).cards()
    assert len(cards) == 6
    assert all("[" in card.value for card in cards)
    assert len(FirstScreen(at_chance(results), None).cards()) == 4, "without an onset, and without an ablation"
    with pytest.raises(ValueError, match="a page has at most 6 headlines, got 7: put the others in a section"):
        Page("?", "", [Headline("1", "one")] * 7, [], {})


def test_the_figure_has_the_onset_in_every_panel_and_the_strongest_head_apart(results: CopyingResults) -> None:
    drawing = FirstScreen(results, None).drawing
    onset = FirstScreen(results, None).onset
    assert [(shade.low, shade.high) for panel in drawing.panels for shade in panel.shades] == [
        (onset.low, onset.high)
    ] * 2
    *others, strongest = [line for line in drawing.panels[1].marks if isinstance(line, Line)]
    assert (strongest.label, strongest.entry) == ("L2H2", "L2H2")
    assert {line.entry for line in others} == {"other heads"}
    np.testing.assert_allclose(np.asarray(strongest.y), results.induction["I"].sel(layer=2, head=2))
    assert len(FirstScreen(at_chance(results), ablation_of(INDUCTION_HEAD)).drawing.panels) == 3


def test_the_caption_has_the_loss_where_there_is_one(results: CopyingResults) -> None:
    captions = [FirstScreen(each, None).overview().caption for each in (results, replace(results, loss=None))]
    assert [caption.split(". ")[0] for caption in captions] == [
        "Top: accuracy, and the drop in validation loss as a fraction of its total",
        "Top: accuracy",
    ]


def test_the_modular_sentence_has_the_rise_and_the_phase_with_its_probability() -> None:
    results = modular.analyze(load_reference("modular-p11"))
    screen = ModularFirstScreen(results, 0.75)
    step, phase = results.best_step, screen.phases[results.best_step]
    assert (
        f"; at step {step:,}, where it is best, the phase is {phase} (probability over 2,600-2,601 contexts per "
        "split). One seed; others may differ." in screen.answer()
    )
    assert len(screen.cards()) == 6
    assert all("[" in card.value for card in screen.cards()[:4])
    untrained = ModularFirstScreen(results.at([0]), 0.75)
    assert untrained.answer() == (
        "Cannot tell when accuracy on unseen tasks rose: 1 checkpoint is too few, 8 are needed; at step 0, where it is "
        "best, the phase is nothing learned >99% (probability over 2,600-2,601 contexts per split). "
        "One seed; others may differ."
    )
