"""Hooks for a model that comes from a checkpoint: TransformerLens' bridge over a Hugging Face model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SIZES = ("n_layers", "n_heads", "d_model", "d_head", "d_vocab")


def hooked(model: Any) -> Any:
    """The model with TransformerLens' hooks, in eval mode.

    Args:
        model: a hooked model (`run_with_hooks`), or a causal language model of Hugging Face, which the bridge changes
            in place. Its attention must be eager for patterns to be read.

    Raises:
        ValueError: for a model of another kind.
    """
    if hasattr(model, "run_with_hooks"):
        return model.eval()
    if not hasattr(getattr(model, "config", None), "model_type"):
        raise ValueError(
            f"expected a hooked model or a causal language model of Hugging Face, got {type(model).__name__}: wrap a "
            "plain torch model in a TorchAdapter"
        )
    return bridge_over(model, eps=getattr(model.config, "norm_epsilon", None)).eval()


def bridge_over(model: Any, *, eps: float | None = None) -> Any:
    """A `TransformerBridge` over a Hugging Face model; `eps` of its norms where the library does not read it.

    The library does not read StarCoder2's norm_epsilon and would normalize with its own default (4.3.0).
    """
    from transformer_lens.model_bridge.sources import build_bridge_from_module

    options: dict[str, Any] = {}
    if eps is not None:
        options["post_adapter_hook"] = lambda adapter: setattr(adapter.cfg, "eps", eps)
    return build_bridge_from_module(model, type(model).__name__, hf_config=model.config, **options)


def sizes_of(model: Any) -> dict[str, Any]:
    """Class and sizes of a hooked model: all checkpoints of a series agree in them."""
    return {"class": type(model).__name__} | {name: getattr(model.cfg, name, None) for name in SIZES}


def other_sizes(sizes: Mapping[str, Any], others: Mapping[str, Any]) -> str:
    """What differs, for a message; empty where nothing does."""
    return ", ".join(
        f"{name} {sizes[name]} where the others have {others[name]}" for name in sizes if sizes[name] != others[name]
    )
