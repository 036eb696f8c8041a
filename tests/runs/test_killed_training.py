"""Training that is killed and resumed, in real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from grok_interp.configs import TrainConfig
from grok_interp.runs.recorder import resume_points
from grok_interp.runs.run_training import run_training

SCRIPT = """
import json, sys
from pathlib import Path
import torch
from grok_interp.runs.run_training import run_training
from grok_interp.configs import TextConfig, TrainConfig
torch.set_num_threads(1)
config = TrainConfig.from_dict(json.loads(Path(sys.argv[2]).read_text()))
run_training(Path(sys.argv[1]), config, resume_seconds=0.05)
"""


def start(directory: Path, config: TrainConfig) -> subprocess.Popen:
    file = directory.with_suffix(".json")
    file.write_text(json.dumps(config.to_dict()))
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(directory), str(file)], env=dict(os.environ))


def wait_for_step(directory: Path, step: int, process: subprocess.Popen) -> None:
    """Until a resume point past that step lies on disk."""
    while not any(int(path.stem.removeprefix("step_")) >= step for path in resume_points(directory)):
        assert process.poll() is None, "the training ended before it could be killed"
        time.sleep(0.01)


def checkpoint_bytes(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((directory / "checkpoints").iterdir())}


def losses(directory: Path) -> list[tuple[int, float]]:
    rows = map(json.loads, (directory / "metrics.jsonl").read_text().splitlines())
    return [(row["step"], row["loss"]) for row in rows]


@pytest.fixture
def longer(tiny: TrainConfig) -> TrainConfig:
    """Long enough to be killed in the middle, with dropout, whose masks must be the same after a resume."""
    config = tiny.with_model(attn_dropout=0.1)
    return replace(config, n_steps=600, checkpoint_steps=tuple(range(0, 600, 50)))


def test_killed_twice_and_resumed_it_ends_with_the_same_bits(longer: TrainConfig, tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for step in (100, 300):
        process = start(killed, longer)
        wait_for_step(killed, step, process)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert start(killed, longer).wait() == 0
    run_training(whole, longer)
    assert checkpoint_bytes(killed) == checkpoint_bytes(whole)
    assert losses(killed) == losses(whole)
    assert [step for step, _ in losses(whole)] == list(range(1, 601))
