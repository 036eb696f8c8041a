"""The page of a folder of modular runs: its phase diagram, in a browser."""

import io
import shutil
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import pytest
from browser import browser, needs_a_browser

from grok_interp.cli import main
from grok_interp.presets import training_preset
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.studies.modular.sweep_report import write_phase_report

TINY = training_preset("modular-tiny")


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder of two runs after `grok-interp report`, and what that printed."""
    folder = tmp_path_factory.mktemp("phases") / "sweep"
    run_training(folder / "n8", TINY)
    run_training(folder / "n4", TINY.with_data(n_id=4, alpha=0.4))
    with redirect_stdout(io.StringIO()) as printed:
        assert main(["report", str(folder)]) == 0
    return folder, printed.getvalue()


@needs_a_browser
def test_the_command_draws_the_diagram_of_the_runs_below_a_folder(reported: tuple[Path, str], tmp_path: Path) -> None:
    folder, printed = reported
    assert f"report: {folder / 'report.html'}" in printed and "ood_test" in printed
    _, table = write_phase_report(folder, Run.below(folder))
    assert table[["n_id", "alpha"]].to_numpy().tolist() == [[4, 0.4], [8, 0.6]]
    with browser(tmp_path / "profile") as tab:
        tab.open((folder / "report.html").as_uri())
        assert tab.errors == []
        maps = tab.ask("[...document.querySelectorAll('.graph')].map(g => g.data[0].z)")
        assert len(maps) == 5
        assert maps[1] == [[pytest.approx(table["id_train"][0]), None], [None, pytest.approx(table["id_train"][1])]]
        assert tab.ask("document.getElementById('step-bar').hidden"), "nothing here is over training"


def test_runs_of_two_sweeps_are_refused_and_lengths_are_warned_of(reported: tuple[Path, str], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(reported[0], tmp_path / "sweep"))
    run_training(folder / "longer", replace(TINY.with_data(n_id=4), n_steps=25))
    page, _ = write_phase_report(folder, Run.below(folder))
    assert "These runs have different lengths: 20, 25 updates." in page.read_text()
    run_training(folder / "other", replace(TINY, batch_size=2 * TINY.batch_size, init_seed=1, data_seed=1))
    with pytest.raises(ValueError, match="differ in batch_size: a phase diagram is of runs that differ in n_id"):
        write_phase_report(folder, Run.below(folder))


def test_a_folder_without_runs_is_told_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="it has no config.json, nor has it modular runs; .*reproduce modular/fig1b"):
        write_phase_report(tmp_path, Run.below(tmp_path))
