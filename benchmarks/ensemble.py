"""A sweep of same-shaped models trained in lockstep, against one after the other.

    python benchmarks/ensemble.py [--short]

A step of every member, all on their own batches; the first losses and gradient norms must agree. On a CPU members of
modular-p11 take their steps in turn, because stacking them costs more than it saves: the row says what it would cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
import tyro
from side_by_side import prepare, print_header, print_row, round_robin, seconds, spread

from grok_interp.configs import TrainConfig
from grok_interp.presets import training_preset
from grok_interp.training import ensemble
from grok_interp.training.batches import open_batches
from grok_interp.training.divergence import Update
from grok_interp.training.ensemble import EnsembleState, step_function
from grok_interp.training.loop import train_step
from grok_interp.training.state import TrainingState


def narrow(d_model: int, batch_size: int) -> TrainConfig:
    """modular-p11 with fewer features and sequences."""
    config = training_preset("modular-p11").with_model(d_model=d_model, d_head=d_model // 4, d_mlp=4 * d_model)
    return replace(config, batch_size=batch_size)


CASES = {
    "modular-tiny": training_preset("modular-tiny"),
    "modular-p11 of 16 features, 104 sequences": narrow(16, 104),
    "modular-p11": training_preset("modular-p11"),
    "copier-mini": training_preset("copier-mini"),
}


def seeds_of(config: TrainConfig, n_members: int) -> list[TrainConfig]:
    return [replace(config, init_seed=seed, data_seed=seed) for seed in range(n_members)]


def compare_ways(name: str, config: TrainConfig, device: str, *, n_members: int, rounds: int) -> None:
    configs = seeds_of(config, n_members)
    sources = [open_batches(each) for each in configs]
    batch = [source.batch(0, torch.device(device)) for source in sources]
    loss = sources[0].loss
    chosen, stacked = lockstep(configs, device, loss), lockstep(configs, device, loss, always=True)
    alone = [TrainingState(each, device=device) for each in configs]
    one_by_one = [lambda: [train_step(state, own, loss) for state, own in zip(alone, batch, strict=True)]]
    ways = [lambda: chosen(batch), lambda: stacked(batch), *one_by_one]
    require_agreement(*(way() for way in ways))
    ours, always, theirs = round_robin(ways, rounds=rounds, device=device).T
    target = "3" if device == "cuda" else "1.0"
    times = (seconds(float(np.median(each))) for each in (ours, theirs))
    print_row([f"{n_members} x {name}, {device}", *times, spread(theirs / ours), target, spread(theirs / always)])


def lockstep(configs: list[TrainConfig], device: str, loss: Callable, *, always: bool = False) -> Callable:
    limit = ensemble.STACKED_ON_CPU
    try:
        ensemble.STACKED_ON_CPU = 2**60 if always else limit
        state = EnsembleState([TrainingState(config, device=device) for config in configs])
    finally:
        ensemble.STACKED_ON_CPU = limit
    return step_function(state, loss, compiled=False)


def require_agreement(*ways: list[Update]) -> None:
    for updates in ways[1:]:
        for a, b in zip(ways[0], updates, strict=True):
            torch.testing.assert_close(a.loss, b.loss, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(a.grad_norm, b.grad_norm, rtol=1e-3, atol=1e-4)


def main(*, short: bool = False) -> None:
    """Print the table.

    Args:
        short: fewer members and rounds.
    """
    prepare(gradients=True)
    print_header(["a step of all", "lockstep", "one by one", "times faster (quartiles)", "target", "stacked, always"])
    for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
        for name, config in CASES.items():
            n_members = 64 if device == "cuda" else 3 if short else 8
            compare_ways(name, config, device, n_members=n_members, rounds=7 if short else 15)


if __name__ == "__main__":
    tyro.cli(main)
