"""What a GPU can say: parity, speed and larger trainings, in parts of a few minutes that can each be run again.

    python benchmarks/gpu.py --out gpu                     every part that is not in the folder yet
    python benchmarks/gpu.py --out gpu --parts steps       one part or several, again
    python benchmarks/gpu.py --out gpu --miniature         the rehearsal: tiny models, on the CPU if there is no GPU

Every part writes a table or runs as it goes. Tables and the folders that end in `_export` are what to take away, in
files below 16 MB; checkpoints and resume points of the runs themselves are larger. A peer that is not installed is
skipped by name, and its row stays empty.

On a machine without network that has torch, transformers, xarray, scipy, matplotlib, joblib and pytest, the wheels of
`make gpu-bundle` are enough: pip install --no-index --no-deps --target site gpu-wheels/*.whl, then PYTHONPATH=site:. .
"""

from __future__ import annotations

import faulthandler
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import tyro
from gpu_trainings import copying_sweeps, generalize_at_29, modular_diagram
from plain_decoder import plain_copy
from side_by_side import Call, print_header, print_row, round_robin, seconds, spread
from torch import Tensor, nn

from grok_interp.analysis.copying import copying_accuracy
from grok_interp.analysis.induction import induction_scores
from grok_interp.analysis.shots import shot_curve
from grok_interp.configs import ModularConfig, TrainConfig
from grok_interp.data.copying import CopyTask
from grok_interp.data.modular import ModularTasks
from grok_interp.models.interchange import to_huggingface
from grok_interp.models.transformer import Transformer
from grok_interp.models.transformer_lens import to_hooked_transformer
from grok_interp.presets import preset, training_preset
from grok_interp.training.batches import answer_loss, next_token_loss, open_batches
from grok_interp.training.cuda_graph import graphed
from grok_interp.training.ensemble import EnsembleState
from grok_interp.training.ensemble import step_function as ensemble_step_function
from grok_interp.training.loop import step_function
from grok_interp.training.precision import autocast
from grok_interp.training.state import TrainingState

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
STEPS = 5  # in a timed call
LIBRARY = "TransformerLens"
UNCONFIGURED = ("-o", "addopts=", "-o", "filterwarnings=default")  # another torch warns of other things


@dataclass(frozen=True)
class Sizes:
    """How large things are: on a GPU, and in the rehearsal."""

    cases: tuple[tuple[str, TrainConfig], ...]
    n_members: tuple[int, ...]
    n_samples: int
    rounds: int
    matrix: int


def timed(config: TrainConfig, **changes: Any) -> TrainConfig:
    """As the run is trained, with AdamW: no peer has Muon on fused matrices."""
    own = dict(checkpoint_steps=(), optimizer="adamw", muon_learning_rate=None, precision="bfloat16")
    return replace(config, **{**own, **changes})


FULL = Sizes(
    cases=(
        ("copier-paper", timed(training_preset("copier-paper"), batch_size=16, micro_batch_size=None)),
        ("modular-paper-d2", timed(training_preset("modular-paper-d2"))),
        ("modular-paper-d4", timed(training_preset("modular-paper-d4"))),
        ("copier-mini", timed(training_preset("copier-mini"))),
    ),
    n_members=(1, 8, 64),
    n_samples=500,
    rounds=5,
    matrix=8192,
)
MINIATURE = Sizes(
    cases=(
        ("copier-tiny", timed(training_preset("copier-tiny"))),
        ("modular-tiny", timed(training_preset("modular-tiny"))),
    ),
    n_members=(1, 2),
    n_samples=3,
    rounds=1,
    matrix=256,
)


def parity(out: Path, sizes: Sizes) -> None:  # noqa: ARG001 (every part has one signature)
    """The tests that need a GPU."""
    tests = Path(__file__).parent.parent / "tests/training/test_cuda.py"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", *UNCONFIGURED, str(tests)]
    print("```\n" + subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout[-6000:] + "\n```")


def steps(out: Path, sizes: Sizes) -> None:  # noqa: ARG001
    """The training step against its peers, in one process."""
    peak = matrix_rate(sizes.matrix)
    print(f"A product of two {sizes.matrix} x {sizes.matrix} matrices in bfloat16: {peak / 1e12:.0f} TFLOP/s.")
    header = ["training step", "peer", "ours", "peer's", "times faster than the peer (quartiles)"]
    print_header([*header, "our tokens/s", "our fraction of the matrix product's rate"])
    for name, config in sizes.cases:
        compare_steps(name, config, sizes.rounds, peak)


def compare_steps(name: str, config: TrainConfig, rounds: int, peak: float) -> None:
    loss = next_token_loss if config.model.gated_mlp else answer_loss
    shape = (config.batch_size, config.model.n_ctx)
    batch = torch.randint(config.model.d_vocab, shape, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    ours = step_function(TrainingState(config, device=str(DEVICE)), compiled(loss))
    peers = dict(peers_of(config, loss))
    calls = [repeated(step, batch) for step in (ours, *peers.values())]
    for call in calls:
        call()  # compiles and records
    times = round_robin(calls, rounds=rounds, device=DEVICE.type).T / STEPS
    mine = float(np.median(times[0]))
    rate = batch.numel() / mine
    share = operations_per_token(config) * rate / peak
    for peer, theirs in zip(peers, times[1:], strict=True):
        medians = seconds(mine), seconds(float(np.median(theirs)))
        print_row([name, peer, *medians, spread(theirs / times[0]), f"{rate:,.0f}", f"{100 * share:.0f}%"])


def compiled(loss: Callable) -> Callable:
    return torch.compile(loss) if DEVICE.type == "cuda" else loss


def repeated(step: Callable, batch: Tensor) -> Call:
    def call() -> None:
        for _ in range(STEPS):
            step(batch)

    return call


def operations_per_token(config: TrainConfig) -> float:
    """Of matrix products, forward and backward: 6 per weight, and attention over half the context on average."""
    model = config.model
    return 6 * model.n_params + 6 * model.n_layers * model.n_heads * model.d_head * model.n_ctx


def matrix_rate(size: int) -> float:
    a, b = (torch.randn(size, size, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    times = round_robin([repeated(lambda _: a @ b, a)], rounds=5, device=DEVICE.type)
    return 2 * size**3 * STEPS / float(np.median(times))


def peers_of(config: TrainConfig, loss: Callable) -> Iterator[tuple[str, Callable]]:
    """(name, a step as a plain training script writes it); one that cannot be made is named and left out."""
    make = {
        LIBRARY: lambda: (to_hooked_transformer(fresh(config)), loss),
        "Hugging Face, SDPA": lambda: (to_huggingface(fresh(config)).to(DEVICE), of_huggingface(loss)),
        "plain torch": lambda: (plain(config), loss),
    }
    if DEVICE.type == "cuda":
        make["plain torch, compiled, CUDA graph"] = lambda: (plain(config), torch.compile(loss))
    for name, build in make.items():
        try:
            step = plain_step(config, *build())
            yield name, graphed(step, DEVICE) if name.endswith("CUDA graph") else step
        except (ImportError, RuntimeError, ValueError) as error:
            print_row([name, f"skipped: {type(error).__name__}: {str(error)[:80]}", *[""] * 5])


def fresh(config: TrainConfig) -> Transformer:
    return TrainingState(config, device=str(DEVICE)).model


def plain(config: TrainConfig) -> nn.Module:
    return plain_copy(fresh(config), config.model)


def of_huggingface(loss: Callable) -> Callable:
    return lambda model, batch: loss(lambda tokens: model(tokens).logits, batch)


def plain_step(config: TrainConfig, model: nn.Module, loss: Callable) -> Callable[[Tensor], tuple[Tensor]]:
    parameters = list(model.train().parameters())
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True, capturable=DEVICE.type == "cuda")

    def step(batch: Tensor) -> tuple[Tensor]:
        with autocast(DEVICE, "bfloat16"):
            found = loss(model, batch)
        found.backward()
        nn.utils.clip_grad_norm_(parameters, config.max_grad_norm or torch.inf)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return (found.detach(),)

    return step


def ensembles(out: Path, sizes: Sizes) -> None:  # noqa: ARG001
    """Minis in lockstep against one after the other."""
    names = ("modular-tiny",) if sizes is MINIATURE else ("copier-mini", "modular-p11")
    print_header(["a step of all", "in lockstep", "one after the other", "times faster (quartiles)"])
    for name in names:
        for n_members in sizes.n_members:
            compare_ensemble(name, n_members, sizes.rounds)


def compare_ensemble(name: str, n_members: int, rounds: int) -> None:
    """One after the other is one member's step as often as there are members. Nothing is compiled, for the time."""
    configs = [replace(training_preset(name), init_seed=seed, data_seed=seed) for seed in range(n_members)]
    batches = open_batches(configs[0])
    batch = batches.batch(0, DEVICE)
    state = EnsembleState([TrainingState(config, device=str(DEVICE)) for config in configs])
    together = ensemble_step_function(state, batches.loss, compiled=False)
    alone = step_function(TrainingState(configs[0], device=str(DEVICE)), batches.loss)
    ways = [repeated(lambda one: together([one] * n_members), batch), repeated(alone, batch)]
    for way in ways:
        way()
    ours, theirs = round_robin(ways, rounds=rounds, device=DEVICE.type).T / STEPS
    theirs = theirs * n_members
    medians = (seconds(float(np.median(each))) for each in (ours, theirs))
    print_row([f"{n_members} x {name}", *medians, spread(theirs / ours)])


@torch.no_grad()
def analysis(out: Path, sizes: Sizes) -> None:  # noqa: ARG001
    """Analyses of a checkpoint against a plain forward pass on as many tokens."""
    print_header(["analysis", "time", "a plain forward pass", "passes (quartiles)"])
    copier, modular = ("copier-tiny", "modular-tiny") if sizes is MINIATURE else ("copier-paper", "modular-paper-d4")
    model = Transformer(preset(copier), seed=0).eval().to(DEVICE)
    compare_induction(f"induction scores of {copier}", model, sizes)
    compare_copying(f"copying queries of {copier}", model, sizes)
    compare_shots(f"k-shot curves of {modular}", training_preset(modular), sizes)


def compare_induction(name: str, model: Transformer, sizes: Sizes) -> None:
    half = (4, model.cfg.n_ctx // 2)
    tokens = torch.randint(model.cfg.d_vocab, half, generator=torch.Generator().manual_seed(0)).repeat(1, 2)
    on_device = tokens.to(DEVICE)
    row(name, lambda: induction_scores([(0, model)], tokens), lambda: model(on_device), sizes)


def compare_copying(name: str, model: Transformer, sizes: Sizes) -> None:
    """All queries of a sample share its strings; each query is the tokens before its last."""
    samples = CopyTask.fitting(model.cfg.n_ctx, n_samples=sizes.n_samples).sample()
    context, n_queries = samples.context, len(samples.task.queries)
    n_tokens = context.numel() + n_queries * samples.query(0)[:, :-1].numel()
    rows = torch.zeros(math.ceil(n_tokens / model.cfg.n_ctx), model.cfg.n_ctx, dtype=torch.long, device=DEVICE)
    ours = partial(copying_accuracy, [(0, model)], samples)
    row(f"{len(context)} x {n_queries} {name}", ours, partial(read, model, rows.split(64)), sizes)


def compare_shots(name: str, config: TrainConfig, sizes: Sizes) -> None:
    assert isinstance(config.data, ModularConfig)
    model, tasks = Transformer(config.model, seed=0).eval().to(DEVICE), ModularTasks.draw(config.data)
    contexts = 4 * 2 * (len(tasks.id_tasks) + len(tasks.ood_tasks)) // 2
    rows = torch.zeros(256, config.model.n_ctx - 1, dtype=torch.long, device=DEVICE)
    ours = partial(shot_curve, [(0, model)], tasks, n_contexts=1, seed=0)
    row(name, ours, partial(read, model, [rows] * max(1, contexts // 256)), sizes)


def read(model: Transformer, batches: Iterable[Tensor]) -> None:
    """Keeps no logits: those of all batches may not fit."""
    for batch in batches:
        model(batch)


def row(name: str, ours: Call, forward: Call, sizes: Sizes) -> None:
    times = round_robin([ours, forward], rounds=sizes.rounds, device=DEVICE.type)
    medians = (seconds(float(np.median(each))) for each in times.T)
    print_row([name, *medians, spread(times[:, 0] / times[:, 1])])


PARTS: dict[str, Callable[[Path, Sizes], None]] = {
    "parity": parity,
    "steps": steps,
    "ensembles": ensembles,
    "analysis": analysis,
}
TRAININGS = {"copying": copying_sweeps, "diagram": modular_diagram, "p29": generalize_at_29}


def main(
    *,
    out: Path = Path("gpu"),
    parts: tuple[Literal["parity", "steps", "ensembles", "analysis", "copying", "diagram", "p29"], ...] = (),
    minutes: float = 5.0,
    miniature: bool = False,
) -> None:
    """Run the parts that the folder does not have yet.

    Args:
        out: the folder.
        parts: these, again; trainings go on from where they stand.
        minutes: how long each of the parts `copying`, `diagram` and `p29` may train; the same command resumes. It does
            not limit their evaluations, nor the other parts, which take a few minutes each and write row by row.
        miniature: tiny models, to rehearse.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    faulthandler.enable()
    for name, measure in PARTS.items():
        if name in parts or (not parts and not (out / f"{name}.md").exists()):
            print_table(out / f"{name}.md", partial(measure, out, MINIATURE if miniature else FULL))
    for name, train in TRAININGS.items():
        if name in parts or not parts:
            train(out / name, device=str(DEVICE), minutes=minutes, miniature=miniature)


def print_table(file: Path, measure: Callable[[], None]) -> None:
    """Into the file, row by row, and to the terminal when all is measured."""
    began = time.monotonic()
    with file.with_suffix(".part").open("w") as written, redirect_stdout(written):
        print(f"{machine()}\n")
        measure()
    file.with_suffix(".part").rename(file)
    print(f"{file} after {time.monotonic() - began:.0f} s\n{file.read_text()}", flush=True)


def machine() -> str:
    device = torch.cuda.get_device_name() if DEVICE.type == "cuda" else "CPU"
    return f"{device}, torch {torch.__version__}, transformer-lens {version('transformer-lens')}"


if __name__ == "__main__":
    tyro.cli(main)
