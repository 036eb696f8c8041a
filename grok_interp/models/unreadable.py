"""Why a model cannot be read, in words that say what to do."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

from torch import nn


def require_values(model: Any) -> None:
    """Raises ValueError for a model on torch's meta device, which has shapes of weights and no values.

    Args:
        model: of any kind; one without parameters is not checked.
    """
    weights = list(model.parameters()) if hasattr(model, "parameters") else []
    if empty := sum(weight.is_meta for weight in weights):
        raise ValueError(
            f"expected a model whose weights have values, got {type(model).__name__} with {empty} of {len(weights)} "
            "parameters on torch's meta device: load them first (`model.to_empty(device='cpu')`, then "
            "`model.load_state_dict(...)`), or build the model outside `torch.device('meta')`"
        )


def no_activation(model: Any, names: str) -> str:
    """The message about hooks that a model does not call: fused attention has no pattern to show.

    Args:
        model: a hooked model; bridges leave the attention of some to Hugging Face.
        names: of the hooks.
    """
    config = getattr(getattr(model, "original_model", None), "config", None)
    kind = getattr(config, "_attn_implementation", None) or "eager"
    in_model = all(int(layer) < model.cfg.n_layers for layer in re.findall(r"blocks\.(\d+)", names))
    if kind != "eager" and "hook_pattern" in names and in_model:
        return (
            f"the model has no activation at {names}: its attention is fused ({kind!r}) and builds no pattern; call "
            "model.original_model.set_attn_implementation('eager') on the bridge, or load the Hugging Face model with "
            "attn_implementation='eager'"
        )
    return f"the model has no activation at {names}: TransformerLens' hook names are needed"


def no_module_named(hook: str, named: Collection[str]) -> str:
    """The message about a hook of a plain torch model for which no module was named.

    Args:
        hook: that is needed.
        named: the hooks for which modules were named.
    """
    of_layers = re.sub(r"^blocks\.\d+\.", "blocks.{layer}.", hook)
    return (
        f"the model has no activation at {hook}: name the module that returns it when you make the TorchAdapter, "
        f'hooks={{"{of_layers}": "MODULE"}} with {{layer}} in MODULE as well; it has {", ".join(named) or "none"}'
    )


def require_names(names: Iterable[str], there: Collection[str], kind: str) -> None:
    """Refuses names that a plain torch model does not have.

    Args:
        names: of its modules or parameters.
        there: those that it has.
        kind: what they name.

    Raises:
        ValueError: with those that are missing.
    """
    if missing := sorted(set(names) - set(there)):
        raise ValueError(f"the model has no {kind} {', '.join(missing[:3])}; it has {', '.join(list(there)[:12])}, ...")


def beyond_context(n_read: int, n_ctx: int, name: str = "tokens") -> str:
    """The message about rows that are longer than a model's context.

    Args:
        n_read: tokens of a row that are read.
        n_ctx: tokens that the context holds.
        name: of the rows, for the message.
    """
    return (
        f"{name} has rows of which {n_read} tokens are read, the model's context (n_ctx) holds {n_ctx}: give shorter "
        "rows"
    )


def absent_modules(model: Any) -> str:
    """The message about what a bridge wraps and the model below it lacks; empty where it lacks nothing.

    Args:
        model: a hooked model; OPT with do_layer_norm_before=False has no final norm.
    """
    running = {id(module) for module in getattr(model, "original_model", nn.Module()).modules()}
    absent = [
        module.name
        for module in model.modules()
        if id(module) in running and getattr(module, "original_component", module) is None
    ]
    if not absent:
        return ""
    return (
        f"the bridge runs {', '.join(absent)}, which its Hugging Face model does not have, so TransformerLens cannot "
        f"run it: set model.original_model.{absent[0]} = None"
    )
