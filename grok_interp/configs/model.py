"""What a model is: `ModelConfig`, and the two papers' families."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Literal

from grok_interp.arguments import checked
from grok_interp.configs.checks import above, below_one, refuse_if_any

# Far above every published model: a size beyond them is a mistake, or somebody else's trap for this machine's memory
LARGEST_SIZES = {
    **{"n_layers": 10_000, "n_heads": 10_000, "d_head": 10_000, "d_model": 1_000_000},
    **{"d_mlp": 10_000_000, "d_vocab": 10_000_000, "n_ctx": 10_000_000},
}
MOST_PARAMETERS = 10**12


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A pre-norm decoder with rotary positions and bias-free linear maps: the architectures of both papers.

    Matrices start as N(0, initializer_range^2).

    Example:
        >>> from grok_interp import preset
        >>> cfg = preset("copier-tiny")
        >>> isinstance(cfg, ModelConfig), cfg.n_heads * cfg.d_head
        (True, 16)
    """

    n_layers: int
    n_heads: int
    d_model: int
    d_head: int  # features of one head, even
    d_mlp: int
    d_vocab: int
    n_ctx: int  # longest sequence, in tokens
    act_fn: Literal["silu", "relu", "gelu", "gelu_new"]  # gelu_new: the tanh approximation
    gated_mlp: bool
    normalization_type: Literal["RMS", "LN"]
    eps: float  # added to the variance before a norm's square root
    rotary_adjacent_pairs: bool  # rotary pairs are (2i, 2i + 1), or else (i, i + d_head / 2)
    tie_word_embeddings: bool
    rotary_base: float = 10_000.0
    attn_dropout: float = 0.0  # dropout of the attention pattern while training, in [0, 1)
    initializer_range: float = 0.02
    depth_scaled_mlp_out: bool = False  # divide the initial W_out by sqrt(2 n_layers), as the modular paper's code does

    def __post_init__(self) -> None:
        refuse_if_any(self, self._reasons())

    def _reasons(self) -> Iterator[str]:
        yield from below_one(self, "n_layers", "n_heads", "d_model", "d_head", "d_mlp", "d_vocab", "n_ctx")
        yield from above(self, LARGEST_SIZES)
        if self.n_params > MOST_PARAMETERS:
            yield f"a model must have at most {MOST_PARAMETERS:,} parameters, got {self.n_params:,}"
        if self.d_head % 2:
            yield f"d_head must be even for rotary positions, got {self.d_head}"
        if self.act_fn not in ("silu", "relu", "gelu", "gelu_new"):
            yield f"act_fn must be silu, relu, gelu or gelu_new, got {self.act_fn!r}"
        if self.normalization_type not in ("RMS", "LN"):
            yield f"normalization_type must be RMS or LN, got {self.normalization_type!r}"
        if not 0 <= self.attn_dropout < 1:
            yield f"attn_dropout must be in [0, 1), got {self.attn_dropout}"
        if not 1 < self.rotary_base < math.inf:
            yield f"rotary_base must be above 1 and finite, got {self.rotary_base}"
        for name in ("eps", "initializer_range"):
            if not 0 < getattr(self, name) < math.inf:
                yield f"{name} must be positive and finite, got {getattr(self, name)}"

    @property
    def hash(self) -> str:
        """Names the configuration; a field at its default does not count, so that a field added later changes none."""
        set_fields = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        return hashlib.sha256(json.dumps(set_fields, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def n_params(self) -> int:
        """The number of trainable parameters; a tied embedding counts once."""
        norm = self.d_model * (2 if self.normalization_type == "LN" else 1)
        attention = 4 * self.d_model * self.n_heads * self.d_head
        mlp = (3 if self.gated_mlp else 2) * self.d_model * self.d_mlp
        embeddings = (1 if self.tie_word_embeddings else 2) * self.d_vocab * self.d_model
        return embeddings + self.n_layers * (attention + mlp + 2 * norm) + norm


def _split_heads(d_model: int, n_heads: int) -> int:
    if n_heads < 1 or d_model % n_heads:
        raise ValueError(f"d_model must be divisible by n_heads, got d_model {d_model} and n_heads {n_heads}")
    return d_model // n_heads


@checked
def llama_copier(
    *, n_layers: int, n_heads: int, d_model: int, d_mlp: int, d_vocab: int, n_ctx: int, **options: Any
) -> ModelConfig:
    """The copying paper's family (A.1): RMSNorm, rotary half-split pairs, SwiGLU, untied, no biases.

    Args:
        n_layers: blocks, 1 or more.
        n_heads: heads of each block.
        d_model: width of the residual stream; d_model / n_heads features a head, unless `d_head` is given.
        d_mlp: hidden units of the MLP.
        d_vocab: tokens.
        n_ctx: longest sequence, in tokens.
        options: other fields of `ModelConfig`.

    Returns:
        The configuration.

    Example:
        >>> llama_copier(n_layers=2, n_heads=2, d_model=16, d_mlp=32, d_vocab=256, n_ctx=64).n_params
        13392
    """
    family = dict(act_fn="silu", gated_mlp=True, normalization_type="RMS", eps=1e-6)
    wiring = dict(rotary_adjacent_pairs=False, tie_word_embeddings=False)
    sizes = dict(n_layers=n_layers, n_heads=n_heads, d_model=d_model, d_mlp=d_mlp, d_vocab=d_vocab, n_ctx=n_ctx)
    d_head = options.get("d_head") or _split_heads(d_model, n_heads)
    return ModelConfig(**{"d_head": d_head, **sizes, **family, **wiring, **options})


@checked
def modular_gpt(
    *, n_layers: int, d_model: int = 512, n_heads: int = 4, d_vocab: int = 47, n_ctx: int = 96, **options: Any
) -> ModelConfig:
    """The modular paper's family (B.2): LayerNorm, rotary adjacent pairs, ReLU, tied, no linear biases.

    LayerNorm keeps gain and bias, as the published code does (the paper says no bias anywhere). The published
    vocabulary is 0..p and 17 signs that no sequence uses: 47 for p = 29, hence the default.

    Args:
        n_layers: blocks, 1 or more.
        d_model: width of the residual stream; the MLP has 4 d_model hidden units.
        n_heads: heads of each block.
        d_vocab: tokens, p or more.
        n_ctx: longest sequence, in tokens: three for each example.
        options: other fields of `ModelConfig`.

    Returns:
        The configuration.

    Example:
        >>> modular_gpt(n_layers=1, d_model=16, n_heads=2, d_vocab=5, n_ctx=24).d_mlp
        64
    """
    family = dict(act_fn="relu", gated_mlp=False, normalization_type="LN", eps=1e-5)
    wiring = dict(rotary_adjacent_pairs=True, tie_word_embeddings=True, depth_scaled_mlp_out=True)
    sizes = dict(n_layers=n_layers, n_heads=n_heads, d_model=d_model, d_mlp=4 * d_model, d_vocab=d_vocab, n_ctx=n_ctx)
    d_head = options.get("d_head") or _split_heads(d_model, n_heads)
    return ModelConfig(**{"d_head": d_head, **sizes, **family, **wiring, **options})
