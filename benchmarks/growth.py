"""How the cost of analyzing grows: with checkpoints, layers and heads (contexts: induction_scores.py).

    python benchmarks/growth.py [--short]

Induction scores on 16 x 128 tokens. Checkpoints lie on disk and are loaded one at a time, so memory does not grow with
them. Layers and heads of a model in memory; heads share 256 features, so only their number grows.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

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

from grok_interp.analysis.induction import induction_scores
from grok_interp.configs import ModelConfig, llama_copier
from grok_interp.data.copying import repeated_tokens
from grok_interp.models.transformer import Transformer
from grok_interp.presets import training_preset
from grok_interp.runs.run import Run

LAYERS, HEADS = (2, 4, 8, 16), (2, 4, 8, 16)
MIDDLE = llama_copier(n_layers=4, n_heads=4, d_model=256, d_mlp=688, d_vocab=256, n_ctx=128)
TOKENS = repeated_tokens(n_sequences=16, half=64, alphabet=range(256), seed=0)
ROUNDS = 3


def main(*, short: bool = False) -> None:
    """Print the tables.

    Args:
        short: up to 300 checkpoints instead of 1,000.
    """
    prepare()
    grow("checkpoints on disk", (10, 30, 100, 300) if short else (10, 100, 1_000), series_of)
    grow("layers", LAYERS, lambda n_layers: model_of(replace(MIDDLE, n_layers=n_layers)))
    grow("heads of a layer", HEADS, lambda n_heads: model_of(replace(MIDDLE, n_heads=n_heads, d_head=256 // n_heads)))


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


def grow(what: str, sizes: tuple[int, ...], checkpoints_of: Callable) -> None:
    """A row a size, and the power of the size that time and memory grow with."""
    print_header([what, "time", "peak memory"])
    times, peaks = [], []
    for size in sizes:
        with checkpoints_of(size) as checkpoints:
            scores = partial(induction_scores, checkpoints, TOKENS)
            scores()
            times.append(min(cpu_seconds(scores) for _ in range(ROUNDS)))
            peaks.append(peak_memory(scores))
        print_row([f"{size:,}", seconds(times[-1]), mebibytes(peaks[-1])])
    print_row(["exponent", *(f"{growth_exponent(sizes, costs):.2f}" for costs in (times, peaks))])


if __name__ == "__main__":
    tyro.cli(main)
