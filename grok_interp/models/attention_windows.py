"""How far back the heads of each layer can look: models with sliding windows or local attention."""

from __future__ import annotations

from typing import Any

LOCAL = ("sliding_attention", "local")  # how Hugging Face and TransformerLens name such a layer


def attention_windows(model: Any) -> list[int | None]:
    """The window of every layer, in tokens; None where a query sees all tokens before it.

    A query at position q sees the keys q - window + 1 .. q.

    Args:
        model: a `Transformer`, `HookedTransformer` or `TransformerBridge`.

    Example:
        >>> from grok_interp import Transformer, llama_copier
        >>> model = Transformer(llama_copier(n_layers=2, n_heads=2, d_model=16, d_mlp=32, d_vocab=64, n_ctx=32), seed=0)
        >>> attention_windows(model)
        [None, None]
    """
    n_layers, theirs = model.cfg.n_layers, getattr(getattr(model, "original_model", None), "config", None)
    if theirs is None:  # a Transformer, or a HookedTransformer
        window = getattr(model.cfg, "window_size", None) if getattr(model.cfg, "use_local_attn", False) else None
        kinds = getattr(model.cfg, "attn_types", None)
    else:
        theirs = getattr(theirs, "text_config", theirs)
        kinds = getattr(theirs, "layer_types", None) or getattr(theirs, "attention_layers", None)
        window = getattr(theirs, "window_size" if hasattr(theirs, "attention_layers") else "sliding_window", None)
        window = window if getattr(theirs, "use_sliding_window", True) else None
    if window is None:
        return [None] * n_layers
    return [window] * n_layers if kinds is None else [window if kind in LOCAL else None for kind in kinds[:n_layers]]
