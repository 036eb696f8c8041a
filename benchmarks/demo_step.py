"""A training step of the demo: against the first demo's, and what it consists of.

    python benchmarks/demo_step.py         two minutes on two idle cores

The first table needs the history of this repository: the package as it was at the first demo (8d2729d: 3 layers of 2
heads, AdamW, float32, one core) is unpacked, and its step, our step of the same run, and our step of today's demo are
timed in turn, each in a process of its own, by the clock. Ours use what this machine has: both cores, and bfloat16
where the processor multiplies it. Compiled ones are compiled before the clock starts.

The second has the time of one core at the shapes of today's demo: of its matrix products alone, of its attention alone,
and of the rest of a step (norms, activations, rotary positions, loss, optimizer, Python).
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import tyro
from side_by_side import prepare, print_header, print_row, round_robin, seconds, spread
from torch.nn.functional import scaled_dot_product_attention

from grok_interp.presets import training_preset
from grok_interp.training.batches import open_batches
from grok_interp.training.loop import TrainingState, train_step
from grok_interp.training.precision import resolve_precision

OURS = Path(__file__).parents[1]
FIRST_DEMO = "8d2729d"
STEPS = 40  # a round, after five that warm up
DRIVER = """
import sys, time, torch
from dataclasses import replace
from grok_interp import presets
from grok_interp.training.loop import TrainingState, train_step
from grok_interp.training.batches import next_token_loss

which, *compiled = sys.argv[1].split()
config = presets.training_preset("copier-mini")
if which == "first":
    torch.set_num_threads(1)
elif which != "today":
    own = dict(optimizer="adamw", muon_learning_rate=None, precision=which)
    config = replace(config.with_model(n_heads=2, d_head=32), **own)
state = TrainingState(config)
loss = torch.compile(next_token_loss) if compiled else next_token_loss
if which != "first":
    from grok_interp.device import keep_freed_memory, use_threads
    keep_freed_memory()
    use_threads(config.model.n_params)
batch = torch.randint(256, (config.batch_size, config.model.n_ctx + 1), generator=torch.Generator().manual_seed(0))
for _ in range(5):
    train_step(state, batch, loss)
start = time.perf_counter()
for _ in range(int(sys.argv[2])):
    train_step(state, batch, loss)
print((time.perf_counter() - start) / int(sys.argv[2]))
"""


def unpack(commit: str, folder: Path) -> Path:
    """The package as it was at a commit. Raises CalledProcessError without the repository's history."""
    archive = subprocess.run(
        ["git", "archive", commit, "grok_interp"], capture_output=True, check=True, cwd=OURS
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return folder


def step_seconds(package: Path, which: str) -> float:
    """Of a step, by the clock, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(package)}
    environment.pop("OMP_NUM_THREADS", None)
    command = [sys.executable, "-c", DRIVER, which, str(STEPS)]
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def print_against_first(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first = unpack(FIRST_DEMO, Path(folder))
        rows = {
            "the first demo's step, as it was": (first, "first"),
            "the same model and optimizer now, float32": (OURS, "float32"),
            "float32, compiled": (OURS, "float32 compiled"),
            "the same model and optimizer now, as this machine does it": (OURS, "auto"),
            "as this machine does it, compiled": (OURS, "auto compiled"),
            "today's demo (4 heads of 32, Muon), as this machine does it": (OURS, "today"),
            "today's demo, compiled": (OURS, "today compiled"),
        }
        times = np.array([[step_seconds(*each) for each in rows.values()] for _ in range(rounds)])
    print_header(["a training step, by the clock", "time", "times faster than the first (quartiles)", "target"])
    targets = ["", "2", "2", "3 with bfloat16", "3 with bfloat16", "", ""]
    for label, target, own in zip(rows, targets, times.T, strict=True):
        print_row([label, seconds(float(np.median(own))), spread(times[:, 0] / own), target])


def print_parts(rounds: int) -> None:
    """Products, attention and the rest, of today's demo on one core."""
    prepare(gradients=True)
    config = training_preset("copier-mini")
    state, batches = TrainingState(config), open_batches(config)
    batch = batches.batch(0, torch.device("cpu"))
    calls = [
        lambda: train_step(state, batch, batches.loss),
        products(state, batch.numel()),
        attention(state, len(batch)),
    ]
    times = np.median(round_robin(calls, rounds=rounds), axis=0)
    flops = [0.0, 6.0 * batch.numel() * sum(p.numel() for p in matrices(state)), 0.0]
    print_header(
        [
            f"a step of copier-mini on one core, {resolve_precision(config.precision, state.device)}",
            "time",
            "share",
            "GFLOP/s",
        ]
    )
    for label, value, work in zip(
        ("the whole step", "matrix products", "attention, float32"), times, flops, strict=True
    ):
        print_row([label, seconds(value), f"{value / times[0]:.0%}", f"{work / value / 1e9:.0f}" if work else ""])
    rest = times[0] - times[1] - times[2]
    print_row(["the rest", seconds(rest), f"{rest / times[0]:.0%}", ""])


def matrices(state: TrainingState) -> list[torch.Tensor]:
    """Those that the residual stream is multiplied with."""
    return [p.detach() for name, p in state.model.named_parameters() if p.dim() == 2 and name != "embed.weight"]


def products(state: TrainingState, n_tokens: int) -> Callable[[], None]:
    """Each matrix product of a step and the two of its gradient, at its shape and precision."""
    dtype = torch.bfloat16 if state.precision == "bfloat16" else torch.float32
    operands = [(torch.randn(n_tokens, w.shape[1]), torch.randn(n_tokens, w.shape[0]), w) for w in matrices(state)]
    cast = [tuple(each.to(dtype) for each in group) for group in operands]

    def multiply() -> None:
        for inputs, outputs, weight in cast:
            _ = inputs @ weight.T, outputs @ weight, outputs.T @ inputs

    return multiply


def attention(state: TrainingState, n_sequences: int) -> Callable[[], None]:
    """Fused attention of every layer, forward and backward."""
    cfg = state.config.model
    shape = (n_sequences, cfg.n_heads, cfg.n_ctx, cfg.d_head)
    q, k, v = (torch.randn(shape, requires_grad=True) for _ in range(3))

    def attend() -> None:
        for _ in range(cfg.n_layers):
            scaled_dot_product_attention(q, k, v, is_causal=True).sum().backward()

    return attend


def main(*, short: bool = False) -> None:
    """Print both tables.

    Args:
        short: 3 rounds of each step in turn instead of 7.
    """
    rounds = 3 if short else 7
    print_parts(3 * rounds)
    print_against_first(rounds)


if __name__ == "__main__":
    tyro.cli(main)
