"""How the cost of analyzing grows: with checkpoints, layers, heads, sequences and the context; and of large folders.

    python benchmarks/growth.py [--short]

Induction scores on 16 x 128 tokens, or on as many as the table says. Checkpoints lie on disk and are loaded one at a
time, so memory does not grow with them. Layers and heads of a model in memory; heads share 256 features, so only their
number grows. The time of attention grows with the square of the context, everything else with the context.

The last table has commands, by the clock, Python's start included: the second report of a run of 300 checkpoints, and
the list of 1,000 runs.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import tyro
from side_by_side import (
    cpu_seconds,
    growth_exponent,
    mebibytes,
    peak_memory,
    prepare,
    print_header,
    print_row,
    seconds,
)
from torch import Tensor

from grok_interp.analysis.induction import induction_scores
from grok_interp.configs import ModelConfig, llama_copier
from grok_interp.data.copying import repeated_tokens
from grok_interp.models.transformer import Transformer
from grok_interp.presets import training_preset
from grok_interp.runs.run import Run
from grok_interp.runs.run_training import run_training

LAYERS, HEADS = (2, 4, 8, 16), (2, 4, 8, 16)
MIDDLE = llama_copier(n_layers=4, n_heads=4, d_model=256, d_mlp=688, d_vocab=256, n_ctx=128)
SMALL = llama_copier(n_layers=2, n_heads=4, d_model=64, d_mlp=176, d_vocab=256, n_ctx=128)
SEQUENCES, CONTEXTS = (4, 16, 64, 256), (512, 2_048, 8_192, 32_768)
ROUNDS = 3


def repeated(n_sequences: int, n_ctx: int) -> Tensor:
    return repeated_tokens(n_sequences=n_sequences, half=n_ctx // 2, alphabet=range(256), seed=0)


def main(*, short: bool = False) -> None:
    """Print the tables.

    Args:
        short: up to 300 checkpoints instead of 1,000.
    """
    prepare()
    grow("checkpoints on disk", (10, 30, 100, 300) if short else (10, 100, 1_000), series_of)
    grow("layers", LAYERS, lambda n_layers: model_of(replace(MIDDLE, n_layers=n_layers)))
    grow("heads of a layer", HEADS, lambda n_heads: model_of(replace(MIDDLE, n_heads=n_heads, d_head=256 // n_heads)))
    grow("sequences of 128 tokens", SEQUENCES, lambda _: model_of(MIDDLE), tokens_of=lambda n: repeated(n, 128))
    contexts = CONTEXTS[:-1] if short else CONTEXTS
    grow("context", contexts, lambda n: model_of(replace(SMALL, n_ctx=n)), tokens_of=lambda n: repeated(1, n))
    with tempfile.TemporaryDirectory() as folder:
        print_commands(Path(folder), n_checkpoints=300, n_runs=1_000)


@contextmanager
def series_of(n_checkpoints: int) -> Iterator[Run]:
    config = training_preset("copier-mini")
    with tempfile.TemporaryDirectory() as folder:
        run, model = Run.create(Path(folder), config), Transformer(config.model, seed=0)
        for step in range(n_checkpoints):
            run.checkpoints.save(step, model)
        yield run


@contextmanager
def model_of(cfg: ModelConfig) -> Iterator[list[tuple[int, Transformer]]]:
    yield [(0, Transformer(cfg, seed=0).eval())]


def grow(
    what: str,
    sizes: tuple[int, ...],
    checkpoints_of: Callable,
    *,
    tokens_of: Callable[[int], Tensor] = lambda _: repeated(16, 128),
) -> None:
    """A row a size, and the power of the size that time and memory grow with."""
    print_header([what, "time", "peak memory"])
    times, peaks = [], []
    for size in sizes:
        with checkpoints_of(size) as checkpoints:
            scores = partial(induction_scores, checkpoints, tokens_of(size))
            scores()
            times.append(min(cpu_seconds(scores) for _ in range(ROUNDS)))
            peaks.append(peak_memory(scores))
        print_row([f"{size:,}", seconds(times[-1]), mebibytes(peaks[-1])])
    print_row(["exponent", *(f"{growth_exponent(sizes, costs):.2f}" for costs in (times, peaks))])


def print_commands(folder: Path, *, n_checkpoints: int, n_runs: int) -> None:
    tiny = training_preset("copier-tiny")
    long = replace(tiny, n_steps=n_checkpoints - 1, checkpoint_steps=tuple(range(n_checkpoints)))
    with torch.enable_grad():
        run_training(folder / "long", long)
        run_training(folder / "runs" / "0", tiny)
    for number in range(1, n_runs):
        shutil.copytree(folder / "runs" / "0", folder / "runs" / str(number))
    command_seconds("report", str(folder / "long"))  # the first
    print_header(["command", "time, median of 5", "target"])
    second = [command_seconds("report", str(folder / "long")) for _ in range(5)]
    print_row([f"a second report of a run of {n_checkpoints} checkpoints", seconds(float(np.median(second))), "5 s"])
    listed = [command_seconds("list", "--folder", str(folder / "runs")) for _ in range(5)]
    print_row([f"the list of {n_runs:,} runs", seconds(float(np.median(listed))), "1 s"])


def command_seconds(*words: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "grok_interp.cli", *words], check=True, capture_output=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    tyro.cli(main)
