"""Every checkpoint of a run is asked the same questions, and none twice."""

from dataclasses import replace
from pathlib import Path

import pytest

from grok_interp.checkpoints.run import run_training
from grok_interp.checkpoints.series import CheckpointSeries
from grok_interp.configs import TrainConfig
from grok_interp.data.copying import CopyTask
from grok_interp.studies.copying import CopyingResults, analyze, figure_2, figure_6, probes_of_run
from grok_interp.studies.copying.report import headlines, prompt, write_report


@pytest.fixture
def run(tiny: TrainConfig, tmp_path: Path) -> Path:
    run_training(tmp_path / "run", tiny)
    return tmp_path / "run"


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps that were loaded from disk, in order."""
    steps: list[int] = []
    load = CheckpointSeries.load

    def noted(series: CheckpointSeries, step: int):
        steps.append(step)
        return load(series, step)

    monkeypatch.setattr(CheckpointSeries, "load", noted)
    return steps


def same(a: CopyingResults, b: CopyingResults) -> bool:
    pairs = ((a.accuracy, b.accuracy), (a.loss, b.loss), (a.induction, b.induction))
    return all(x.array.equals(y.array) and x.array.attrs == y.array.attrs for x, y in pairs)


def test_all_checkpoints_are_analyzed_and_saved(run: Path) -> None:
    results = analyze(run, probes_of_run(run))
    assert results.steps == (0, 5, 10, 15, 20)
    assert same(results, CopyingResults.load(run / "results"))


def test_a_second_analysis_loads_only_what_is_new(run: Path, loaded: list[int]) -> None:
    probes, hidden = probes_of_run(run), run / "later.safetensors"
    (run / "checkpoints" / "step_00000015.safetensors").rename(hidden)
    analyze(run, probes)
    hidden.rename(run / "checkpoints" / "step_00000015.safetensors")
    results = analyze(run, probes)
    assert loaded == [0, 5, 10, 20, 15]
    assert results.steps == (0, 5, 10, 15, 20)
    answers = [CopyingResults.ask(pair, probes) for pair in CheckpointSeries(run)]
    assert same(results, answers[0].extended(*answers[1:]))


def test_other_probes_start_anew(run: Path, loaded: list[int]) -> None:
    analyze(run, probes_of_run(run))
    results = analyze(run, probes_of_run(run, n_samples=7))
    assert len(loaded) == 10
    assert results.accuracy.array.sizes["sample"] == 7


def test_what_an_older_version_answered_is_asked_anew(run: Path, loaded: list[int], monkeypatch) -> None:
    probes = probes_of_run(run)
    analyze(run, probes)
    monkeypatch.setattr(CopyingResults, "version", CopyingResults.version + 1)
    analyze(run, probes)
    analyze(run, probes)
    assert len(loaded) == 10


def test_what_was_analyzed_before_an_interrupt_is_kept(run: Path, loaded: list[int]) -> None:
    def interrupt(done: int, total: int) -> None:
        assert total == 5
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        analyze(run, probes_of_run(run), on_checkpoint=interrupt)
    assert CopyingResults.load(run / "results").steps == (0, 5)
    analyze(run, probes_of_run(run))
    assert loaded == [0, 5, 10, 15, 20]


def test_a_run_without_checkpoints_is_refused(run: Path) -> None:
    for file in (run / "checkpoints").iterdir():
        file.unlink()
    with pytest.raises(ValueError, match="has no checkpoints yet: train it first"):
        analyze(run, probes_of_run(run))


def test_probes_fit_the_context(run: Path) -> None:
    probes = probes_of_run(run)
    assert probes.samples.task.n_sequences == 2  # 2 * 19 + 18 = 56 of 64 tokens
    assert probes.tokens.shape == (32, 64)
    assert probes.windows.shape[1] == 65


def test_a_context_shorter_than_one_string_is_refused(tiny: TrainConfig, tmp_path: Path) -> None:
    config = tiny.with_model(n_ctx=36).with_data(segment_lengths=(4, 8))
    run_training(tmp_path / "short", config)
    with pytest.raises(ValueError, match="copy test of 1 sequences needs 37 tokens, the context holds 36"):
        probes_of_run(tmp_path / "short")


def test_probes_speak_the_corpus_own_tokens(tiny: TrainConfig, tmp_path: Path) -> None:
    """With BPE the test's characters are other token ids, and each is one token."""
    config = tiny.with_data(vocabulary="bpe").with_model(d_vocab=400)
    run_training(tmp_path / "bpe", replace(config, n_steps=2, warmup_steps=0))
    probes = probes_of_run(tmp_path / "bpe", n_samples=3)
    assert len(set(probes.samples.task.alphabet)) == 16
    assert probes.samples.task.alphabet != CopyTask().alphabet
    assert analyze(tmp_path / "bpe", probes).steps == (0, 2)


def test_the_prompt_is_a_test_with_its_answer(run: Path) -> None:
    tokens = bytes(prompt(probes_of_run(run)).tolist()).decode()
    first, second, again = tokens.split("\n")
    assert again == first != second
    assert len(first) == 18


def test_headlines_of_a_run_in_which_nothing_emerged(run: Path) -> None:
    results = analyze(run, probes_of_run(run))
    found = headlines(results, threshold=0.9)
    assert found["of suffixes copied whole at the last checkpoint"] == "0.0%"
    assert found["heads with I(L,H) above 0.9 at some checkpoint"] == "0"


def test_figures_draw_every_checkpoint(run: Path) -> None:
    results = analyze(run, probes_of_run(run))
    accuracy, loss = figure_2(run).axes
    assert [line.get_xdata().tolist() for line in (*accuracy.lines, *loss.lines)] == [[0, 5, 10, 15, 20]] * 3
    assert loss.lines[0].get_ydata().tolist() == results.loss.mean().values.tolist()
    (axis,) = figure_6(run, threshold=-1.0).axes
    assert sum(len(line.get_xdata()) == 5 for line in axis.lines) == 4  # one curve a head
    assert sum(len(line.get_xdata()) == 1 for line in axis.lines) == 4  # one dot a head: all are above -1


def test_the_report_says_what_was_run_and_what_did_not_emerge(run: Path, tiny: TrainConfig) -> None:
    probes = probes_of_run(run)
    page = write_report(run, analyze(run, probes), probes, threshold=0.1).read_text()
    assert "50% of the training windows contain synthetic copies" in page
    assert "copying has not emerged in this run" in page
    assert probes.corpus_hash[:12] in page
    dropped, examined = probes.held_out.n_dropped, probes.held_out.n_examined
    assert f"{dropped:,} of {examined:,} validation windows were dropped because they share a 50-token span" in page
    assert {file.name for file in (run / "figures").iterdir()} == {
        f"{name}.{suffix}" for name in ("copying_and_loss", "formation") for suffix in ("svg", "pdf")
    }


def test_a_partial_run_is_reported_as_partial(run: Path) -> None:
    (run / "checkpoints" / "step_00000020.safetensors").unlink()
    probes = probes_of_run(run)
    page = write_report(run, analyze(run, probes), probes, threshold=0.1).read_text()
    assert "Partial run: analyzed up to step 15 of 20." in page
