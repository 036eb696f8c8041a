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

from grok_interp.data.token_rows import in_batches

Reducer = Callable[[Tensor], Tensor]


@runtime_checkable
class HookedModel(Protocol):
    """What an analyzer needs of a model. `cfg` has n_layers, n_heads, d_head, d_vocab and n_ctx."""

    cfg: Any

    def __call__(self, tokens: Any, /) -> Any: ...

    def run_with_hooks(self, *args: Any, **kwargs: Any) -> Any: ...

    def parameters(self) -> Iterator[Any]: ...


def pattern_name(layer: int) -> str:
    return f"blocks.{layer}.attn.hook_pattern"


def device_of(model: HookedModel) -> torch.device:
    return next(iter(model.parameters())).device


def has_finite_weights(model: HookedModel) -> bool:
    """Whether no weight is NaN or infinite."""
    return bool(torch.stack([weight.detach().isfinite().all() for weight in model.parameters()]).all())


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

    All of it is NaN when the logits are. Raises ValueError for a hook that the model does not have or does not call.
    """
    reduced: dict[str, Tensor] = {}

    def listener(name: str) -> Callable[..., None]:
        def keep(activation: Tensor, hook: object) -> None:  # noqa: ARG001 (TransformerLens' signature)
            reduced[name] = reducers[name](activation)

        return keep

    with evaluating(model):
        try:
            output = model.run_with_hooks(
                tokens.to(device_of(model)), fwd_hooks=[(name, listener(name)) for name in reducers]
            )
        except KeyError as error:  # TransformerLens' word for a hook that is not there
            raise ValueError(
                f"the model has no activation at {error}: TransformerLens' hook names are needed"
            ) from error
    if silent := sorted(set(reducers) - set(reduced)):
        raise ValueError(f"the model has no activation at {silent}: TransformerLens' hook names are needed")
    if _has_nan(output):  # TransformerLens replaces NaN by 0 in patterns, so they cannot show it
        return {name: torch.full_like(value, torch.nan) for name, value in reduced.items()}
    return reduced


def mean_of_patterns(
    model: HookedModel, tokens: Int[Tensor, "batch pos"], of: Reducer, *, batch_size: int
) -> Float[Tensor, "layer head"]:
    """The mean over all sequences of what `of` makes of each layer's patterns (its own mean over a batch, by head)."""
    names = [pattern_name(layer) for layer in range(model.cfg.n_layers)]
    total = torch.zeros(model.cfg.n_layers, model.cfg.n_heads)
    for part in in_batches(tokens, batch_size):
        found = read(model, part, dict.fromkeys(names, of))
        total += torch.stack([found[name].cpu() for name in names]) * len(part)
    return total / len(tokens)


def logits(model: HookedModel, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_vocab"]:
    """Next-token logits in float32, in eval mode.

    Raises ValueError for a model whose output has no logits.
    """
    with evaluating(model):
        return logits_of(model(tokens.to(device_of(model)))).float()


def logits_of(output: Any) -> Tensor:
    """The logits in what a model returns: a tensor, an output with `.logits`, or a tuple that begins with them.

    Raises ValueError for anything else.
    """
    found = getattr(output, "logits", output[0] if isinstance(output, tuple | list) and output else output)
    if not isinstance(found, Tensor):
        raise ValueError(
            f"expected logits from the model (a tensor, an output with .logits, or a tuple that begins with them), got "
            f"{type(output).__name__}"
        )
    return found


def _has_nan(output: Any) -> bool:
    """Whether a model's logits hold a NaN; False for a model that returns none."""
    try:
        return bool(logits_of(output).sum().isnan())
    except ValueError:
        return False
