"""What one report does: it opens the data once, builds evaluation inputs once, and computes nothing a second time."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from grok_interp.cli import main
from grok_interp.models.transformer import Transformer
from grok_interp.presets import training_preset
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.runs.series import SavedCheckpoints
from grok_interp.studies.copying import results as copying
from grok_interp.studies.modular import modular_inputs as modular
from grok_interp.training import batches

COUNTED = {  # what is counted -> where it is looked up
    "corpora": (batches, "open_corpus"),
    "tasks": (batches.ModularTasks, "draw"),
    "copying inputs": (copying.CopyingInputs, "build"),
    "modular inputs": (modular, "draw_contexts"),
    "loads": (SavedCheckpoints, "load"),
    "forward passes": (Transformer, "forward"),
}


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    found: Counter[str] = Counter()

    def counted(name: str, function: Any) -> Any:
        def count(*args: Any, **options: Any) -> Any:
            found[name] += 1
            return function(*args, **options)

        return count

    def load(series: SavedCheckpoints, step: int) -> Transformer:
        found[f"loads of step {step}"] += 1
        return loaded(series, step)

    loaded = SavedCheckpoints.load
    monkeypatch.setattr(SavedCheckpoints, "load", load)
    for name, (owner, attribute) in COUNTED.items():
        monkeypatch.setattr(owner, attribute, counted(name, getattr(owner, attribute)))
    return found


@pytest.fixture(params=["copying", "modular"])
def run(request: pytest.FixtureRequest, text_file: Path, own_cache: Path, tmp_path: Path) -> Run:
    config = training_preset("copier-tiny" if request.param == "copying" else "modular-tiny")
    config = config.with_data(source=str(text_file)) if request.param == "copying" else config
    return run_training(tmp_path / "run", replace(config, n_steps=10, checkpoint_steps=(0, 5)))


def report(run: Run) -> None:
    assert main(["report", str(run), "--device", "cpu", "--quiet"]) == 0


def test_the_first_report_opens_the_data_once(run: Run, counts: Counter[str]) -> None:
    kind = "copying" if hasattr(run.config.data, "source") else "modular"
    counts.clear()
    report(run)
    assert counts["corpora" if kind == "copying" else "tasks"] == 1
    assert counts[f"{kind} inputs"] == 1
    assert counts["forward passes"] > 0


def test_the_first_report_loads_a_checkpoint_at_most_once_for_each_stored_result(
    run: Run, counts: Counter[str]
) -> None:
    """A result is stored under the name of each analyzer."""
    counts.clear()
    report(run)
    n_analyzers = len({file.name.rpartition("-")[0] for file in (run.directory / "results").glob("*.nc*")})
    loads = {step: counts[f"loads of step {step}"] for step in run.steps}
    assert 1 <= max(loads.values()) <= n_analyzers


def test_a_second_report_computes_nothing(run: Run, counts: Counter[str], monkeypatch: pytest.MonkeyPatch) -> None:
    report(run)
    (run.directory / "results" / "report.json").unlink()  # with it the page would be left as it is
    counts.clear()
    page = (run.directory / "report.html").read_text()
    monkeypatch.setattr(torch.nn.Module, "__call__", lambda *_: pytest.fail("a model was run"))
    report(run)
    assert counts["forward passes"] == counts["loads"] == 0
    assert counts["corpora"] + counts["tasks"] <= 1
    assert counts["copying inputs"] + counts["modular inputs"] == 1
    again = (run.directory / "report.html").read_text()
    assert len(again) == len(page)


def test_each_checkpoint_is_loaded_once_for_all_analyzers_of_a_set(run: Run, counts: Counter[str]) -> None:
    from grok_interp.studies.catalog import study_of

    counts.clear()
    study_of(run).analyze(run)
    assert counts["loads"] == len(run)
