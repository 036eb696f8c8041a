"""Attention from wherever it comes, as (step, heads, patterns): of arrays, maps, hooked models, a series of these."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from grok_interp.analysis.attention import AttentionMaps, HeadPatterns, attention_maps
from grok_interp.models.activations import HookedModel
from grok_interp.plots.attention.given_patterns import Array, GivenPatterns, given_patterns
from grok_interp.plots.attention.view_heads import ViewHead, require_available
from grok_interp.plots.attention.view_size import ViewSize
from grok_interp.plots.attention.view_tokens import ViewTokens
from grok_interp.runs.run import Run
from grok_interp.runs.series import CheckpointSeries

if TYPE_CHECKING:
    Attention = AttentionMaps | HookedModel | Array | Sequence[Array] | Mapping[str, Array]
    Attentions = Attention | HeadPatterns | Mapping[int, Attention] | Iterable[tuple[int, Attention]]
else:
    Attention = Attentions = Any
Step = int | None
EXPECTED = (
    "attention_view takes attention (an array, a tuple of layers, a cache, AttentionMaps), a hooked model, or (step, "
    "attention or model) pairs"
)


def patterns_by_step(
    attention: Attentions,
    tokens: ViewTokens,
    *,
    heads: Sequence[ViewHead] | None,
    steps: Sequence[int] | None,
    layer: int | None = None,
) -> Iterator[tuple[Step, Sequence[ViewHead], Float[np.ndarray, "head query key"]]]:
    """(step, heads, their patterns), one at a time. What does not fit is refused before a model runs on it."""
    found: list[Step] = []
    chosen = heads
    expected = len(steps) if steps is not None else _n_pairs(attention, layer)
    for step, each in _pairs(attention, steps, layer):
        found.append(step)
        given = each.named_as(heads) if isinstance(each, GivenPatterns) else None
        available = every_head(each) if given is None else given.heads
        chosen = chosen or available
        n_tokens = _n_tokens(given, tokens)
        ViewSize(max(len(found), expected), len(chosen), n_tokens).require_fits()
        if heads is None and available != chosen:
            raise ValueError(f"a view is of one model's checkpoints: some have {len(chosen)} heads, step {step} others")
        require_available(chosen, available)
        yield step, chosen, (given or _run(each, tokens)).patterns_of(chosen)
    if not found or (steps is not None and set(found) != set(steps)) or len(set(found)) < len(found):
        raise ValueError(f"a view needs each step once{f' of {list(steps)}' if steps is not None else ''}, got {found}")


def every_head(model: Any) -> list[ViewHead]:
    return list(np.ndindex(model.cfg.n_layers, model.cfg.n_heads))


def _n_pairs(attention: Any, layer: int | None) -> int:
    """As far as it is known before they are read."""
    if isinstance(attention, HeadPatterns):
        return attention.dataset.sizes["checkpoint"]
    if isinstance(attention, HookedModel) or given_patterns(attention, layer) is not None:
        return 1
    return len(attention) if isinstance(attention, Sized) else 1


def _pairs(
    attention: Any, steps: Sequence[int] | None, layer: int | None
) -> Iterator[tuple[Step, GivenPatterns | HookedModel]]:
    one = attention if isinstance(attention, HookedModel) else given_patterns(attention, layer)
    if one is not None:
        if steps is not None:
            raise ValueError("steps= chooses among checkpoints, got the attention of one model")
        yield None, one
        return
    for step, each in _series(attention, steps):
        yield step, each if isinstance(each, HookedModel) else _given(each, layer)


def _series(attention: Any, steps: Sequence[int] | None) -> Iterator[tuple[int, Any]]:
    if steps is not None and isinstance(attention, CheckpointSeries | Run):  # loads no other
        yield from attention.at(steps)
        return
    if isinstance(attention, HeadPatterns):
        attention = {step: attention.at(step)["pattern"] for step in attention.dataset["checkpoint"].values.tolist()}
    if not isinstance(attention, Iterable) or isinstance(attention, str):
        raise ValueError(f"{EXPECTED}, got {type(attention).__name__}{_advice(attention)}")
    for pair in attention.items() if isinstance(attention, Mapping) else attention:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise ValueError(f"{EXPECTED}, got {type(attention).__name__} of {type(pair).__name__}")
        if steps is None or pair[0] in steps:
            yield pair


def _given(attention: Any, layer: int | None) -> GivenPatterns:
    given = given_patterns(attention, layer)
    if given is None:
        raise ValueError(f"{EXPECTED}, got pairs with {type(attention).__name__}{_advice(attention)}")
    return given


def _advice(attention: Any) -> str:
    """A Hugging Face model has no hooks, and shows its attention all the same."""
    return ": give the attentions of model(tokens, output_attentions=True)" if callable(attention) else ""


def _n_tokens(given: GivenPatterns | None, tokens: ViewTokens) -> int:
    if given is None:
        return len(tokens.require_ids())
    if tokens.n_tokens not in (None, given.n_tokens):
        raise ValueError(f"the maps are over {given.n_tokens} tokens, got {tokens.n_tokens} tokens")
    return given.n_tokens


def _run(model: Any, tokens: ViewTokens) -> GivenPatterns:
    given = given_patterns(attention_maps(model, tokens.require_ids()))
    assert given is not None, "maps are patterns"
    return given
