"""What analyses read from a model: activations by hook name, reduced while the model runs, and no more.

Any hooked model will do: our `Transformer`, a `HookedTransformer`, a `TransformerBridge` over a Hugging Face model.
Results are keyed by the requested name, because bridges rename `hook.name`. This module knows hook names, not
TransformerLens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grok_interp.data.token_rows import batches_of
from grok_interp.models.unreadable import absent_modules, beyond_context, no_activation

Reducer = Callable[[Tensor], Tensor]


@runtime_checkable
class HookedModel(Protocol):
    """What an analyzer needs of a model. `cfg` has n_layers, n_heads, d_head, d_vocab and n_ctx."""

    cfg: Any

    def __call__(self, tokens: Any, /) -> Any: ...

    def run_with_hooks(self, *args: Any, **kwargs: Any) -> Any:
        """As TransformerLens' method.

        Args:
            args: tokens, batch x pos.
            kwargs: `fwd_hooks`, (hook name, hook) each, and others.
        """
        ...

    def parameters(self) -> Iterator[Any]:
        """All of them, as torch's method."""
        ...


@runtime_checkable
class ByRow(Protocol):
    """A model that treats the rows of an evaluation differently: it is told at which row a batch begins."""

    def from_row(self, row: int) -> HookedModel:
        """The model for a batch.

        Args:
            row: at which the batch begins, from 0.
        """
        ...


def pattern_name(layer: int) -> str:
    """The hook of a layer's attention patterns.

    Args:
        layer: from 0.
    """
    return f"blocks.{layer}.attn.hook_pattern"


def z_name(layer: int) -> str:
    """The hook of the outputs of a layer's heads, before W_O.

    Args:
        layer: from 0.
    """
    return f"blocks.{layer}.attn.hook_z"


def device_of(model: HookedModel) -> torch.device:
    """Where its weights are.

    Args:
        model: with one parameter or more.
    """
    return next(iter(model.parameters())).device


def has_finite_weights(model: HookedModel) -> bool:
    """Whether no weight is NaN or infinite: the extremes would be, too, and they are found in one pass.

    Args:
        model: a hooked model.
    """
    ends = [end for weight in model.parameters() if weight.numel() for end in weight.detach().aminmax()]
    return bool(torch.stack([end.isfinite() for end in ends]).all())


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Eval mode and no gradients inside; every module's mode is put back afterwards.

    Args:
        model: of torch, hooked or not.
    """
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

    All of it is NaN when the logits are.

    Args:
        model: a hooked model.
        tokens: token indices, batch x pos.
        reducers: hook name -> function of the activation.

    Raises:
        ValueError: for a hook that the model does not have or does not call, and for rows longer than the
            context that the model cannot read.
    """
    reduced: dict[str, Tensor] = {}

    def listener(name: str) -> Callable[..., None]:
        def keep(activation: Tensor, hook: object) -> None:  # noqa: ARG001 (TransformerLens' signature)
            reduced[name] = reducers[name](activation)

        return keep

    with evaluating(model), _within_context(model, tokens):
        try:
            output = model.run_with_hooks(
                tokens.to(device_of(model)), fwd_hooks=[(name, listener(name)) for name in reducers]
            )
        except KeyError as error:  # TransformerLens' word for a hook that is not there
            raise ValueError(no_activation(model, str(error))) from error
    if silent := sorted(set(reducers) - set(reduced)):
        raise ValueError(no_activation(model, str(silent)))
    if _has_nan(output):  # TransformerLens replaces NaN by 0 in patterns, so they cannot show it
        return {name: torch.full_like(value, torch.nan) for name, value in reduced.items()}
    return reduced


def in_batches(
    model: HookedModel, tokens: Int[Tensor, "row ..."], batch_size: int
) -> Iterator[tuple[HookedModel, Tensor]]:
    """Parts of the rows, each with the model to run on it, so that results do not depend on the batch size.

    Args:
        model: any hooked model; one that treats rows differently (`ByRow`) is told where each part begins.
        tokens: one entry per row.
        batch_size: rows in a part, 1 or more; the last part may be smaller.

    Raises:
        ValueError: for a batch size below 1.
    """
    for number, part in enumerate(batches_of(tokens, batch_size)):
        yield (model.from_row(number * batch_size) if isinstance(model, ByRow) else model), part


@contextmanager
def _within_context(model: Any, tokens: Tensor) -> Iterator[None]:
    """Rows longer than n_ctx work in models that rotate positions as they come; others fail, each in its own words."""
    n_ctx = getattr(model.cfg, "n_ctx", None)
    try:
        yield
    except (RuntimeError, IndexError, AssertionError) as error:
        if absent := absent_modules(model):
            raise ValueError(absent) from error
        if n_ctx is None or tokens.shape[1] <= n_ctx:
            raise
        raise ValueError(beyond_context(tokens.shape[1], n_ctx)) from error


def rotates_any_position(model: Any) -> bool:
    """Does the model compute rotary positions as they come, beyond n_ctx too? Hugging Face models do.

    Args:
        model: a hooked model.
    """
    kind = getattr(model.cfg, "positional_embedding_type", None)
    return kind == "rotary" and hasattr(model, "original_model")


def mean_of_patterns(
    model: HookedModel, tokens: Int[Tensor, "batch pos"], of: Reducer, *, batch_size: int
) -> Float[Tensor, "layer head"]:
    """The mean over all sequences of what `of` makes of each layer's patterns (its own mean over a batch, by head).

    Args:
        model: a hooked model.
        tokens: token indices, batch x pos.
        of: makes a number for each head from the patterns of a layer.
        batch_size: rows per forward pass; changes memory, never the result.
    """
    names = [pattern_name(layer) for layer in range(model.cfg.n_layers)]
    total = torch.zeros(model.cfg.n_layers, model.cfg.n_heads)
    for each, part in in_batches(model, tokens, batch_size):
        found = read(each, part, dict.fromkeys(names, of))
        total += torch.stack([found[name].cpu() for name in names]) * len(part)
    return total / len(tokens)


def logits(model: HookedModel, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_vocab"]:
    """Next-token logits in float32, in eval mode.

    Raises ValueError for a model whose output has no logits, and for rows longer than the context that the model cannot
    read.

    Args:
        model: a hooked model.
        tokens: token indices, from 0 to d_vocab - 1.
    """
    with evaluating(model), _within_context(model, tokens):
        return logits_of(model(tokens.to(device_of(model)))).float()


def logits_of(output: Any) -> Tensor:
    """The logits in what a model returns: a tensor, an output with `.logits`, or a tuple that begins with them.

    Raises ValueError for anything else.

    Args:
        output: what the call of a model returned.
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
