"""A report that is up to date is not written again, and one that is not is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from grok_interp.cli.commands import main
from grok_interp.presets import training_preset
from grok_interp.runs.run_training import run_training


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reported") / "run"
    run_training(folder, training_preset("copier-tiny"))
    report(folder)
    return folder


def report(folder: Path, *options: str) -> bool:
    """Was report.html written?"""
    page = folder / "report.html"
    before = page.stat().st_mtime_ns if page.exists() else 0
    main(["report", str(folder), *options])
    return page.stat().st_mtime_ns != before


def test_the_second_report_is_the_first_and_says_the_same(reported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report(reported, "--json")
    capsys.readouterr()
    assert not report(reported, "--json")
    again = json.loads(capsys.readouterr().out)
    (reported / "results" / "report.json").unlink()
    assert report(reported, "--json")
    assert json.loads(capsys.readouterr().out) == again


def touch(file: Path) -> None:
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))


def append(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\n")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("checkpoints/step_00000020.safetensors", touch),
        ("metrics.jsonl", append),
        ("report.html", append),
        ("report.html", Path.unlink),
        ("results/report.json", append),
        ("results/report.json", lambda file: file.write_text(file.read_text().replace("answer", "ansver"))),
    ],
)
def test_a_report_is_written_again_when_something_has_changed(
    reported: Path, name: str, change: Callable[[Path], object]
) -> None:
    report(reported)
    change(reported / name)
    expected = name != "results/report.json" or change is not append  # a line break more is the same record
    assert report(reported) is expected
    assert not report(reported)


def test_another_threshold_makes_another_report(reported: Path) -> None:
    report(reported)
    assert report(reported, "--threshold", "0.2")
    assert not report(reported, "--threshold", "0.2")
    assert report(reported)


def test_a_report_that_is_up_to_date_imports_nothing_heavy(reported: Path) -> None:
    report(reported)
    script = f"import sys\nfrom grok_interp.cli import main\nassert main(['report', {str(reported)!r}]) == 0\n"
    script += "print(sorted({'torch', 'transformer_lens', 'xarray', 'matplotlib', 'plotly'} & set(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "[]"
