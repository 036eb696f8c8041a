"""Grids of all p^2 queries after k examples: one run over the examples, against every sequence run whole.

    python benchmarks/kshot_grids.py           4 layers of 512 features, p = 29, as in the paper; k = 1, 11, 21, 31
    python benchmarks/kshot_grids.py --short   a small model, p = 13, all 31 values of k

The peer is what the published code of "Learning to grok" does: for each k, the p^2 sequences of 3 k + 2 tokens.
Weights are random: the time does not depend on them.
"""

from __future__ import annotations

import torch
import tyro
from side_by_side import prepare
from speedup import print_speedup, print_speedup_header

from grok_interp.analysis.grid import grid_comparisons
from grok_interp.configs import modular_gpt
from grok_interp.models.activations import logits
from grok_interp.models.transformer import Transformer
from grok_interp.presets import preset

TASK, N_EXAMPLES, BATCH_SIZE = (2, 6), 31, 512


def whole_sequences(model: Transformer, inputs: torch.Tensor, p: int, shots: list[int]) -> torch.Tensor:
    """shot x y: is the model right?"""
    a, b = TASK
    queries = torch.cartesian_prod(torch.arange(p), torch.arange(p))
    truth = (a * queries[:, 0] + b * queries[:, 1]) % p
    grids = []
    for k in shots:
        z = (a * inputs[:k, 0] + b * inputs[:k, 1]) % p
        examples = torch.cat([inputs[:k], z[:, None]], dim=1).flatten()
        tokens = torch.cat([examples.expand(len(queries), -1), queries], dim=1)
        found = torch.cat([logits(model, part)[:, -1].argmax(dim=-1) for part in tokens.split(BATCH_SIZE)])
        grids.append((found == truth).unflatten(0, (p, p)))
    return torch.stack(grids)


def shared_prefix(model: Transformer, inputs: torch.Tensor, p: int, shots: list[int]) -> torch.Tensor:
    grids = grid_comparisons(model, p, TASK, inputs, shots=shots, batch_size=BATCH_SIZE)
    return torch.stack([torch.as_tensor(grid["right"].sel(who="model").to_numpy()).bool() for grid in grids])


def main(*, short: bool = False, all_shots: bool = False, rounds: int = 3) -> None:
    """Print the table.

    Args:
        short: a small model; less than a minute.
        all_shots: every k at the paper's size, too: the peer takes many minutes a round.
        rounds: how often both are timed.
    """
    prepare()
    cfg = modular_gpt(n_layers=2, d_model=128) if short else preset("modular-paper-d4")
    p = 13 if short else 29
    every_k = short or all_shots
    shots = list(range(1, N_EXAMPLES + 1, 1 if every_k else 10))
    model = Transformer(cfg, seed=0).eval()
    inputs = torch.randint(p, (N_EXAMPLES, 2), generator=torch.Generator().manual_seed(0))
    size = f"{cfg.n_layers} layers, d_model {cfg.d_model}, p = {p}, k = {shots[0]}..{shots[-1]}"
    print_speedup_header()
    print_speedup(
        f"k-shot grids, {size}" + ("" if every_k else f" ({len(shots)} of {N_EXAMPLES}, evenly spaced)"),
        ours=lambda: shared_prefix(model, inputs, p, shots),
        peer=lambda: whole_sequences(model, inputs, p, shots),
        agree=torch.equal,
        target=25,
        rounds=rounds,
    )


if __name__ == "__main__":
    tyro.cli(main)
