"""Processes of `--jobs` end with the command that started them, whatever ended it, and lose no work."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from grok_interp.configs import TrainConfig
from grok_interp.files import HOST, write_text
from grok_interp.runs.checkpoint_files import load_state
from grok_interp.runs.interrupts import ending_with
from grok_interp.runs.recorder import resume_points
from grok_interp.runs.run import Run

PROGRAM = """
import os, sys
from pathlib import Path
import torch
from grok_interp.engines.local import LocalEngine
from grok_interp.runs.interrupts import terminations_interrupt
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training
from grok_interp.studies.sweep import Sweep

def train(directory, config):
    torch.set_num_threads(1)
    directory.parent.mkdir(parents=True, exist_ok=True)
    (directory.parent / f"worker{os.getpid()}").touch()
    run_training(directory, config, resume_seconds=1e6)

folder = Path(sys.argv[1])
sweep = Sweep(folder / "sweep", {"long": Run.open(folder / "like").config}, n_seeds=2)
with terminations_interrupt():  # as the command line does
    sweep.complete(train, engine=LocalEngine(2))
"""


def is_alive(process: int) -> bool:
    """Not even as a zombie that nobody has asked for."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextmanager
def sweeping(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], set[int]]]:
    """A command that trains two runs for very long, and the processes that do."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder)], stderr=subprocess.DEVNULL)
    try:
        while len(list((folder / "sweep").glob("*/seed*/metrics.jsonl"))) < 2:
            assert process.poll() is None
            time.sleep(0.05)
        yield process, {int(path.name[6:]) for path in (folder / "sweep" / "long").glob("worker*")}
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_their_parent(number: signal.Signals, tiny: TrainConfig, tmp_path: Path) -> None:
    Run.create(tmp_path / "like", replace(tiny, n_steps=10**6))
    with sweeping(tmp_path) as (process, workers):
        assert len(workers) == 2 and all(map(is_alive, workers))
        process.send_signal(number)
        process.wait()
        while any(map(is_alive, workers)):
            time.sleep(0.05)
    for seed in (0, 1) if number == signal.SIGKILL else ():  # Ctrl-C costs what came after the last resume point
        points = resume_points(tmp_path / "sweep" / "long" / f"seed{seed}")
        assert len(points) == 1 and load_state(points[0], torch.device("cpu"))["step"] > 0
    assert [path for path in tmp_path.rglob(".*") if path.name != ".lock"] == []


def test_a_process_that_started_itself_is_left_alone() -> None:
    with ending_with(os.getpid()):
        pass


def test_what_was_left_of_a_file_goes_when_the_file_is_written_again(tmp_path: Path) -> None:
    if (dead := os.fork()) == 0:
        os._exit(0)
    os.waitpid(dead, 0)
    for name in (f".report.html.{dead}@{HOST}", f".report.html.{os.getppid()}@{HOST}", f".other.{dead}@{HOST}"):
        (tmp_path / name).write_text("half")
    write_text(tmp_path / "report.html", "whole")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"report.html", f".report.html.{os.getppid()}@{HOST}", f".other.{dead}@{HOST}"}
