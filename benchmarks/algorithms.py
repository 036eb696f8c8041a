"""Algorithms and representations of the modular study, against straightforward loops.

    python benchmarks/algorithms.py           256 tasks; 4 layers of 512 features, p = 29, as in the paper
    python benchmarks/algorithms.py --short   32 tasks; a small model, p = 13

Ratio Matching and Modular Regression: for every task and k = 1 .. 31 which queries are solved, and the answers. The
peer marks cell by cell, as the published code does for Ratio Matching.

Cosine matrix and PCA of a slot's p^2 pairs: the peer runs the p^2 sequences whole, keeps the activation, and takes a
matrix product of standardized vectors, or scikit-learn's PCA. Weights are random: the time does not depend on them.
"""

from __future__ import annotations

import numpy as np
import torch
import tyro
from side_by_side import prepare
from sklearn.decomposition import PCA
from speedup import print_speedup, print_speedup_header

from grok_interp.analysis.algorithms import modular_regression, ratio_matching
from grok_interp.analysis.circles import circle_pca
from grok_interp.analysis.similarity import cosine_similarity
from grok_interp.configs import modular_gpt
from grok_interp.data.slot import slot_sequences
from grok_interp.models.transformer import Transformer
from grok_interp.presets import preset

N_EXAMPLES, SLOT, BATCH_SIZE = 31, 16, 256
UNSOLVED = -1


# Which queries are solved, and how: k task x y, UNSOLVED where not


def all_at_once(examples: torch.Tensor, p: int) -> tuple[np.ndarray, ...]:
    shots = torch.arange(1, N_EXAMPLES + 1, dtype=torch.int16).view(-1, 1, 1, 1)
    grids = []
    for algorithm in (ratio_matching, modular_regression):
        found = algorithm(examples, p)  # int16 is enough, and the written grids are what takes the time
        needed, answer = found.needed.to(torch.int16), found.answer.to(torch.int16)
        grids.append(torch.where(needed <= shots, answer, UNSOLVED).numpy())
    return tuple(grids)


def cell_by_cell(examples: torch.Tensor, p: int) -> tuple[np.ndarray, ...]:
    contexts = examples.tolist()
    shots = range(1, N_EXAMPLES + 1)
    return tuple(
        np.stack([np.stack([one(context[:k], p) for context in contexts]) for k in shots])
        for one in (ratio_matching_by_loops, modular_regression_by_loops)
    )


def ratio_matching_by_loops(examples: list[list[int]], p: int) -> np.ndarray:
    grid = np.full((p, p), UNSOLVED)
    for x, y, z in reversed(examples):  # the earliest has the last word
        for c in range(p):
            grid[c * x % p, c * y % p] = c * z % p
    return grid


def modular_regression_by_loops(examples: list[list[int]], p: int) -> np.ndarray:
    grid = np.full((p, p), UNSOLVED)
    grid[0, 0] = 0
    not_zero = [example for example in examples if example[:2] != [0, 0]]
    if not not_zero:
        return grid
    x, y, z = not_zero[0]
    others = [example for example in not_zero if (x * example[1] - y * example[0]) % p]
    v, w, u = others[0] if others else (0, 0, 0)
    for c in range(p):
        for d in range(p if others else 1):
            grid[(c * x + d * v) % p, (c * y + d * w) % p] = (c * z + d * u) % p
    return grid


def same_grids(ours: tuple[np.ndarray, ...], theirs: tuple[np.ndarray, ...]) -> bool:
    return all(np.array_equal(*pair) for pair in zip(ours, theirs, strict=True))


# Representations, from whole sequences


def activation(model: Transformer, tokens: torch.Tensor, name: str) -> torch.Tensor:
    parts = []
    for part in tokens.split(BATCH_SIZE):
        _, cache = model.run_with_cache(part, names_filter=name)
        parts.append(cache[name])
    return torch.cat(parts)


def similarity_from_whole(model: Transformer, tokens: torch.Tensor, layer: int) -> np.ndarray:
    vectors = activation(model, tokens, f"blocks.{layer}.hook_resid_post")[:, 3 * SLOT + 2].double()
    standard = (vectors - vectors.mean(dim=1, keepdim=True)) / vectors.std(dim=1, keepdim=True)
    unit = standard / standard.norm(dim=1, keepdim=True)
    return (unit @ unit.T).numpy()


def circles_from_whole(model: Transformer, tokens: torch.Tensor, layer: int) -> np.ndarray:
    """Of head 0."""
    z = activation(model, tokens, f"blocks.{layer}.attn.hook_z")[:, 3 * SLOT : 3 * SLOT + 2, 0]
    vectors = (z @ model.W_O[layer, 0]).flatten(1).double()
    return PCA(2, svd_solver="full").fit_transform(vectors.numpy())


def close(ours: np.ndarray, theirs: np.ndarray) -> bool:
    return np.allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())


def main(*, short: bool = False, rounds: int = 3) -> None:
    """Print the table.

    Args:
        short: a small model, fewer tasks; less than a minute.
        rounds: how often both are timed.
    """
    prepare()
    p, n_tasks = (13, 32) if short else (29, 256)
    cfg = modular_gpt(n_layers=2, d_model=128) if short else preset("modular-paper-d4")
    generator = torch.Generator().manual_seed(0)
    inputs, tasks = (torch.randint(p, (n_tasks, n, 2), generator=generator) for n in (N_EXAMPLES, 1))
    examples = torch.cat([inputs, (inputs * tasks).sum(dim=-1, keepdim=True) % p], dim=-1)
    print_speedup_header()
    print_speedup(
        f"Ratio Matching and Modular Regression, {n_tasks} tasks, k = 1..{N_EXAMPLES}, p = {p}",
        ours=lambda: all_at_once(examples, p),
        peer=lambda: cell_by_cell(examples, p),
        agree=same_grids,
        target=20,
        rounds=rounds,
    )
    model, last = Transformer(cfg, seed=0).eval(), cfg.n_layers - 1
    tokens = slot_sequences((2, 6), p, slot=SLOT, n_examples=32, seed=0)
    size = f"slot {SLOT} of 32, {cfg.n_layers} layers, d_model {cfg.d_model}, p = {p}"
    where = dict(p=p, slot=SLOT, layer=last, batch_size=BATCH_SIZE)
    print_speedup(
        f"cosine matrix, {size}",
        ours=lambda: cosine_similarity([(0, model)], tokens=tokens, position="z", **where)["similarity"][0].to_numpy(),
        peer=lambda: similarity_from_whole(model, tokens, last),
        agree=close,
        target=20,
        rounds=rounds,
    )
    print_speedup(
        f"PCA of a head, {size}",
        ours=lambda: (
            circle_pca([(0, model)], tokens=tokens, head=0, **where)["projection"][0].to_numpy().reshape(p * p, 2)
        ),
        peer=lambda: circles_from_whole(model, tokens, last),
        agree=close,
        target=20,
        rounds=rounds,
    )


if __name__ == "__main__":
    tyro.cli(main)
