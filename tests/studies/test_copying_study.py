"""Every checkpoint of a run is asked the same questions, and none twice."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from grok_interp.analysis.copying import CopyingAccuracy
from grok_interp.configs import TrainConfig
from grok_interp.data.copying import CopyTask
from grok_interp.models.weights import canonical_views
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.runs.saved_checkpoints import SavedCheckpoints
from grok_interp.studies.copying import CopyingResults, analyze, evaluation_inputs, figure_2, figure_6, strings
from grok_interp.studies.copying.accuracy_sections import strings_table
from grok_interp.studies.copying.copying_report import numbers, report_page
from grok_interp.studies.copying.example_section import prompt
from grok_interp.studies.study import write_report


@pytest.fixture
def run(tiny: TrainConfig, tmp_path: Path) -> Run:
    return run_training(tmp_path / "run", tiny)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps that were loaded from disk, in order."""
    steps: list[int] = []
    load = SavedCheckpoints.load

    def noted(series: SavedCheckpoints, step: int):
        steps.append(step)
        return load(series, step)

    monkeypatch.setattr(SavedCheckpoints, "load", noted)
    return steps


def same(a: CopyingResults, b: CopyingResults) -> bool:
    pairs = [(getattr(a, name), getattr(b, name)) for name in a.each]
    return all(x.dataset.equals(y.dataset) and x.dataset.attrs == y.dataset.attrs for x, y in pairs)


def test_all_checkpoints_are_analyzed_and_saved(run: Run) -> None:
    results = analyze(run, evaluation_inputs(run))
    assert results.steps == (0, 5, 10, 15, 20)
    assert same(results, analyze(Run.open(run.directory)))


def test_a_second_analysis_loads_only_what_is_new(run: Run, loaded: list[int]) -> None:
    inputs, hidden = evaluation_inputs(run), run.directory / "later.safetensors"
    (run.directory / "checkpoints" / "step_00000015.safetensors").rename(hidden)
    analyze(run, inputs)
    hidden.rename(run.directory / "checkpoints" / "step_00000015.safetensors")
    results = analyze(run, inputs)
    assert loaded == [0, 5, 10, 20, 15]
    assert results.steps == (0, 5, 10, 15, 20)
    one_by_one = [CopyingResults.of_model(model, CopyingResults.analyzers(inputs), step=step) for step, model in run]
    for name, result in results.each.items():
        first, *later = (each.each[name] for each in one_by_one)
        assert result.dataset.equals(first.extended(*later).dataset)


def test_other_inputs_start_anew(run: Run, loaded: list[int]) -> None:
    analyze(run, evaluation_inputs(run))
    results = analyze(run, evaluation_inputs(run, n_samples=7))
    assert len(loaded) == 10
    assert results.accuracy.dataset.sizes["sample"] == 7


def test_what_was_analyzed_before_an_interrupt_is_kept(
    run: Run, loaded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # one at a time: otherwise a third may have been loaded

    def interrupt(done: int, total: int) -> None:
        assert total == 5
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        analyze(run, evaluation_inputs(run), on_checkpoint=interrupt)
    (first, *_) = CopyingResults.analyzers(inputs := evaluation_inputs(run))
    assert run.results.missing(first, run.checkpoints, run.steps) == [10, 15, 20]
    analyze(run, inputs)
    assert loaded == [0, 5, 10, 15, 20]


def test_a_run_without_checkpoints_is_refused(run: Run) -> None:
    for file in (run.directory / "checkpoints").iterdir():
        file.unlink()
    with pytest.raises(ValueError, match="has no checkpoints yet: train it first"):
        analyze(run, evaluation_inputs(run))


def test_inputs_fit_the_context(run: Run) -> None:
    inputs = evaluation_inputs(run)
    assert inputs.samples.task.n_sequences == 2  # 2 * 19 + 18 = 56 of 64 tokens
    assert inputs.tokens.shape == (32, 64)
    assert inputs.windows.shape[1] == 65


def test_a_context_shorter_than_one_string_is_refused(tiny: TrainConfig, tmp_path: Path) -> None:
    config = tiny.with_model(n_ctx=36).with_data(segment_lengths=(4, 8))
    run_training(tmp_path / "short", config)
    with pytest.raises(ValueError, match="copy test of 1 sequences needs 37 tokens, the context holds 36"):
        evaluation_inputs(Run.open(tmp_path / "short"))


def test_the_alphabet_is_printable_and_beside_it_hexadecimal(run: Run) -> None:
    inputs = evaluation_inputs(run)
    assert inputs.samples.task.alphabet == tuple(range(33, 127))
    assert bytes(inputs.hexadecimal.task.alphabet) == b"0123456789abcdef"
    results = analyze(run, inputs)
    found = [(each.dataset.attrs["alphabet"], each.dataset.attrs["n_symbols"]) for each in accuracies(results)]
    assert found == [("printable", 94), ("hexadecimal", 16)]
    stored = {file.name.partition("-")[0] for file in run.results.folder.glob("*copying_accuracy*")}
    assert stored == {"copying_accuracy", "hexadecimal_copying_accuracy"}


def test_with_the_papers_alphabet_the_test_is_on_hexadecimal_strings_alone(tiny: TrainConfig, tmp_path: Path) -> None:
    run_training(
        tmp_path / "paper", replace(tiny.with_data(test_alphabet="hexadecimal"), n_steps=5, checkpoint_steps=(5,))
    )
    run = Run.open(tmp_path / "paper")
    inputs = evaluation_inputs(run)
    assert bytes(inputs.samples.task.alphabet) == b"0123456789abcdef"
    results = analyze(run, inputs)
    assert results.hexadecimal is None
    assert results.accuracy.dataset.attrs["alphabet"] == "hexadecimal"
    page = write_report(run, report_page(run, results, inputs, threshold=0.1)).read_text()
    assert "16 hexadecimal symbols; so does the paper." in page


def accuracies(results: CopyingResults) -> list[CopyingAccuracy]:
    return [results.accuracy, results.hexadecimal]


def test_inputs_speak_the_corpus_own_tokens(tiny: TrainConfig, tmp_path: Path) -> None:
    """With BPE the test's characters are other token ids, and each is one token."""
    config = tiny.with_data(vocabulary="bpe").with_model(d_vocab=400)
    run_training(tmp_path / "bpe", replace(config, n_steps=2, warmup_steps=0))
    inputs = evaluation_inputs(Run.open(tmp_path / "bpe"), n_samples=3)
    assert len(set(inputs.hexadecimal.task.alphabet)) == 16
    assert inputs.hexadecimal.task.alphabet != CopyTask().alphabet
    assert len(inputs.samples.task.alphabet) > 94
    assert inputs.samples.task.separator == inputs.hexadecimal.task.separator != CopyTask().separator
    run = Run.open(tmp_path / "bpe")
    results = analyze(run, inputs)
    assert results.steps == (0, 2)
    page = write_report(run, report_page(run, results, inputs, threshold=0.1)).read_text()
    assert "random strings of 12 + 6 symbols" in page


def test_the_prompt_is_a_test_with_its_answer(run: Run) -> None:
    inputs = evaluation_inputs(run)
    tokens, text = prompt(run.load(20), inputs.samples, analyze(run, inputs).accuracy)
    first, second, again = bytes(tokens.tolist()).decode().split("\n")
    assert again == first != second
    assert len(first) == 18
    assert (
        text == "Sample 0, string 0 of the copying test, with its answer. No suffix is copied at the last checkpoint."
    )


def test_headlines_of_a_run_in_which_nothing_emerged(run: Run) -> None:
    results = analyze(run, evaluation_inputs(run))
    found = numbers(results, threshold=0.9)
    assert found["exact-match accuracy at the last checkpoint, 95% CI (100 samples x 2 strings)"] == "0.0% [0.0, 1.9]"
    assert found["exact-match accuracy by string 0-1"] == "0 / 0% (95% CIs ±4 or less)"
    assert found["exact-match accuracy on hexadecimal strings by string 0-1"] == "0 / 0% (95% CIs ±4 or less)"
    assert found["number of heads with I(L, H) above 0.9 at some checkpoint"] == "0"


def test_figures_draw_every_checkpoint(run: Run) -> None:
    results = analyze(run, evaluation_inputs(run))
    accuracy, loss = figure_2(run).panels
    assert [line.x.tolist() for line in (*accuracy.marks, *loss.marks)] == [[0, 5, 10, 15, 20]] * 3
    assert loss.marks[0].y.tolist() == results.loss.mean().values.tolist()
    (panel,) = figure_6(run, threshold=-1.0).panels
    assert sum(len(mark.x) == 5 for mark in panel.marks) == 4  # one curve a head
    assert sum(len(mark.x) == 1 for mark in panel.marks) == 4  # one dot a head: all are above -1


def test_the_report_says_what_was_run_and_what_did_not_emerge(run: Run, tiny: TrainConfig) -> None:
    inputs = evaluation_inputs(run)
    page = write_report(run, report_page(run, analyze(run, inputs), inputs, threshold=0.1)).read_text()
    assert "50% of the training windows contain synthetic copies" in page
    assert "Exact-match accuracy is 0% at every checkpoint: no string is copied." in page
    assert inputs.corpus_hash[:12] in page
    dropped, examined = inputs.held_out.n_dropped, inputs.held_out.n_examined
    assert f"{dropped:,} of {examined:,} validation windows were dropped because they share a 50-token span" in page
    assert {file.name for file in (run.directory / "figures").iterdir()} == {
        f"{name}.{suffix}"
        for name in ("overview", "copying_and_loss", "strings", "formation")
        for suffix in ("svg", "pdf")
    }
    assert "printable strings, last checkpoint: 0.0% [0.0, 1.9] exact match (95% ci over 100 samples x 2 strings)" in (
        page.lower()
    )
    assert "No suffix is copied at the last checkpoint. Shown: the first evaluation input" in page


def test_the_report_names_checkpoints_without_an_accuracy(run: Run) -> None:
    """Weights of NaN at steps 10 and 20."""
    for step in (10, 20):
        model = run.load(step)
        for weight in canonical_views(model).values():
            weight.fill_(torch.nan)
        run.checkpoints.save(step, model)
    inputs = evaluation_inputs(run, n_samples=3, n_windows=4)
    results = analyze(run, inputs)
    assert results.accuracy.undefined_steps == [10, 20]
    assert numbers(results, threshold=0.1)["exact-match accuracy by string 0-1"] == "undefined"
    page = write_report(run, report_page(run, results, inputs, threshold=0.1)).read_text()
    for alphabet in ("printable", "hexadecimal"):
        assert f"Logits are not finite at step 10, 20: accuracy on {alphabet} strings is undefined there." in page
    assert "The logits of the last checkpoint are not finite" in page
    assert "Cannot tell when copying emerged: 3 finite checkpoints are too few, 8 are needed." in page
    assert "Exact-match accuracy is 0% at every finite checkpoint: no string is copied." in page


def test_exact_match_by_string_is_a_figure(run: Run) -> None:
    results = analyze(run, evaluation_inputs(run))
    for panel, accuracy in zip(strings(run).panels, accuracies(results), strict=True):
        assert [line.x.tolist() for line in panel.marks] == [[0, 5, 10, 15, 20]] * 2
        assert accuracy.dataset.attrs["alphabet"] in panel.title
    table = strings_table(accuracies(results))
    assert len(table) == 2 * 5 * 2
    assert list(table) == ["checkpoint", "sequence", "exact_match", "low", "high", "alphabet"]


def test_a_partial_run_is_reported_as_partial(run: Run) -> None:
    (run.directory / "checkpoints" / "step_00000020.safetensors").unlink()
    inputs = evaluation_inputs(run)
    page = write_report(run, report_page(run, analyze(run, inputs), inputs, threshold=0.1)).read_text()
    assert "Partial run: analyzed up to step 15 of 20." in page
