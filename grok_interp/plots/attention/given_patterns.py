"""Patterns in the forms that people have them, as one query x key array per head.

An array is query x key of one head, head x query x key of a layer, or that with a batch axis of one sequence in front,
as TransformerLens' `cache["pattern", 0]` and Hugging Face have it. A tuple or list of such arrays has one per layer
(Hugging Face's `attentions`), a cache has them under hook names, and an xarray names its axes. Nothing is copied before
it is drawn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from grok_interp.analysis.attention import AttentionMaps
from grok_interp.models.activations import pattern_name
from grok_interp.plots.attention.view_heads import ViewHead, parsed_heads, require_available

Array = Tensor | np.ndarray | xr.DataArray
HOOK = re.compile(r"blocks\.(\d+)\.attn\.hook_pattern")
AXES = "an array of attention is (batch x) head x query x key, or query x key of one head"
EAGER = "load the model with attn_implementation='eager' and call it with output_attentions=True"


@dataclass(frozen=True, eq=False)
class GivenPatterns:
    """Raises ValueError for no head, and for patterns that are not query x key over the same tokens."""

    by_head: Mapping[ViewHead, Any]  # query x key each

    def __post_init__(self) -> None:
        shapes = {tuple(pattern.shape) for pattern in self.by_head.values()}
        if len(shapes) != 1 or len(set(*shapes)) != 1 or not min(*shapes):
            raise ValueError(
                f"attention has as many keys as queries, the same in every layer, got {sorted(shapes)}: give that of "
                "one pass over the whole sequence"
            )

    @property
    def heads(self) -> list[ViewHead]:
        return list(self.by_head)

    @property
    def n_tokens(self) -> int:
        return next(iter(self.by_head.values())).shape[0]

    def named_as(self, chosen: Sequence[ViewHead] | None) -> GivenPatterns:
        """These, with the names that `chosen` gives to what has none: the layer of an array, the head of a pattern."""
        layers = {layer for layer, _ in chosen or () if layer is not None}
        if not layers or any(layer is not None for layer, _ in self.heads):
            return self
        if len(layers) > 1:
            raise ValueError(f"the array is of one layer, heads= has heads of {len(layers)}: give a tuple of arrays")
        (layer,) = layers
        if self.heads == [(None, None)] and chosen and len(chosen) == 1:
            return GivenPatterns({chosen[0]: self.by_head[None, None]})
        return GivenPatterns({(layer, head): pattern for (_, head), pattern in self.by_head.items()})

    def patterns_of(self, chosen: Sequence[ViewHead]) -> Float[np.ndarray, "head query key"]:
        """Raises ValueError for a head that is not here."""
        require_available(chosen, self.heads)
        return np.stack([_numbers(self.by_head[head]) for head in chosen])


def given_patterns(attention: Any, layer: int | None = None) -> GivenPatterns | None:
    """The patterns of arrays, a cache, a Hugging Face output or of `AttentionMaps`; None for anything else.

    Args:
        attention: see above.
        layer: that an array is of, where it is of one.

    Raises:
        ValueError: for arrays of other shapes, several sequences, and attention that was not kept.
    """
    if isinstance(attention, AttentionMaps):
        attention = attention["pattern"]
    arrays = _by_layer(attention, layer)
    if arrays is None:
        return None
    if layer is not None and [number for number, _ in arrays] != [layer]:
        raise ValueError(f"layer= says which layer an array is of, got {len(arrays)} layers that are numbered already")
    return GivenPatterns({head: pattern for number, array in arrays for head, pattern in _by_head(array, number)})


def _by_layer(attention: Any, layer: int | None) -> list[tuple[int | None, Array]] | None:
    if hasattr(attention, "attentions"):
        if attention.attentions is None:
            raise ValueError(f"the output has no attention: {EAGER}")
        attention = attention.attentions
    if isinstance(attention, xr.DataArray):
        return _layers_of_xarray(attention, layer)
    cache = getattr(attention, "cache_dict", attention)
    if isinstance(cache, Mapping) and any(isinstance(name, str) for name in cache):
        return _layers_of_cache(cache)
    if isinstance(attention, Tensor | np.ndarray):
        return list(enumerate(attention)) if attention.ndim == 5 else [(layer, attention)]
    if not isinstance(attention, list | tuple) or not attention:
        return None
    if all(isinstance(each, list | tuple) and each and isinstance(each[0], Array) for each in attention):
        raise ValueError(
            "attention of a generation is in parts, one per new token: call the model once on the whole text"
        )
    if not any(isinstance(each, Array) for each in attention):
        if all(each is None for each in attention):
            raise ValueError(f"every layer's attention is None: {EAGER}")
        return None
    if missing := [number for number, each in enumerate(attention) if not isinstance(each, Array)]:
        raise ValueError(f"layer {missing[0]} has no array of attention, got {type(attention[missing[0]]).__name__}")
    return list(enumerate(attention))


def _layers_of_cache(cache: Mapping[str, Any]) -> list[tuple[int | None, Array]]:
    found = sorted((int(name[1]), value) for key, value in cache.items() if (name := HOOK.fullmatch(key)))
    if not found:
        raise ValueError(
            f"the cache has no attention pattern such as {pattern_name(0)}, got {', '.join(list(cache)[:3])}: cache "
            "it, names_filter=lambda name: name.endswith('hook_pattern')"
        )
    return list(found)


def _layers_of_xarray(array: xr.DataArray, layer: int | None) -> list[tuple[int | None, Array]]:
    if not {"query", "key"} <= set(array.dims) <= {"layer", "head", "query", "key"}:
        raise ValueError(
            f"attention has the dims layer, head, query and key, got {array.dims}: choose one of the others"
        )
    if "layer" in array.dims:
        return [(int(number), array.sel(layer=number)) for number in array["layer"].values]
    return [(int(array["layer"]) if "layer" in array.coords and layer is None else layer, array)]


def _by_head(array: Any, layer: int | None) -> Iterator[tuple[ViewHead, Any]]:
    if isinstance(array, xr.DataArray):
        yield from _heads_of_xarray(array, layer)
        return
    if array.ndim == 4:
        if len(array) != 1:
            raise ValueError(
                f"a view shows one sequence, got an array of shape {tuple(array.shape)}: if its first axis is the "
                "batch, give attention[0] (in a tuple of layers, of each); if it is the layer, give tuple(attention)"
            )
        array = array[0]
    if array.ndim not in (2, 3):
        raise ValueError(f"{AXES}, got shape {tuple(array.shape)}")
    if array.ndim == 2:
        yield (layer, None), array
    else:
        yield from (((layer, head), pattern) for head, pattern in enumerate(array))


def _heads_of_xarray(array: xr.DataArray, layer: int | None) -> Iterator[tuple[ViewHead, Any]]:
    patterns = array.transpose(..., "query", "key")
    if "head" not in array.dims:
        yield (layer, int(array["head"]) if "head" in array.coords else None), patterns.values
        return
    for name, pattern in zip(array["head"].values.tolist(), patterns.values, strict=True):
        (head,) = parsed_heads([name]) or [] if isinstance(name, str) else [(layer, int(name))]
        yield head, pattern


def _numbers(pattern: Any) -> np.ndarray:
    if isinstance(pattern, Tensor):
        pattern = pattern.detach().float().cpu().numpy()
    if pattern.dtype.kind not in "fiu":
        raise ValueError(f"attention must be real numbers, got {pattern.dtype}")
    return pattern.astype(np.float32)
