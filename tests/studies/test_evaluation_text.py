"""A run's evaluation text is stored with it: its source may move afterwards."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from grok_interp.checksums import with_sha256
from grok_interp.configs import TrainConfig
from grok_interp.files import DamagedFileError
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.studies.copying.copying_report import report_page
from grok_interp.studies.copying.copying_results import analyze, evaluation_inputs
from grok_interp.studies.copying.evaluation_text import EvaluationText
from grok_interp.studies.study import write_report
from grok_interp.training.loop import train


@pytest.fixture
def run(tiny: TrainConfig, tmp_path: Path) -> Run:
    text = tmp_path / "text"
    text.mkdir()
    generator = torch.Generator().manual_seed(0)
    for number in range(40):
        letters = torch.randint(97, 123, (600,), generator=generator).tolist()
        (text / f"{number}.txt").write_bytes(bytes(letters))
    config = replace(tiny, n_steps=4, warmup_steps=0, checkpoint_steps=(0,)).with_data(source=str(text))
    return run_training(tmp_path / "run", config)


def test_what_was_read_once_is_there_when_the_text_has_moved(run: Run) -> None:
    before = evaluation_inputs(run, n_samples=3, n_windows=5)
    documents = EvaluationText(run).documents(7)
    (run.directory.parent / "text").rename(run.directory.parent / "elsewhere")
    run = Run.open(run.directory)
    after = evaluation_inputs(run, n_samples=3, n_windows=5)
    assert torch.equal(before.windows, after.windows) and before.description() == after.description()
    assert before.held_out_sentence == after.held_out_sentence
    for one, other in zip(documents, EvaluationText(run).documents(7), strict=True):
        assert torch.equal(one, other)


def test_what_was_never_read_needs_the_text(run: Run) -> None:
    EvaluationText(run).windows(5)
    (run.directory.parent / "text" / "0.txt").write_text("another text")
    run = Run.open(run.directory)
    with pytest.raises(ValueError, match="has changed since the run was begun"):
        EvaluationText(run).windows(6)
    with pytest.raises(ValueError, match="has changed since the run was begun"):
        EvaluationText(run).documents(7)


@pytest.mark.parametrize("trained", [run_training, lambda at, config: Run.write(at, config, train(config))])
def test_a_report_can_be_written_again_when_the_text_has_moved(
    trained: Callable[[Path, TrainConfig], Run], run: Run, tmp_path: Path
) -> None:
    run = trained(tmp_path / "another", run.config)
    analyze(run, evaluation_inputs(run))
    (run.directory.parent / "text").rename(run.directory.parent / "elsewhere")
    run = Run.open(run.directory)
    inputs = evaluation_inputs(run)
    page = write_report(run, report_page(run, analyze(run, inputs), inputs, threshold=0.1))
    assert "validation windows were dropped" in page.read_text()


def test_windows_of_another_text_are_not_taken(run: Run, tmp_path: Path) -> None:
    EvaluationText(run).windows(5)
    file = EvaluationText(run).file
    config = run.directory / "config.json"
    record = {**run.record, "data": {**run.record["data"], "hash": "0" * 64}}
    config.write_text(json.dumps(with_sha256(record)))
    assert file.exists() and EvaluationText(Run.open(run.directory)).tensors == {}


def test_a_damaged_file_is_refused_by_name(run: Run) -> None:
    EvaluationText(run).windows(5)
    file = EvaluationText(run).file
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(DamagedFileError, match="evaluation_text.safetensors is damaged"):
        EvaluationText(run)
