"""What is not mathematics: making batches, keeping checkpoints, importing the package.

    python benchmarks/overheads.py [--short]

Shares are of the time of the steps beside it, on the same thread. Checkpoints are timed on the wall's clock inside a
run (`run_training`, at the density of 200 along a run of 5,000 updates), because they wait for the disk.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import tyro
from side_by_side import cpu_seconds, prepare, print_header, print_row, seconds

from grok_interp.configs import TrainConfig
from grok_interp.presets import training_preset
from grok_interp.runs.run_training import run_training
from grok_interp.runs.saved_checkpoints import SavedCheckpoints
from grok_interp.training.batches import open_batches
from grok_interp.training.loop import train_step
from grok_interp.training.state import TrainingState

UPDATES_OF_A_RUN, CHECKPOINTS_OF_A_RUN = 5_000, 200
HEAVY = ("torch", "transformer_lens", "numpy", "matplotlib", "xarray")
COMMANDS = {
    "import grok_interp": ["-c", "import grok_interp"],
    "grok-interp --help": ["-m", "grok_interp.cli", "--help"],
    "grok-interp train --help": ["-m", "grok_interp.cli", "train", "--help"],
}


def main(*, short: bool = False) -> None:
    """Print the tables.

    Args:
        short: shorter runs.
    """
    prepare(gradients=True)
    names = ("copier-mini", "modular-p11")
    print_header(["making a batch", "time", "of a step", "share", "target"])
    for name in names:
        fraction_of_batches(name, training_preset(name), n_steps=10 if short else 50)
    print_header(["200 checkpoints along a run", "time of one", "of an update", "fraction of the run", "target"])
    for name in names:
        fraction_of_checkpoints(name, training_preset(name), n_steps=100 if short else 1_000)
    print_header(["start", "wall, median of 5", "heavy packages loaded", "target"])
    for name, arguments in COMMANDS.items():
        start_of(name, arguments)


def fraction_of_batches(name: str, config: TrainConfig, *, n_steps: int) -> None:
    batches, state, device = open_batches(config), TrainingState(config), torch.device("cpu")
    batch = batches.batch(0, device)
    train_step(state, batch, batches.loss)  # a warm-up
    making = cpu_seconds(lambda: [batches.batch(step, device) for step in range(n_steps)]) / n_steps
    training = cpu_seconds(lambda: [train_step(state, batch, batches.loss) for _ in range(n_steps)]) / n_steps
    print_row([name, seconds(making), seconds(training), f"{making / training:.2%}", "3%"])


def fraction_of_checkpoints(name: str, config: TrainConfig, *, n_steps: int) -> None:
    every = UPDATES_OF_A_RUN // CHECKPOINTS_OF_A_RUN
    config = replace(config, n_steps=n_steps, checkpoint_steps=tuple(range(0, n_steps, every)))
    saving: list[float] = []
    save = SavedCheckpoints.save

    def timed_save(*arguments: Any) -> None:
        start = time.perf_counter()
        save(*arguments)
        saving.append(time.perf_counter() - start)

    with tempfile.TemporaryDirectory() as folder, patch.object(SavedCheckpoints, "save", timed_save):
        start = time.perf_counter()
        run_training(Path(folder) / "run", config)
        whole = time.perf_counter() - start
    one, rest = float(np.mean(saving)), whole - sum(saving)
    print_row([name, seconds(one), seconds(rest / n_steps), f"{sum(saving) / rest:.2%}", "2%"])


def start_of(name: str, arguments: list[str]) -> None:
    def run() -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start

    run()  # files into the cache
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments], check=True, capture_output=True, text=True
    ).stderr
    modules = {line.rpartition("|")[2].strip() for line in loaded.splitlines()}
    heavy = ", ".join(name for name in HEAVY if name in modules) or "none"
    print_row([name, seconds(float(np.median([run() for _ in range(5)]))), heavy, "0.5 s, none"])


if __name__ == "__main__":
    tyro.cli(main)
