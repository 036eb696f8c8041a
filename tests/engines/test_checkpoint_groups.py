"""`analyze --jobs`: groups of checkpoints, the results of one process, and messages of those that failed."""

import shutil
from pathlib import Path

import pytest
import torch
import xarray as xr

from grok_interp.cli import main
from grok_interp.configs import TrainConfig
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.studies.catalog import study_of


@pytest.fixture
def run(tiny: TrainConfig, tmp_path: Path) -> Run:
    return run_training(tmp_path / "run", tiny)


def results(run: Run) -> list[xr.Dataset]:
    """Stored ones; a checkpoint that was not evaluated raises an error."""
    analyzers = study_of(run).analyzers(run)
    assert not any(run.results.missing(analyzer, run.checkpoints, run.steps) for analyzer in analyzers)
    return [result.dataset for result in run.evaluate(analyzers)]


def test_groups_give_the_results_of_one_process(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(run.directory, alone)
    assert main(["analyze", str(alone), "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert main(["analyze", str(run), "--device", "cpu", "--jobs", "2"]) == 0
    printed = capsys.readouterr()
    assert printed.out == said and "analyzing checkpoints: 5 of 5" in printed.err
    for found, expected in zip(results(run), results(Run.open(alone)), strict=True):
        xr.testing.assert_identical(found, expected)
    assert main(["analyze", str(run), "--device", "cpu", "--jobs", "1"]) == 0
    assert "analyzing checkpoints: 5 of 5" not in capsys.readouterr().err, "nothing is evaluated twice"


def test_a_group_that_fails_is_named_and_the_others_are_stored(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    file = run.directory / "checkpoints" / "step_00000010.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert main(["analyze", str(run), "--device", "cpu", "--jobs", "1"]) == 6
    said = capsys.readouterr().err
    assert "1 of 3 failed" in said and "steps 10 to 15 failed: " in said and file.name in said
    file.write_bytes(content)
    assert main(["analyze", str(run), "--device", "cpu", "--jobs", "1"]) == 0
    assert len(results(Run.open(run.directory))) == 4


def test_a_series_from_elsewhere(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ckpts").mkdir()
    for step, model in run:
        torch.save(model.state_dict(), tmp_path / "ckpts" / f"model_{step}.pt")
    where = tmp_path / "series"
    command = ["analyze", str(tmp_path / "ckpts" / "model_{step}.pt"), "--model", "copier-tiny", "--run", str(where)]
    assert main([*command, "--device", "cpu", "--jobs", "1"]) == 0
    printed = capsys.readouterr()
    assert "5 checkpoints" in printed.out
    assert printed.err.count("analyzing checkpoints: 5 of 5") == 1, "what an audit reads is stored with the results"
    assert len(results(Run.open(where))) > 1
