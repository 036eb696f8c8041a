"""The script for a GPU, rehearsed on the CPU at miniature size: its tables, and a training that is not repeated."""

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
def test_tables_and_runs_are_left_and_a_second_call_trains_nothing(tmp_path: Path) -> None:
    run(tmp_path, "--parts", *TABLES, "p29")
    assert [name for name in TABLES if not (tmp_path / f"{name}.md").exists()] == []
    assert "| copier-tiny | plain torch |" in (tmp_path / "steps.md").read_text()
    assert "| 1 x modular-tiny |" in (tmp_path / "ensembles.md").read_text()
    assert "| 3 x 2 copying queries of copier-tiny |" in (tmp_path / "analysis.md").read_text()
    for name in ("d2", "d4"):
        names = {path.name for path in (tmp_path / "p29_export" / name).iterdir()}
        assert names >= {"config.json", "metrics.jsonl.gz", "weights_0.safetensors", "adamw_0.safetensors", "results"}
    assert max(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) < 16 * 2**20
    assert "update 10" not in run(tmp_path, "--parts", "p29")
