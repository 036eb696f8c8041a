"""Attention from wherever it comes, as (step, maps): maps of an analyzer, hooked models, a series of either."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from grok_interp.analysis.ablated_model import Head
from grok_interp.analysis.attention import AttentionMaps, attention_maps
from grok_interp.models.activations import HookedModel
from grok_interp.plots.attention.view_size import ViewSize
from grok_interp.runs.run import Run
from grok_interp.runs.series import CheckpointSeries

Attention = AttentionMaps | HookedModel
Attentions = Attention | Mapping[int, Attention] | Iterable[tuple[int, Attention]]
Tokens = Sequence[str] | Int[Tensor, " pos"]
Names = Callable[[list[int]], Sequence[str]]
Step = int | None


def token_strings(tokens: Tokens, names: Names | None) -> list[str]:
    """The strings themselves, or those that `names` gives to token numbers (the numbers, without it)."""
    if not isinstance(tokens, Tensor):
        return list(tokens)
    if tokens.ndim != 1:
        raise ValueError(f"a view shows one sequence of tokens, got a tensor of shape {tuple(tokens.shape)}: tokens[0]")
    numbers = tokens.tolist()
    strings = list(names(numbers)) if names else [str(number) for number in numbers]
    if len(strings) != len(numbers):
        raise ValueError(f"names= must give one string for each of {len(numbers)} tokens, got {len(strings)}")
    return strings


def patterns_by_step(
    attention: Attentions, tokens: Tokens, *, heads: Sequence[Head] | None, steps: Sequence[int] | None
) -> Iterator[tuple[Step, Sequence[Head], Float[np.ndarray, "head query key"]]]:
    """(step, heads, their patterns), one at a time. What does not fit is refused before a model runs on it."""
    found: list[Step] = []
    chosen = heads
    expected = len(steps) if steps is not None else len(attention) if isinstance(attention, Sized) else 1
    for step, each in _pairs(attention, steps):
        found.append(step)
        chosen = chosen or every_head(each)
        ViewSize(max(len(found), expected), len(chosen), len(tokens)).require_fits()
        if heads is None and every_head(each) != chosen:
            raise ValueError(f"a view is of one model's checkpoints: some have {len(chosen)} heads, step {step} others")
        yield step, chosen, _patterns(each, tokens, chosen)
    if not found or (steps is not None and set(found) != set(steps)) or len(set(found)) < len(found):
        raise ValueError(f"a view needs each step once{f' of {list(steps)}' if steps is not None else ''}, got {found}")


def every_head(attention: Attention) -> list[Head]:
    if isinstance(attention, AttentionMaps):
        return list(np.ndindex(attention.dataset.sizes["layer"], attention.dataset.sizes["head"]))
    return list(np.ndindex(attention.cfg.n_layers, attention.cfg.n_heads))


def _pairs(attention: Attentions, steps: Sequence[int] | None) -> Iterator[tuple[Step, Attention]]:
    if isinstance(attention, AttentionMaps | HookedModel):
        if steps is not None:
            raise ValueError("steps= chooses among checkpoints, got the attention of one model")
        yield None, attention
    elif steps is not None and isinstance(attention, CheckpointSeries | Run):  # loads no other
        yield from attention.at(steps)
    else:
        pairs: Iterable[tuple[int, Attention]] = attention.items() if isinstance(attention, Mapping) else attention  # pyright: ignore
        yield from ((step, each) for step, each in pairs if steps is None or step in steps)


def _patterns(attention: Attention, tokens: Tokens, heads: Sequence[Head]) -> Float[np.ndarray, "head query key"]:
    maps = attention if isinstance(attention, AttentionMaps) else _maps_of(attention, tokens)
    if (n_tokens := maps.dataset.sizes["query"]) != len(tokens):
        raise ValueError(f"the maps are over {n_tokens} tokens, got {len(tokens)} tokens")
    return np.stack([maps.of(*head).to_numpy() for head in heads])


def _maps_of(model: HookedModel, tokens: Tokens) -> AttentionMaps:
    if not isinstance(tokens, Tensor):
        raise ValueError(
            f"a model needs token numbers (a tensor), got {type(tokens).__name__}: names= says how they read"
        )
    return attention_maps(model, tokens)
