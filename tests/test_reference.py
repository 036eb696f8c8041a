"""Runs that come with the package: small copies of real ones."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from grok_interp.presets import training_preset
from grok_interp.reference import FOLDER, load_reference, references, write_reference
from grok_interp.results.analyzer import Analyzer
from grok_interp.results.store import ResultStore
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.runs.saved_checkpoints import SavedCheckpoints
from grok_interp.studies import copying, modular
from grok_interp.studies.catalog import study_of
from grok_interp.studies.copying.natural_text import natural_copying_of_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_training(tmp_path_factory.mktemp("reference") / "run", training_preset("modular-tiny"))


def test_a_copy_in_bfloat16_answers_like_the_run_but_for_rounding(run: Run, tmp_path: Path) -> None:
    copy = write_reference(run, tmp_path / "small", [0, 20])
    assert copy.steps == (0, 20)
    assert copy.config == run.config
    tokens = torch.randint(5, (7, 24))
    with torch.no_grad():
        ours, theirs = run.load(20)(tokens), copy.load(20)(tokens)
    assert not torch.equal(ours, theirs)
    torch.testing.assert_close(ours, theirs, atol=2e-2, rtol=2e-2)
    assert copy.checkpoints.path(20).stat().st_size < 0.7 * run.checkpoints.path(20).stat().st_size


def test_a_copy_is_analyzed_like_any_run(run: Run, tmp_path: Path) -> None:
    copy = write_reference(run, tmp_path / "small", [5, 20])
    results = modular.analyze(copy, modular.evaluation_inputs(copy, n_contexts=3))
    assert results.steps == (5, 20)


def test_nothing_is_overwritten_and_nothing_half_written(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="exists: delete it first"):
        write_reference(run, tmp_path, [0])
    with pytest.raises(ValueError, match="no step 7 in"):
        write_reference(run, tmp_path / "small", [0, 7])
    assert not (tmp_path / "small").exists()


def test_an_unknown_reference_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="no reference 'modular-p101': there are "):
        load_reference("modular-p101")


def stored_results(run: Run):
    """Fails if a checkpoint has to be evaluated."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SavedCheckpoints, "load", lambda *_: pytest.fail("a result is not stored"))
        return study_of(run).analyze(run)


@pytest.mark.parametrize("name", references())
def test_each_is_analyzed_already_and_small(name: str) -> None:
    run = load_reference(name)
    assert stored_results(run).steps == run.steps
    assert sum(file.stat().st_size for file in run.directory.rglob("*") if file.is_file()) < 5_000_000


@pytest.mark.parametrize("name", references())
def test_a_report_of_each_evaluates_only_attention(name: str, tmp_path: Path, monkeypatch) -> None:
    """All else that it shows is stored; attention patterns are too large to come with the package."""
    evaluated: list[str] = []
    add = ResultStore._add

    def noted(store: ResultStore, analyzer: Analyzer, *parts: Any) -> Any:
        evaluated.append(analyzer.name)
        return add(store, analyzer, *parts)

    monkeypatch.setattr(ResultStore, "_add", noted)
    run = Run.open(shutil.copytree(FOLDER / name, tmp_path / name))
    page = study_of(run).report_page(run)
    assert len(page.sections) > 6 and set(evaluated) == {"head_patterns"}


def test_the_modular_reference_answers_today_as_its_results_say() -> None:
    run = load_reference("modular-p11")
    inputs, stored = modular.evaluation_inputs(run), stored_results(run)
    step = stored.best_step
    again = modular.ModularResults.of_model(run.load(step), modular.ModularResults.analyzers(inputs), step=step)
    difference = abs(again.shots.at(step)["accuracy"] - stored.shots.at(step)["accuracy"]).sel(queries="all")
    assert float(difference.max()) < 0.01, "but for ties that another machine's rounding breaks otherwise"


def test_the_copying_reference_is_evaluated_without_its_text_as_its_results_say(monkeypatch) -> None:
    """Another Python has another standard library: nothing may need the text that the run was trained on."""
    monkeypatch.setattr("grok_interp.training.batches.open_corpus", lambda *_: pytest.fail("the text was opened"))
    run = load_reference("copier-mini")
    inputs, stored = copying.evaluation_inputs(run), stored_results(run)
    assert stored.accuracy.n_samples == 100
    step = run.steps[-1]
    again = copying.CopyingResults.of_model(run.load(step), copying.CopyingResults.analyzers(inputs), step=step)
    assert abs(float(again.accuracy.exact_match()[0] - stored.accuracy.exact_match()[-1])) < 0.01
    assert float(abs(again.induction["I"][0] - stored.induction["I"][-1]).max()) < 0.01
    assert float(stored.accuracy.per_sequence()[-1].min()) > 0.9, "it copies every string"
    assert natural_copying_of_run(run).dataset.sizes["checkpoint"] == len(run)
