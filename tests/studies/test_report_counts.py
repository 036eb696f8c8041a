"""What one report does: it opens the data once, builds evaluation inputs once, and computes nothing a second time."""

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from counting import counting

from grok_interp.cli import main
from grok_interp.presets import training_preset
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.studies.grid import Grid

KINDS = ("copying", "modular")


def report(run: Run) -> None:
    assert main(["report", str(run), "--device", "cpu", "--quiet"]) == 0


@dataclass
class Reported:
    """A run after its first report, what was counted during it, and a copy of the run from before."""

    run: Run
    counts: Counter[str]
    before: Path


@pytest.fixture(scope="module")
def reported(text_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Reported]]:
    """One of each kind: a report takes longer than everything else here."""
    folder = tmp_path_factory.mktemp("reported")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GROK_INTERP_CACHE", str(folder / "cache"))
        yield {kind: reported_run(kind, folder, text_file) for kind in KINDS}


def reported_run(kind: str, folder: Path, text_file: Path) -> Reported:
    config = training_preset("copier-tiny" if kind == "copying" else "modular-tiny")
    config = config.with_data(source=str(text_file)) if kind == "copying" else config
    run = run_training(folder / kind, replace(config, n_steps=10, checkpoint_steps=(0, 5)))
    before = Path(shutil.copytree(run.directory, folder / f"{kind}-before"))
    with counting() as counts:
        report(run)
    return Reported(run, counts, before)


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_report_opens_the_data_once(kind: str, reported: dict[str, Reported]) -> None:
    counts = reported[kind].counts
    assert counts["corpora" if kind == "copying" else "tasks"] == 1
    assert counts[f"{kind} inputs"] == 1
    assert counts["forward passes"] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_report_loads_a_checkpoint_at_most_once_for_each_stored_result(
    kind: str, reported: dict[str, Reported]
) -> None:
    """A result is stored under the name of each analyzer."""
    run, counts = reported[kind].run, reported[kind].counts
    n_analyzers = len({file.name.rpartition("-")[0] for file in (run.directory / "results").glob("*.nc*")})
    loads = {step: counts[f"loads of step {step}"] for step in run.steps}
    assert 1 <= max(loads.values()) <= n_analyzers


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_report_computes_nothing(
    kind: str, reported: dict[str, Reported], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = reported[kind].run
    (run.directory / "results" / "report.json").unlink()  # with it the page would be left as it is
    page = (run.directory / "report.html").read_text()
    monkeypatch.setattr(torch.nn.Module, "__call__", lambda *_: pytest.fail("a model was run"))
    with counting() as counts:
        report(run)
    assert counts["forward passes"] == counts["loads"] == 0
    assert counts["corpora"] + counts["tasks"] <= 1
    assert counts["copying inputs"] + counts["modular inputs"] == 1
    again = (run.directory / "report.html").read_text()
    assert len(again) == len(page)


@pytest.mark.parametrize("kind", KINDS)
def test_each_checkpoint_is_loaded_once_for_all_analyzers_of_a_set(kind: str, reported: dict[str, Reported]) -> None:
    from grok_interp.studies.catalog import study_of

    run = Run.open(reported[kind].before)
    with counting() as counts:
        study_of(run).analyze(run)
    assert counts["loads"] == len(run)


def sweep_of_two(folder: Path) -> list[Path]:
    """Two trained modular runs; their folders."""
    config = replace(training_preset("modular-tiny"), n_steps=5, checkpoint_steps=(0,))
    grid = Grid(config, {"data.alpha": (0.4, 0.6)}, 1)
    grid.write(folder)
    grid.sweep(folder).complete(run_training)
    return list(grid.sweep(folder).runs)


def test_the_report_of_a_sweep_opens_each_run_once(tmp_path: Path) -> None:
    """And builds its evaluation inputs once; tests/studies/test_sweep.py counts it for experiments on copying."""
    runs = sweep_of_two(tmp_path)
    with counting() as counts:
        assert main(["report", str(tmp_path), "--device", "cpu", "--quiet"]) == 0
    assert [counts[f"opens of {directory}"] for directory in runs] == [1, 1]
    assert counts["tasks"] == counts["modular inputs"] == 2


def test_the_report_of_seeds_builds_the_inputs_of_each_run_once(
    tmp_path: Path, text_file: Path, own_cache: Path
) -> None:
    """Those of the ablations are the same copying test, and other windows of the same text."""
    config = replace(training_preset("copier-tiny"), n_steps=10, checkpoint_steps=(0, 5))
    config = config.with_data(source=str(text_file))
    for seed in (0, 1):
        run_training(tmp_path / "seeds" / f"seed{seed}", replace(config, init_seed=seed, data_seed=seed))
    with counting() as counts:
        assert main(["report", str(tmp_path / "seeds"), "--device", "cpu", "--quiet"]) == 0
    assert counts["copying inputs"] == counts["corpora"] == 2


def test_a_folder_of_runs_may_hold_an_exported_model(tmp_path: Path) -> None:
    """Whose config.json is not a run's."""
    sweep_of_two(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    assert main(["report", str(tmp_path), "--device", "cpu", "--quiet"]) == 0
    assert (tmp_path / "report.html").is_file()
