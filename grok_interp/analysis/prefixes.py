"""Continuations of one prefix: a model with a KV cache runs what they share once, any other model runs them whole.

Models are taken to be causal: what they hold at a token does not depend on later ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Int
from torch import Tensor

from grok_interp.models.activations import device_of, evaluating


@runtime_checkable
class Caching(Protocol):
    """A model that can go on from keys and values of tokens read before, as many sequences as were read."""

    def empty_cache(self) -> Any: ...


@runtime_checkable
class Branching(Caching, Protocol):
    """One whose cache can be cut, and whose sequences can each go on as several; `read` extends a cache, no more."""

    def read(self, tokens: Any, *, cache: Any) -> None: ...


def prefix_cache(model: Any, tokens: Int[Tensor, "batch pos"]) -> Any:
    """A cache of these tokens."""
    cache, read = model.empty_cache(), getattr(model, "read", model)
    with evaluating(model):
        if tokens.shape[1]:
            read(tokens.to(device_of(model)), cache=cache)
    return cache


class Continuing:
    """A `HookedModel` that has read the tokens of a cache: given those after them, it sees these at their positions."""

    def __init__(self, model: Any, cache: Any) -> None:
        self.model, self.cache, self.cfg = model, cache, model.cfg

    def __call__(self, tokens: Tensor) -> Tensor:
        return self.model(tokens, cache=self.cache.branch())

    def run_with_hooks(self, tokens: Tensor, **options: Any) -> Any:
        return self.model.run_with_hooks(tokens, cache=self.cache.branch(), **options)

    def parameters(self) -> Iterator[Any]:
        return self.model.parameters()

    def modules(self) -> Iterator[Any]:
        return self.model.modules()

    def eval(self) -> Continuing:
        self.model.eval()
        return self


def n_shared_tokens(tokens: Int[Tensor, "batch pos"]) -> int:
    """How many tokens all sequences begin with."""
    return int((tokens == tokens[0]).all(dim=0).cumprod(dim=0).sum())


def after_shared_tokens(model: Any, tokens: Int[Tensor, "batch pos"], *, before: int) -> tuple[Any, int]:
    """A model that has read what all sequences begin with, up to the position `before`, and how many tokens these are.

    The model itself and 0 where it cannot branch.
    """
    n_shared = min(n_shared_tokens(tokens), before) if isinstance(model, Branching) else 0
    return (Continuing(model, prefix_cache(model, tokens[:1, :n_shared])), n_shared) if n_shared else (model, 0)
