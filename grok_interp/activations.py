"""What analyses read from a model: activations by hook name, reduced while the model runs, and no more.

Any hooked model will do: our `Transformer`, a `HookedTransformer`, a `TransformerBridge` over a Hugging Face model.
Results are keyed by the name asked for, because bridges rename `hook.name`. This module knows hook names, not
TransformerLens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

Reducer = Callable[[Tensor], Tensor]


@runtime_checkable
class HookedModel(Protocol):
    """What an analyzer needs of a model. `cfg` has n_layers, n_heads, d_head, d_vocab and n_ctx."""

    cfg: Any

    def __call__(self, tokens: Any, /) -> Any: ...

    def run_with_hooks(self, *args: Any, **kwargs: Any) -> Any: ...

    def parameters(self) -> Iterator[Any]: ...


@runtime_checkable
class ByRow(Protocol):
    """A model that treats the rows of an evaluation differently: it is told at which row a batch begins."""

    def from_row(self, row: int) -> HookedModel: ...


def pattern_name(layer: int) -> str:
    return f"blocks.{layer}.attn.hook_pattern"


def z_name(layer: int) -> str:
    return f"blocks.{layer}.attn.hook_z"


def device_of(model: HookedModel) -> torch.device:
    return next(iter(model.parameters())).device


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Eval mode and no gradients inside; every module's mode is put back afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def read(model: HookedModel, tokens: Int[Tensor, "batch pos"], reducers: Mapping[str, Reducer]) -> dict[str, Tensor]:
    """Run the model once; for each hook name, what its reducer makes of the activation.

    Raises ValueError for a hook that the model does not have or does not call.
    """
    reduced: dict[str, Tensor] = {}

    def listener(name: str) -> Callable[..., None]:
        def keep(activation: Tensor, hook: object) -> None:  # noqa: ARG001 (TransformerLens' signature)
            reduced[name] = reducers[name](activation)

        return keep

    with evaluating(model), _within_context(model, tokens):
        try:
            model.run_with_hooks(tokens.to(device_of(model)), fwd_hooks=[(name, listener(name)) for name in reducers])
        except KeyError as error:  # TransformerLens' word for a hook that is not there
            raise ValueError(_no_activation(model, str(error))) from error
    if silent := sorted(set(reducers) - set(reduced)):
        raise ValueError(_no_activation(model, str(silent)))
    return reduced


def in_batches(
    model: HookedModel, tokens: Int[Tensor, "row ..."], batch_size: int
) -> Iterator[tuple[HookedModel, Tensor]]:
    """Parts of the rows, each with the model to run on it, so that results do not depend on the batch size.

    Args:
        model: any hooked model; one that treats rows differently (`ByRow`) is told where each part begins.
        tokens: one entry per row.
        batch_size: rows in a part, 1 or more; the last part may be smaller.
    """
    for number, part in enumerate(tokens.split(batch_size)):
        yield (model.from_row(number * batch_size) if isinstance(model, ByRow) else model), part


def _no_activation(model: Any, names: str) -> str:
    """Fused attention has no pattern to show, and bridges leave some models' attention to Hugging Face."""
    config = getattr(getattr(model, "original_model", None), "config", None)
    kind = getattr(config, "_attn_implementation", None) or "eager"
    if kind != "eager" and "hook_pattern" in names:
        return (
            f"the model has no activation at {names}: its attention is fused ({kind!r}) and builds no pattern; call "
            "model.original_model.set_attn_implementation('eager') on the bridge, or load the Hugging Face model with "
            "attn_implementation='eager'"
        )
    return f"the model has no activation at {names}: TransformerLens' hook names are needed"


@contextmanager
def _within_context(model: Any, tokens: Tensor) -> Iterator[None]:
    """Rows longer than n_ctx work in models that rotate positions as they come; others fail, each in its own words."""
    n_ctx = getattr(model.cfg, "n_ctx", None)
    try:
        yield
    except (RuntimeError, IndexError, AssertionError) as error:
        if n_ctx is None or tokens.shape[1] <= n_ctx:
            raise
        raise ValueError(
            f"the model's context is {n_ctx} tokens, got rows of {tokens.shape[1]}: give rows of at most {n_ctx}"
        ) from error


def mean_of_patterns(
    model: HookedModel, tokens: Int[Tensor, "batch pos"], of: Reducer, *, batch_size: int
) -> Float[Tensor, "layer head"]:
    """The mean over all sequences of what `of` makes of each layer's patterns (its own mean over a batch, by head)."""
    names = [pattern_name(layer) for layer in range(model.cfg.n_layers)]
    total = torch.zeros(model.cfg.n_layers, model.cfg.n_heads)
    for each, part in in_batches(model, tokens, batch_size):
        found = read(each, part, dict.fromkeys(names, of))
        total += torch.stack([found[name].cpu() for name in names]) * len(part)
    return total / len(tokens)


def logits(model: HookedModel, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_vocab"]:
    """Next-token logits in float32, in eval mode."""
    with evaluating(model), _within_context(model, tokens):
        return model(tokens.to(device_of(model))).float()
