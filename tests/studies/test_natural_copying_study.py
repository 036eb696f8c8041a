"""Copying in the natural text of a run: its own validation text, cached, and drawn by the command line."""

from pathlib import Path

import numpy as np
import pytest
from ground_truth import measured

from grok_interp.cli import main
from grok_interp.configs import TrainConfig
from grok_interp.data.document_windows import document_windows
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.runs.saved_checkpoints import SavedCheckpoints
from grok_interp.studies.copying import natural
from grok_interp.studies.copying.evaluation_text import EvaluationText, corpus_of_run
from grok_interp.studies.copying.natural_text import default_n, natural_copying_of_run


@pytest.fixture
def run(tiny: TrainConfig, tmp_path: Path) -> Run:
    """A run on some 60 documents, the parts of one text; 30% of the text is for validation."""
    text, folder = Path(tiny.data.source).read_text(), tmp_path / "documents"
    folder.mkdir()
    for number in range(0, len(text), len(text) // 60):
        (folder / f"{number:06}.txt").write_text(text[number : number + len(text) // 60])
    config = tiny.with_data(source=str(folder), validation_fraction=0.3)
    return run_training(tmp_path / "run", config)


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


def test_a_run_is_evaluated_on_its_validation_documents(run: Run) -> None:
    result = natural_copying_of_run(run, n=3)
    assert result.dataset["checkpoint"].to_numpy().tolist() == [0, 5, 10, 15, 20]
    assert result.dataset.attrs["n"] == 3 and 2 < result.dataset.attrs["n_documents"] <= 60 * 0.3
    n_ctx, corpus = run.config.model.n_ctx, corpus_of_run(run)
    windows, _ = document_windows(corpus.validation, n_ctx=n_ctx, n_windows=512, end=0, leaks=corpus.leaks)
    assert result.dataset.attrs["n_windows"] == len(windows)
    assert np.isfinite(result["benefit"]).all()


def test_the_result_is_cached_until_something_differs(run: Run, loaded: list[int]) -> None:
    first = natural_copying_of_run(run, n=3, n_checkpoints=2)
    again = natural_copying_of_run(run, n=3, n_checkpoints=2)
    assert loaded == [0, 20] and again.dataset.equals(first.dataset)
    natural_copying_of_run(run, n=2, n_checkpoints=2)
    assert loaded == [0, 20] * 2, "another n"
    natural_copying_of_run(run, n=2, n_checkpoints=2, n_windows=11)
    assert loaded == [0, 20] * 3, "other windows"
    run.checkpoints.save(20, run.load(0))
    del loaded[:]
    changed = natural_copying_of_run(run, n=2, n_checkpoints=2, n_windows=11)
    assert loaded == [20], "another file under the same name"
    assert (measured(changed)[:, 0] == measured(changed)[:, 1]).all()


def test_the_command_line_draws_the_figure(run: Run) -> None:
    assert main(["reproduce", "copying/natural", "--run", str(run), "--quiet"]) == 0
    assert {file.suffix for file in (run.directory / "figures").glob("copying_natural.*")} == {".svg", ".pdf"}
    assert default_n(EvaluationText(run).vocabulary) == 8
    assert "tokens after the same 8 tokens" in natural(run).title
