"""The script for a GPU, rehearsed on the CPU at miniature size: every part runs, and nothing is done twice."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "benchmarks/gpu.py"
TABLES = ("parity", "steps", "ensembles", "analysis")


def run(out: Path, *options: str) -> str:
    command = [sys.executable, str(SCRIPT), "--out", str(out), "--miniature", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_every_part_leaves_its_table_or_its_run_and_a_second_call_repeats_none(tmp_path: Path) -> None:
    run(tmp_path)
    assert [name for name in TABLES if not (tmp_path / f"{name}.md").exists()] == []
    assert "| copier-tiny | plain torch |" in (tmp_path / "steps.md").read_text()
    for exported in (tmp_path / "p29_export", *(tmp_path / "diagram_export").iterdir()):
        names = {path.name for path in exported.iterdir()}
        assert names >= {"config.json", "metrics.jsonl.gz", "weights.safetensors", "adamw.safetensors", "results"}
    assert max(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) < 16 * 2**20
    written = {name: (tmp_path / f"{name}.md").stat().st_mtime_ns for name in TABLES}
    again = run(tmp_path)
    assert "update 10" not in again, "no training is repeated"
    assert {name: (tmp_path / f"{name}.md").stat().st_mtime_ns for name in TABLES} == written
