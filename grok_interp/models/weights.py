"""A model's weights under HookedTransformer's names and in its shapes (`blocks.0.attn.W_Q`: head d_model d_head).

Checkpoints and exports speak these names, so they outlive every version of TransformerLens and of our own body, which
fuses W_Q, W_K and W_V into one matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from einops import rearrange
from torch import Tensor

from grok_interp.configs import ModelConfig

if TYPE_CHECKING:
    from grok_interp.models.transformer import Block, Transformer


def canonical_views(model: Transformer, *, of_gradients: bool = False) -> dict[str, Tensor]:
    """Every weight (or its gradient) under HookedTransformer's name and in its shape, sharing the model's memory.

    Writing into a view writes the model. A tied model has no `unembed.W_U`.
    """

    def tensor(parameter: Tensor) -> Tensor:
        value = parameter.grad if of_gradients else parameter.detach()
        assert value is not None, "gradients were asked for before a backward pass"
        return value

    views = {"embed.W_E": tensor(model.embed.weight)}
    for layer, block in enumerate(model.blocks):
        for name, view in _block_views(cast("Block", block), tensor):
            views[f"blocks.{layer}.{name}"] = view
    views.update((f"ln_final.{name}", tensor(p)) for name, p in model.ln_final.named_parameters())
    if not model.cfg.tie_word_embeddings:
        views["unembed.W_U"] = tensor(model.unembed.weight).T
    return views


def _block_views(block: Block, tensor: Callable[[Tensor], Tensor]) -> Iterator[tuple[str, Tensor]]:
    cfg = block.attn.cfg
    for norm in ("ln1", "ln2"):
        yield from ((f"{norm}.{name}", tensor(p)) for name, p in getattr(block, norm).named_parameters())
    qkv = tensor(block.attn.qkv.weight).unflatten(0, (3, cfg.n_heads, cfg.d_head))
    yield from zip(("attn.W_Q", "attn.W_K", "attn.W_V"), qkv.transpose(-1, -2), strict=True)
    yield "attn.W_O", tensor(block.attn.o.weight).T.unflatten(0, (cfg.n_heads, cfg.d_head))
    names = ("mlp.W_gate", "mlp.W_in") if cfg.gated_mlp else ("mlp.W_in",)
    yield from zip(names, tensor(block.mlp.inputs.weight).unflatten(0, (len(names), -1)).mT, strict=True)
    yield "mlp.W_out", tensor(block.mlp.out.weight).T


def require_size(cfg: ModelConfig, weights: Mapping[str, Tensor], source: Path) -> None:
    """Raises ValueError unless weights have as many numbers as a config says: before a model of that size is built."""
    if (n_numbers := sum(weight.numel() for weight in weights.values())) != cfg.n_params:
        raise ValueError(
            f"{source} has {n_numbers:,} parameters, the config of its run says {cfg.n_params:,}: the file is from "
            "another run, or config.json was edited; restore it"
        )


@torch.no_grad()
def load_canonical(model: Transformer, weights: dict[str, Tensor]) -> None:
    """Write HookedTransformer-named weights into a model.

    Raises ValueError that names what is missing, unknown or of another shape; the model is then unchanged.
    """
    views = canonical_views(model)
    missing, unknown = sorted(set(views) - set(weights)), sorted(set(weights) - set(views))
    shapes = [
        f"{name}: expected {tuple(view.shape)}, got {tuple(weights[name].shape)}"
        for name, view in views.items()
        if name in weights and weights[name].shape != view.shape
    ]
    if missing or unknown or shapes:
        raise ValueError(f"weights do not fit this model: missing {missing}, unknown {unknown}, shapes {shapes}")
    for name, view in views.items():
        view.copy_(weights[name])


def to_linear(name: str, view: Tensor) -> Tensor:
    """A canonical weight as torch's Linear stores it: output features first, heads side by side."""
    if name.endswith(("W_Q", "W_K", "W_V")):
        return rearrange(view, "head d_model d_head -> (head d_head) d_model").contiguous()
    if name.endswith("W_O"):
        return rearrange(view, "head d_head d_model -> d_model (head d_head)").contiguous()
    return view.T.contiguous() if _is_transposed(name) else view.contiguous()


def from_linear(name: str, weight: Tensor, n_heads: int) -> Tensor:
    """The inverse of `to_linear`."""
    if name.endswith(("W_Q", "W_K", "W_V")):
        return rearrange(weight, "(head d_head) d_model -> head d_model d_head", head=n_heads)
    if name.endswith("W_O"):
        return rearrange(weight, "d_model (head d_head) -> head d_head d_model", head=n_heads)
    return weight.T if _is_transposed(name) else weight


def _is_transposed(name: str) -> bool:
    return name.endswith(("W_U", "W_gate", "W_in", "W_out"))
