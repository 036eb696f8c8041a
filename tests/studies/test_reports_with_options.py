"""Reports and figures through the command line: a threshold for a folder, progress, checkpoints that are not finite."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from grok_interp.cli import main
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.studies.catalog import study_of
from grok_interp.studies.copying.ablation_results import single_ablations


def test_a_threshold_reaches_the_report_of_a_folder(runs: dict[str, Run], capsys) -> None:
    """Every accuracy is above 0.001, and none of an untrained model above 0.99."""
    folder = runs["modular"].directory.parent
    for threshold, phase in (("0.001", "o.o.d. generalization"), ("0.99", "nothing lear")):
        assert main(["report", str(folder), "--threshold", threshold, "--device", "cpu"]) == 0
        page = (folder / "report.html").read_text()
        assert f"cells, most probable phase: {phase}" in page
        assert f"last-shot accuracy over all contexts is above {float(threshold):.0%}" in page


def test_the_command_shows_the_progress_of_ablations(runs: dict[str, Run], capsys) -> None:
    run = str(runs["copying"])
    single_ablations(runs["copying"], ways=["zero"])  # one way of four is cached
    assert main(["reproduce", "copying/heads", "--run", run, "--device", "cpu"]) == 0
    assert "ablating each head: 15 of 15 after" in capsys.readouterr().err
    assert main(["reproduce", "copying/ablation", "--run", run, "--device", "cpu"]) == 0
    assert "ablating induction heads: " in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["copying", "modular"])
def test_a_report_of_checkpoints_that_are_not_finite_says_so(
    kind: str, runs: dict[str, Run], tmp_path: Path, capsys
) -> None:
    run = run_training(tmp_path / "run", replace(runs[kind].config, init_seed=5))
    for steps in ((4,), (0, 4)) if kind == "copying" else ((0, 4),):
        for step in steps:
            model = run.load(step)
            with torch.no_grad():
                for weight in model.parameters():
                    weight.fill_(float("nan"))
            run.checkpoints.save(step, model)
        assert main(["report", str(run), "--device", "cpu"]) == 0
        capsys.readouterr()
        where = "checkpoint 4" if len(steps) == 1 else "checkpoints 0, 4"
        assert f"NaN or infinite at {where}. Their values are undefined" in (run.directory / "report.html").read_text()
        assert study_of(run).analyze(run).not_finite() == steps


def test_a_report_suggests_a_figure_that_it_lacks(runs: dict[str, Run], tmp_path: Path, capsys) -> None:
    run = run_training(tmp_path / "run", runs["copying"].config)
    for figure in ("copying/ablation", "copying/heads", "copying/attribution"):
        assert main(["report", str(run), "--device", "cpu"]) == 0
        assert capsys.readouterr().err.splitlines()[-1] == f"next: grok-interp reproduce {figure} --run {run}"
        assert main(["reproduce", figure, "--run", str(run), "--device", "cpu"]) == 0
        capsys.readouterr()
    assert main(["report", str(run), "--device", "cpu"]) == 0
    assert "next:" not in capsys.readouterr().err
