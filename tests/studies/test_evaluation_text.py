"""A run's evaluation text is stored with it: its source may move afterwards."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from grok_interp.configs import TrainConfig
from grok_interp.files import DamagedFileError
from grok_interp.runs.run_training import run_training
from grok_interp.studies.copying.evaluation_text import EvaluationText
from grok_interp.studies.copying.report import write_report
from grok_interp.studies.copying.results import analyze, probes_of_run


@pytest.fixture
def run(tiny: TrainConfig, tmp_path: Path) -> Path:
    text = tmp_path / "text"
    text.mkdir()
    generator = torch.Generator().manual_seed(0)
    for number in range(40):
        letters = torch.randint(97, 123, (600,), generator=generator).tolist()
        (text / f"{number}.txt").write_bytes(bytes(letters))
    config = replace(tiny, n_steps=4, warmup_steps=0, checkpoint_steps=(0,)).with_data(source=str(text))
    run_training(tmp_path / "run", config)
    return tmp_path / "run"


def test_what_was_read_once_is_there_when_the_text_has_moved(run: Path) -> None:
    before = probes_of_run(run, n_samples=3, n_windows=5)
    documents = EvaluationText(run).documents(7)
    (run.parent / "text").rename(run.parent / "elsewhere")
    after = probes_of_run(run, n_samples=3, n_windows=5)
    assert torch.equal(before.windows, after.windows) and before.description() == after.description()
    assert before.held_out_sentence == after.held_out_sentence
    for one, other in zip(documents, EvaluationText(run).documents(7), strict=True):
        assert torch.equal(one, other)


def test_what_was_never_read_needs_the_text(run: Path) -> None:
    EvaluationText(run).windows(5)
    (run.parent / "text" / "0.txt").write_text("another text")
    with pytest.raises(ValueError, match="has changed since the run was begun"):
        EvaluationText(run).windows(6)
    with pytest.raises(ValueError, match="has changed since the run was begun"):
        EvaluationText(run).documents(7)


def test_a_report_can_be_written_again_when_the_text_has_moved(run: Path) -> None:
    analyze(run, probes_of_run(run))
    (run.parent / "text").rename(run.parent / "elsewhere")
    probes = probes_of_run(run)
    page = write_report(run, analyze(run, probes), probes, threshold=0.1)
    assert "validation windows were dropped" in page.read_text()


def test_windows_of_another_text_are_not_taken(run: Path, tmp_path: Path) -> None:
    EvaluationText(run).windows(5)
    file = EvaluationText(run).file
    config = run / "config.json"
    config.write_text(config.read_text().replace(EvaluationText(run).corpus_hash, "0" * 64))
    assert file.exists() and EvaluationText(run).tensors == {}


def test_a_damaged_file_is_refused_by_name(run: Path) -> None:
    EvaluationText(run).windows(5)
    file = EvaluationText(run).file
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(DamagedFileError, match="evaluation_text.safetensors is damaged"):
        EvaluationText(run)
