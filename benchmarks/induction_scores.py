"""What induction scores cost: against a plain forward pass, against TransformerLens' own ways, and as contexts grow.

    python benchmarks/induction_scores.py --short     under two minutes on two slow cores
    python benchmarks/induction_scores.py             more rounds, larger models, contexts up to 32,768 tokens

Each table's peer computes the same thing where there is such a peer, and the answers are compared before anything is
timed. Weights are random, five times as large as a new model's, so that attention is not uniform.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
import tyro
from side_by_side import (
    HEADER,
    compare,
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
from transformer_lens.head_detector import detect_head

from grok_interp import PRESETS, ModelConfig, Transformer, induction_scores, llama_copier, to_hooked_transformer
from grok_interp.analysis.head_scores import head_scores
from grok_interp.analysis.induction import InductionScores, induction_attention
from grok_interp.data.copying import induction_targets
from grok_interp.models.activations import mean_of_patterns, pattern_name

MIDDLE = llama_copier(n_layers=4, n_heads=4, d_model=128, d_mlp=344, d_vocab=1024, n_ctx=1024)
WIDE = llama_copier(n_layers=4, n_heads=8, d_model=512, d_mlp=1408, d_vocab=4096, n_ctx=1024)
PATTERNS_UP_TO = 2048  # tokens: at 8,192 the patterns of one layer are 1 GiB, and their scores as much
DEEP = {n_layers: replace(MIDDLE, n_layers=n_layers) for n_layers in (2, 4, 8)}


def main(*, short: bool = False) -> None:
    """Print every table.

    Args:
        short: fewer rounds, smaller models, contexts up to 8,192 tokens.
    """
    prepare()
    warnings.simplefilter("ignore", DeprecationWarning)  # TransformerLens 3.9 deprecates its own HookedTransformer
    rounds = 5 if short else 15
    against_plain_forward(rounds, short)
    against_the_library(rounds, short)
    on_a_users_model(rounds)
    as_contexts_grow((128, 512, 2048, 8192) if short else (128, 512, 2048, 8192, 32_768), rounds=3)


def build(cfg: ModelConfig) -> Transformer:
    return Transformer(replace(cfg, initializer_range=0.1), seed=0).eval()


def distinct_repeated(cfg: ModelConfig, n_sequences: int, n_tokens: int) -> Tensor:
    """Two equal halves; where the vocabulary is large enough no token comes twice in a half.

    Only then do all definitions of an induction target agree.
    """
    generator = torch.Generator().manual_seed(0)
    n_copies = math.ceil(n_tokens // 2 / cfg.d_vocab)
    rows = [torch.randperm(cfg.d_vocab * n_copies, generator=generator)[: n_tokens // 2] for _ in range(n_sequences)]
    return torch.stack(rows).repeat(1, 2) % cfg.d_vocab


def scores_of(model: Any, tokens: Tensor) -> InductionScores:
    return induction_scores([(0, model)], tokens)


def abar(model: Any, tokens: Tensor) -> Tensor:
    return torch.from_numpy(scores_of(model, tokens)["Abar"].isel(checkpoint=0).to_numpy())


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0, check_dtype=False)


def against_plain_forward(rounds: int, short: bool) -> None:
    """Abar and EP of all heads against logits of the same tokens; they agree with the scores from patterns."""
    print_header(["induction scores against one forward pass", "tokens", *HEADER])
    cases = [("copier-mini", PRESETS["copier-mini"], 16, 128), ("middle", MIDDLE, 16, 200), ("middle", MIDDLE, 1, 1024)]
    cases += [] if short else [("middle", MIDDLE, 16, 1024), ("wide", WIDE, 16, 200), ("wide", WIDE, 4, 1024)]
    cases += [] if short else [("copier-paper", PRESETS["copier-paper"], n_sequences, 200) for n_sequences in (1, 2, 8)]
    for name, cfg, n_sequences, n_tokens in cases:
        model, tokens = build(cfg), distinct_repeated(cfg, n_sequences, n_tokens)
        close(abar(model, tokens), mean_of_patterns(model, tokens, induction_attention, batch_size=16))
        n_rounds = min(rounds, 3) if cfg.n_params > 1e8 else rounds
        found = compare(partial(scores_of, model, tokens), partial(model, tokens), rounds=n_rounds)
        print_row([name, f"{n_sequences} x {n_tokens}", *found.cells()])


def against_the_library(rounds: int, short: bool) -> None:
    """The same attention by TransformerLens: `detect_head` takes one sequence at a time, a full cache takes a batch.

    `detect_head` knows no EP, so it is also compared with its own number alone, found from the entries.
    """
    print_header(["against TransformerLens", "tokens", *HEADER])
    for n_tokens in (128, 512) if short else (128, 256, 512, 1022):
        model, many = build(MIDDLE), distinct_repeated(MIDDLE, 8, n_tokens)
        hooked, one = library_model(model), many[:1]
        for tokens in (one, many):
            close(detected_by_entries(model, tokens), detect_each(hooked, tokens))
            close(abar(model, tokens), abar_from_cache(hooked, tokens))
        for name, tokens, ours, theirs in (
            ("detect_head, its number alone", one, detected_by_entries, detect_each),
            ("detect_head", one, scores_of, detect_each),
            ("detect_head on each, its number alone", many, detected_by_entries, detect_each),
            ("full run_with_cache", one, scores_of, abar_from_cache),
            ("full run_with_cache", many, scores_of, abar_from_cache),
        ):
            found = compare(partial(ours, model, tokens), partial(theirs, hooked, tokens), rounds=rounds)
            print_row([name, f"{len(tokens)} x {n_tokens}", *found.cells()])


def library_model(model: Transformer) -> Any:
    """TransformerLens' own with the same weights, made to take tokens where `detect_head` asks for text."""
    hooked = to_hooked_transformer(model).eval()
    object.__setattr__(hooked, "to_tokens", lambda tokens, **_: tokens)
    return hooked


def detect_each(hooked: Any, tokens: Tensor) -> Tensor:
    return torch.stack([detect_head(hooked, row, "induction_head") for row in tokens.split(1)]).mean(dim=0)


def detected_by_entries(model: Transformer, tokens: Tensor) -> Tensor:
    """`detect_head`'s definition: the last query counts too, and all attention is divided by."""
    half = tokens.shape[1] // 2
    keys = torch.arange(1, half + 1)
    return model.attention_entries(tokens, half + keys - 1, keys).sum(dim=-1).mean(dim=1) / tokens.shape[1]


def abar_from_cache(hooked: Any, tokens: Tensor) -> Tensor:
    _, cache = hooked.run_with_cache(tokens)
    return torch.stack([induction_attention(cache[pattern_name(layer)]) for layer in range(hooked.cfg.n_layers)])


def on_a_users_model(rounds: int) -> None:
    """Analyzers on a HookedTransformer, where patterns are built anyway: each is reduced and let go."""
    print_header(["analyzer on a HookedTransformer against its forward pass", "tokens", *HEADER])
    for n_layers, cfg in DEEP.items():
        model, tokens = build(cfg), distinct_repeated(cfg, 16, 200)
        hooked = library_model(model)
        close(abar(hooked, tokens), abar(model, tokens))
        found = compare(partial(scores_of, hooked, tokens), partial(hooked, tokens), rounds=rounds)
        print_row([f"induction_scores, {n_layers} layers", "16 x 200", *found.cells()])
    hooked, tokens = library_model(build(MIDDLE)), distinct_repeated(MIDDLE, 16, 200)
    attention = ("previous_token", "duplicate_token", "prefix_matching")
    reading = partial(head_scores, [(0, hooked)], tokens, scores=attention)
    found = compare(reading, partial(hooked, tokens), rounds=rounds)
    print_row([f"head_scores ({', '.join(attention)}), 4 layers", "16 x 200", *found.cells()])


def as_contexts_grow(contexts: tuple[int, ...], *, rounds: int) -> None:
    """One sequence: the scores, a forward pass of the same model, and Abar from patterns while they fit."""
    model = build(replace(MIDDLE, n_layers=2, n_ctx=max(contexts)))
    ways: dict[str, Callable[[Tensor], Any]] = {
        "scores": partial(scores_of, model),
        "forward pass": model,
        "from patterns": lambda tokens: mean_of_patterns(model, tokens, induction_attention, batch_size=1),
    }
    units = {"time": seconds, "peak": mebibytes}
    costs: dict[str, list[float]] = {f"{unit}, {way}": [] for unit in units for way in ways}
    print_header(["context", *costs])
    for n_tokens in contexts:
        tokens = distinct_repeated(model.cfg, 1, n_tokens)
        require_exact(model, tokens)
        for name, way in ways.items():
            if name == "from patterns" and n_tokens > PATTERNS_UP_TO:
                continue
            call, n_times = partial(way, tokens), rounds if n_tokens <= PATTERNS_UP_TO else 1
            call()
            costs[f"time, {name}"].append(float(np.median([cpu_seconds(call) for _ in range(n_times)])))
            costs[f"peak, {name}"].append(peak_memory(call))
        row = [
            units[name.split(",")[0]](cost[-1]) if len(cost) == len(costs["time, scores"]) else ""
            for name, cost in costs.items()
        ]
        print_row([f"{n_tokens:,}", *row])
    print_row(["exponent, fitted", *(f"{growth_exponent(contexts[: len(cost)], cost):.2f}" for cost in costs.values())])
    last = [growth_exponent(contexts[: len(cost)][-2:], cost[-2:]) for cost in costs.values()]
    print_row(["exponent, last two", *(f"{exponent:.2f}" for exponent in last)])


def require_exact(model: Transformer, tokens: Tensor) -> None:
    """The log-sum-exp and the entries of some queries in the last layer against float64, one row of scores each."""
    at = f"blocks.{model.cfg.n_layers - 1}.attn.hook_"
    _, cache = model.run_with_cache(tokens, names_filter=[f"{at}rot_q", f"{at}rot_k", f"{at}lse"])
    half = tokens.shape[1] // 2
    some = torch.linspace(0, half - 2, 7).long()
    queries, keys = (positions[some] for positions in induction_targets(half))
    q, k = cache[f"{at}rot_q"][:, queries].double(), cache[f"{at}rot_k"].double()
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(model.cfg.d_head)
    visible = torch.arange(tokens.shape[1]) <= queries[:, None]
    lse = scores.masked_fill(~visible, -torch.inf).logsumexp(dim=-1)
    close(cache[f"{at}lse"][:, :, queries], lse)
    rows = torch.arange(len(queries))
    close(model.attention_entries(tokens, queries, keys)[-1], (scores[:, :, rows, keys] - lse).exp())


if __name__ == "__main__":
    tyro.cli(main)
