"""A run's folder, opened once: what is a run, what it knows, and what is worked out for it only once."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from grok_interp.analysis.induction import InductionScores, induction_scores
from grok_interp.configs import TrainConfig
from grok_interp.data.copying import repeated_tokens
from grok_interp.results.store import Analyzer
from grok_interp.runs.once_per_run import once_per_run
from grok_interp.runs.record import is_run
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.training import batches
from grok_interp.training.loop import train


@pytest.fixture
def run(tiny: TrainConfig, tmp_path: Path) -> Run:
    return run_training(tmp_path / "run", tiny)


def test_a_run_knows_what_was_trained_and_how_far_it_is(run: Run, tiny: TrainConfig) -> None:
    opened = Run.open(run.directory)
    assert opened.config == tiny and opened.is_finished and len(opened) == 5
    assert opened.steps == (0, 5, 10, 15, 20)
    assert opened.execution is not None and opened.execution.precision == "float32"
    assert opened.metrics["step"].tolist() == list(range(1, 21))
    assert opened.data_hash == opened.data.hash and opened.data_description == opened.data.description
    run.checkpoints.path(20).unlink()
    assert not opened.is_finished, "the steps are those that are there now"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "it has no config.json"),
        ("{}", "its config.json is not a run's"),
        ('{"model_type": "llama"}', "its config.json is not a run's"),
        ("[1", "its config.json is not a run's"),
        ("[1]", "its config.json is not a run's"),
    ],
)
def test_other_folders_are_no_runs(tmp_path: Path, content: str | None, why: str) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    assert not is_run(tmp_path)
    with pytest.raises(ValueError, match=f"no run at .*: {why}; `grok-interp list` shows the runs"):
        Run.open(tmp_path)


def test_its_results_tell_how_its_models_were_trained(run: Run, tiny: TrainConfig, tmp_path: Path) -> None:
    tokens = repeated_tokens(n_sequences=2, half=4, alphabet=range(9), seed=0)
    analyzer = Analyzer(
        "induction_scores", InductionScores, {"n": 2}, lambda step, model: induction_scores([(step, model)], tokens)
    )
    for _ in ("evaluated", "read"):
        (found,) = run.evaluate([analyzer])
        training = found.dataset.attrs["training"]
        assert TrainConfig.from_dict(training) == tiny
        assert training["optimizer"] == tiny.optimizer and training["data"]["copy_fraction"] == tiny.data.copy_fraction
        found.save(tmp_path / "scores.nc")
        assert InductionScores.load(tmp_path / "scores.nc").dataset.attrs == found.dataset.attrs
    stored = run.results.evaluate([analyzer], run.checkpoints, steps=run.steps)[0]
    assert "training" not in stored.dataset.attrs, "files are keyed and read as before"


def test_runs_below_a_folder_are_sorted_and_other_folders_left_out(tiny: TrainConfig, tmp_path: Path) -> None:
    for name in ("b", "a/deep", "c"):
        Run.create(tmp_path / name, tiny)
    (tmp_path / "c" / "config.json").write_text("{}")
    assert [str(run.directory.relative_to(tmp_path)) for run in Run.below(tmp_path)] == ["a/deep", "b"]


def test_a_run_is_opened_without_torch(run: Run) -> None:
    script = "import sys\nfrom grok_interp.runs.run import Run\nrun = Run.open(sys.argv[1])\n"
    script += "print(run.steps, run.is_finished, run.results.is_empty, sorted({'torch', 'xarray'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", script, str(run)], capture_output=True, text=True, check=True)
    assert found.stdout == "(0, 5, 10, 15, 20) True True []\n"


def test_the_data_are_opened_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[TrainConfig] = []
    open_batches = batches.open_batches

    def noted(config: TrainConfig) -> batches.Batches:
        opened.append(config)
        return open_batches(config)

    monkeypatch.setattr(batches, "open_batches", noted)
    again = Run.open(run.directory)
    assert again.data is again.data and len(opened) == 1


def test_analyzers_take_a_run_as_they_take_a_list_of_pairs(run: Run) -> None:
    tokens = repeated_tokens(n_sequences=3, half=16, alphabet=range(97, 123), seed=0)
    assert induction_scores(run, tokens).dataset.equals(induction_scores(list(run), tokens).dataset)


def test_what_training_yields_can_be_kept_without_more(tiny: TrainConfig, tmp_path: Path) -> None:
    run = Run.write(tmp_path / "run", tiny, train(tiny))
    assert is_run(tmp_path / "run") and run.is_finished and run.execution is None
    assert run.data_hash == run.record["data"]["hash"] == Run.open(run.directory).data.hash
    assert run.record.keys() == {"train", "data"} and Run.open(run.directory).config == tiny


def test_a_checksum_names_the_weights_and_no_more_is_read(run: Run) -> None:
    checksums = {step: run.checkpoints.checksum(step) for step in run.steps}
    assert len(set(checksums.values())) == 5
    model = run.load(5)
    run.checkpoints.save(5, model)
    assert run.checkpoints.checksum(5) == checksums[5], "the same weights"
    with torch.no_grad():
        next(model.parameters()).add_(1)
    run.checkpoints.save(5, model)
    assert run.checkpoints.checksum(5) != checksums[5]
    run.checkpoints.path(5).write_bytes(b"\x08\0\0\0\0\0\0\0notes")
    with pytest.raises(ValueError, match="step_00000005.safetensors is cut short or damaged"):
        run.checkpoints.checksum(5)


def test_a_function_of_a_run_is_worked_out_once_for_each_choice_of_options(run: Run) -> None:
    calls: list[int] = []

    @once_per_run
    def doubled(run: Run, *, number: int = 3) -> int:
        calls.append(number)
        return 2 * number

    assert [doubled(run), doubled(run), doubled(run, number=5), doubled(Run.open(run.directory))] == [6, 6, 10, 6]
    assert calls == [3, 5, 3], "another opening is another run"
