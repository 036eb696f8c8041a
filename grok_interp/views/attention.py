"""Attention of chosen heads, drawn by circuitsvis' own JavaScript without ever asking the network for it.

circuitsvis' `_repr_html_` contacts a host to choose a source and its `str()` shows nothing offline, so its components
are rendered here from the bundle in its wheel, which a page holds once (`circuitsvis_javascript`) for all its views.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from importlib.resources import files

import numpy as np

from grok_interp.analysis.attention import AttentionMaps

MAX_TOKENS, MAX_HEADS = 128, 8
DECIMALS = 3


def attention_html(
    maps: AttentionMaps, tokens: Sequence[str], heads: Sequence[tuple[int, int]], *, element: str = "attention"
) -> str:
    """The heads' patterns over the tokens as an HTML fragment; weights are rounded to 3 decimals.

    `element` is the fragment's id, one of its own in a page. Raises ValueError for tokens of another number, heads that
    do not exist, and more than the component draws in a few seconds (128 tokens, 8 heads).
    """
    n_tokens = maps.array.sizes["query"]
    if len(tokens) != n_tokens:
        raise ValueError(f"the maps are over {n_tokens} tokens, got {len(tokens)} token strings")
    if n_tokens > MAX_TOKENS or len(heads) > MAX_HEADS:
        raise ValueError(
            f"{len(heads)} heads x {n_tokens} tokens are too many to draw: choose up to {MAX_HEADS} heads, "
            f"{MAX_TOKENS} tokens"
        )
    values = np.stack([maps.of(layer, head).to_numpy() for layer, head in heads])
    properties = {
        "attention": np.round(values.astype(float), DECIMALS).tolist(),
        "tokens": list(tokens),
        "attentionHeadNames": [f"L{layer}H{head}" for layer, head in heads],
    }
    name = html.escape(element, quote=True)
    return (
        f'<div id="{name}"></div><script>CircuitsVis.render({_script_json(element)}, CircuitsVis.AttentionHeads, '
        f"{_script_json(properties)})</script>"
    )


def circuitsvis_javascript() -> str:
    """circuitsvis' bundle, to be inlined once in a page."""
    bundle = files("circuitsvis") / "dist" / "cdn" / "iife.js"
    return bundle.read_text(encoding="utf-8").replace("</script", "<\\/script")


def _script_json(value: object) -> str:
    """JSON that no text can break out of: every character that means something to HTML is written as its code."""
    text = json.dumps(value, allow_nan=False)
    for character in "<>&'":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
