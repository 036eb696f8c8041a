"""The study of another package goes through every verb: tests/example_study."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from grok_interp import draw, training_preset
from grok_interp.cli import main
from grok_interp.configs import TrainConfig
from grok_interp.runs.run import Run
from grok_interp.studies.catalog import studies, study_of


def test_the_example_goes_from_data_to_its_figures(example: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["list", "figures"]) == 0
    assert "reversal/accuracy" in capsys.readouterr().out
    assert main(["list", "presets", "--json"]) == 0
    rows = {row["preset"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["reversal-tiny"]["trainable"]
    assert main(["train", "reversal-tiny", "--run", "run", "--data.n-symbols", "4", "--model.d-vocab", "5"]) == 0
    assert main(["analyze", "run"]) == 0
    assert "reversal accuracy at 3 checkpoints" in capsys.readouterr().out
    assert main(["report", "run", "--threshold", "0"]) == 0
    printed = capsys.readouterr()
    assert "first step with accuracy above 0" in printed.out
    assert "grok-interp reproduce reversal/accuracy --run run" in printed.err
    page = Path("run/report.html").read_text()
    assert "When is a string reversed?" in page and "strings of 3 of 4 symbols, reversed" in page
    assert Path("run/figures/reversal.svg").exists()
    assert main(["reproduce", "reversal/accuracy", "--run", "run"]) == 0
    assert Path("run/figures/reversal_accuracy.pdf").exists()
    assert main(["reproduce", "reversal/batches", "--preset", "tiny", "--seeds", "1"]) == 0
    assert Path("runs/reversal-tiny/figures/reversal_batches.svg").exists()
    assert {run.config.batch_size for run in Run.below(Path("runs"))} == {4, 8}


def test_a_run_of_the_example_is_a_run_like_any_other(example: Path, tmp_path: Path, capsys) -> None:
    run = str(tmp_path / "run")
    assert main(["train", "reversal-tiny", "--run", run, "--dry-run"]) == 0
    assert "strings of 3 of 5 symbols, reversed" in capsys.readouterr().out
    assert main(["train", "reversal-tiny", "--run", run]) == 0
    config = training_preset("reversal-tiny")
    assert Run.open(run).config == config == TrainConfig.from_dict(config.to_dict())
    study = study_of(Run.open(run))
    assert study is studies()["reversal"]
    (result,) = study.analyze(Run.open(run)).each.values()
    assert len(draw(result).panels[0].marks) == 3
    assert main(["reproduce", "copying/fig2", "--run", run]) == 2
    assert f"copying/fig2 needs runs of the copying study, {run} is one of reversal" in capsys.readouterr().err
    assert main(["reproduce", "reversal/accuracy", "--preset", "mini"]) == 2
    assert "reversal/accuracy is trained at the sizes tiny, got --preset mini" in capsys.readouterr().err
    assert main(["report", str(tmp_path)]) == 2
    assert "nor has it runs that a study compares" in capsys.readouterr().err
    with pytest.raises(ValueError, match="ReversalConfig: n_symbols must be at least 2 .* got 1 and 3"):
        config.with_data(n_symbols=1)
    with pytest.raises(ValueError, match="d_vocab must be n_symbols . 1 = 5, got 6"):
        config.with_data(n_symbols=4)


def test_the_example_is_watched_in_a_process_of_its_own(example: Path, tmp_path: Path) -> None:
    """As an installed command finds it: nothing but the path of the process is set."""
    assert main(["train", "reversal-tiny", "--run", str(tmp_path / "run")]) == 0
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(example), *sys.path])}
    command = [sys.executable, "-m", "grok_interp.cli", "watch", str(tmp_path / "run"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout
            address = process.stdout.readline().split()[3]
            assert process.stdout.readline() == "shown up to step 10\n"
            assert b"When is a string reversed?" in urllib.request.urlopen(address).read()
        finally:
            process.kill()


def test_help_knows_the_example_and_stays_light(example: Path) -> None:
    script = (
        "import sys\nfrom grok_interp.cli import main\ntry: main(['reproduce', '--help'])\nexcept SystemExit: pass\n"
    )
    script += "print(sorted({'torch', 'transformer_lens', 'xarray', 'numpy', 'matplotlib'} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(example), *sys.path])}
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert "reversal/accuracy" in found.stdout
    assert found.stdout.splitlines()[-1] == "[]"
