"""Whole sweeps over any fields, from the command to the report."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd

from grok_interp.cli import main
from grok_interp.configs import TrainConfig
from grok_interp.runs.run_training import run_training
from grok_interp.studies.grid import Grid
from grok_interp.studies.sweep import failure_of


def modular(folder: Path, *words: str) -> list[str]:
    return ["sweep", "modular-tiny", "--n-steps", "4", "--warmup-steps", "0", "--folder", str(folder), *words]


def test_a_failed_cell_keeps_its_message_and_the_others_go_on(tmp_path: Path, capsys) -> None:
    """A rate so high that training diverges; then the same command, and one that leaves the cell out."""
    folder, bad = tmp_path / "sweep", "learning_rate=1e+30"
    command = modular(folder, "--vary", "learning_rate=1e30,0.003,0.006", "--seeds", "2", "--device", "cpu")
    assert main(command) == 6
    printed = capsys.readouterr()
    assert "6 runs in" in printed.out and "6 to train" in printed.out
    rows = {line.split()[0]: line for line in printed.out.splitlines() if line.startswith("learning_rate=")}
    assert "failed" in rows[bad] and "finished" in rows["learning_rate=0.003"]
    assert re.search(r"ood_test\s*$", next(line for line in printed.out.splitlines() if line.startswith("cell ")))
    assert "2 of 6 failed, the others are finished; the same command tries again:" in printed.err
    assert f"{bad}/seed0 failed: training diverged: " in printed.err and "24 of 24" in printed.err
    assert failure_of(folder / bad / "seed1").startswith("training diverged: ")
    assert "Traceback" in (folder / bad / "seed1.failed.txt").read_text()
    page = (folder / "report.html").read_text()
    assert "learning_rate=1e+30/seed1 failed: training diverged: " in page and "What does learning_rate change?" in page
    table = pd.read_csv(folder / "tables" / "sweep.csv")
    assert table["status"].tolist() == ["failed"] * 2 + ["finished"] * 4
    assert table.loc[2:, "ood_test"].between(0, 1).all() and table.loc[:1, "ood_test"].isna().all()
    weights = (folder / "learning_rate=0.003" / "seed0" / "checkpoints" / "step_00000004.safetensors").stat()

    assert main([*command, "--json"]) == 6
    found = json.loads(capsys.readouterr().out)
    assert set(found["failures"]) == {f"{bad}/seed0", f"{bad}/seed1"}
    assert [cell["status"] for cell in found["cells"]] == ["failed", "finished", "finished"]
    assert found["cells"][1]["ood_test"]["low"] is not None and found["cells"][0]["ood_test"]["mean"] is None

    assert main(modular(folder, "--vary", "learning_rate=0.003,0.006", "--seeds", "2", "--device", "cpu")) == 0
    assert "4 runs in" in (printed := capsys.readouterr().out) and "0 to train" in printed
    assert main(["report", str(folder)]) == 0
    assert "learning_rate=0.006  2      finished" in capsys.readouterr().out
    after = (folder / "learning_rate=0.003" / "seed0" / "checkpoints" / "step_00000004.safetensors").stat()
    assert after.st_mtime_ns == weights.st_mtime_ns, "nothing is trained twice"


def test_a_phase_diagram_is_the_report_of_a_sweep_over_tasks(tmp_path: Path, capsys) -> None:
    command = modular(tmp_path / "sweep", "--vary", "data.alpha=0.4,0.6", "--seeds", "1", "--device", "cpu")
    assert main(command) == 0
    assert "data.alpha=0.6  1      finished" in capsys.readouterr().out
    assert "In which phase is in-context modular arithmetic?" in (tmp_path / "sweep" / "report.html").read_text()


def test_a_copying_sweep_has_its_measures(tiny: TrainConfig, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "sweep"
    grid = Grid(replace(tiny, n_steps=5, warmup_steps=0), {"batch_size": (2, 4)}, 1)
    grid.sweep(folder).complete(run_training)
    grid.write(folder)
    assert main(["report", str(folder), "--device", "cpu"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["cell", "seeds", "status", "exact_match", "per_token", "loss", "induction"]
    assert [row.split()[:3] for row in rows[:2]] == [[f"batch_size={size}", "1", "finished"] for size in (2, 4)]
