"""Options reach all that they promise: --device every model that runs, --threshold reports of folders too."""

from __future__ import annotations

from pathlib import Path

import pytest

from grok_interp.cli import main
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.studies.catalog import figures, study_of
from grok_interp.studies.copying.ablation_results import ablations, single_ablations
from grok_interp.studies.modular import modular_results as modular
from grok_interp.studies.modular.sweep_report import write_phase_report
from grok_interp.studies.study import write_report

# Figures that are drawn from cached results alone, once the checkpoints are evaluated.
OF_RESULTS = {
    *(f"copying/fig{number}" for number in range(2, 8)),
    *("copying/diagram", "copying/strings", "modular/fig1b", "modular/fig1c", "modular/fig3", "modular/shift"),
}
NO_DATA = "meta"  # a device of torch that computes shapes and no values: reading a value from it is an error
REFUSALS = {"copying": RuntimeError, "modular": ValueError}  # by torch, and of weights without values


@pytest.mark.parametrize("figure", figures())
def test_every_figure_runs_its_models_on_the_device(figure: str, runs: dict[str, Run]) -> None:
    run = runs[figure.partition("/")[0]]
    picture = figures()[figure]
    if figure in OF_RESULTS:
        assert picture.draw([run], device=NO_DATA).panels
    else:
        with pytest.raises(ValueError, match="meta"):
            picture.draw([run], device=NO_DATA)


@pytest.mark.parametrize("kind", ["copying", "modular"])
def test_reports_run_their_models_on_the_device(kind: str, runs: dict[str, Run]) -> None:
    study, run = study_of(runs[kind]), runs[kind]
    study.analyze(run)
    with pytest.raises(REFUSALS[kind], match="meta"):
        write_report(run, study.report_page(run, threshold=0.5, device=NO_DATA))


def test_evaluating_a_run_uses_the_device(runs: dict[str, Run], tmp_path: Path) -> None:
    run = run_training(tmp_path / "run", runs["modular"].config)
    with pytest.raises(RuntimeError, match="meta"):
        modular.analyze(run, device=NO_DATA)
    with pytest.raises(RuntimeError, match="meta"):
        write_phase_report(tmp_path, [run], device=NO_DATA)


@pytest.mark.parametrize(
    "command",
    [
        ["demo", "RUN"],
        ["analyze", "RUN"],
        ["report", "RUN"],
        ["report", "FOLDER"],
        ["watch", "RUN"],
        ["reproduce", "modular/fig5", "--run", "RUN"],
        ["train", "modular-tiny", "--run", "NEW"],
    ],
    ids=" ".join,
)
def test_no_command_ignores_a_device_that_is_not_there(
    command: list[str], runs: dict[str, Run], tmp_path: Path, capsys
) -> None:
    places = {
        "RUN": str(runs["modular"]),
        "FOLDER": str(runs["modular"].directory.parent),
        "NEW": str(tmp_path / "new"),
    }
    assert main([*(places.get(word, word) for word in command), "--device", "cuda:77"]) == 2
    assert "device 'cuda:77' was asked for" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("where", "threshold", "expected"),
    [
        ("copying", "2", "a score I(L, H) above 0 and at most 1, got 2: leave it out for 0.1"),
        ("copying", "-1", "a score I(L, H) above 0 and at most 1, got -1"),
        ("copying", "0", "a score I(L, H) above 0 and at most 1, got 0"),
        ("copying", "nan", "a score I(L, H) above 0 and at most 1, got nan"),
        ("modular", "1", "an accuracy above 0 and below 1, got 1 (the paper: 0.75)"),
        ("modular", "0", "an accuracy above 0 and below 1, got 0"),
        (".", "1", "an accuracy above 0 and below 1, got 1"),
    ],
)
def test_a_threshold_outside_its_range_is_refused(
    where: str, threshold: str, expected: str, runs: dict[str, Run], capsys
) -> None:
    folder = runs["copying"].directory.parent / where
    assert main(["report", str(folder), "--threshold", threshold, "--device", "cpu"]) == 2
    assert f"threshold must be {expected}" in " ".join(capsys.readouterr().err.split())


def test_a_threshold_of_one_is_a_score(runs: dict[str, Run], capsys) -> None:
    run = runs["copying"].directory
    assert main(["report", str(run), "--threshold", "1", "--device", "cpu"]) == 0
    assert "number of heads with I(L, H) above 1 at" in (run / "report.html").read_text()
    capsys.readouterr()


def test_ablations_report_their_progress(runs: dict[str, Run]) -> None:
    told: list[tuple[int, int]] = []
    ablations(runs["copying"], ways=["zero"], on_checkpoint=lambda *each: told.append(each))
    assert told == [(1, 2), (2, 2)]
    told.clear()
    single_ablations(runs["copying"], ways=["zero"], on_model=lambda *each: told.append(each))
    n_models = 1 + 2 * 2
    assert told == [(done, n_models) for done in range(1, n_models + 1)]
    told.clear()
    single_ablations(runs["copying"], ways=["zero"], on_model=lambda *each: told.append(each))
    assert not told, "a cached result is not measured again"
