"""`Transformer`: the model that trains is the model that is analyzed.

A pre-norm decoder built from TransformerLens' `HookPoint`s under the library's standard names, so `run_with_hooks`,
`run_with_cache` and `ActivationCache` work on it. Fused kernels (scaled-dot-product attention, RMS and layer norm) run
unless a hook is attached to what they hide; then the explicit form runs, equal to rounding (layers.py). Single weights
of attention need no pattern: `hook_lse` has the log-sum-exp of each query's scores, and `attention_entries` uses it.

Compile the training step, never this module: hooks added to a compiled module are silently skipped.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint
from transformer_lens.HookedRootModule import HookedRootModule

from grok_interp.arguments import checked
from grok_interp.configs import ModelConfig
from grok_interp.models.attention_entries import EntryReader
from grok_interp.models.kv_cache import KVCache
from grok_interp.models.layers import MLP, Attention, Norm, linear
from grok_interp.models.rotary import Rotary, rotary
from grok_interp.models.weights import canonical_views


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, cfg: ModelConfig, layer: int, positions: Rotary) -> None:
        super().__init__()
        self.ln1, self.attn = Norm(cfg), Attention(cfg, layer, positions)
        self.ln2, self.mlp = Norm(cfg), MLP(cfg)
        self.hook_resid_pre, self.hook_resid_mid, self.hook_resid_post = HookPoint(), HookPoint(), HookPoint()
        self.hook_attn_out, self.hook_mlp_out = HookPoint(), HookPoint()

    def forward(self, x: Float[Tensor, "batch pos d_model"], cache: KVCache | None) -> Tensor:
        x = self.after_attention(x, cache)
        return self.hook_resid_post(x + self.hook_mlp_out(self.mlp(self.ln2(x))))

    def after_attention(self, x: Float[Tensor, "batch pos d_model"], cache: KVCache | None) -> Tensor:
        x = self.hook_resid_pre(x)
        return self.hook_resid_mid(x + self.hook_attn_out(self.attn(self.ln1(x), cache)))


class Transformer(HookedRootModule):
    """A language model of either paper's family, from its config.

    Args:
        cfg: its sizes and family.
        seed: draws the weights with a generator of its own; without it they come from torch's global one.
        initialize: False for a model whose weights are loaded next: matrices hold whatever was in memory.

    Example:
        >>> from grok_interp import preset
        >>> Transformer(preset("copier-tiny"), seed=0)(torch.arange(8)[None]).shape
        torch.Size([1, 8, 256])
    """

    @checked
    def __init__(self, cfg: ModelConfig, *, seed: int | None = None, initialize: bool = True) -> None:
        super().__init__()
        self.cfg = cfg
        self.embed = nn.Embedding(cfg.d_vocab, cfg.d_model, _weight=torch.empty(cfg.d_vocab, cfg.d_model))
        self.hook_embed = HookPoint()
        positions = rotary(cfg)  # its tables serve every layer
        self.blocks = nn.ModuleList(Block(cfg, layer, positions) for layer in range(cfg.n_layers))
        self.ln_final = Norm(cfg)
        self.unembed = linear(cfg.d_model, cfg.d_vocab)
        if cfg.tie_word_embeddings:
            self.unembed.weight = self.embed.weight
        if initialize:
            self._initialize(None if seed is None else torch.Generator().manual_seed(seed))
        self.setup()

    @torch.no_grad()
    def _initialize(self, generator: torch.Generator | None) -> None:
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                scaled = self.cfg.depth_scaled_mlp_out and name.endswith("mlp.out.weight")
                std = self.cfg.initializer_range / (math.sqrt(2 * self.cfg.n_layers) if scaled else 1.0)
                parameter.normal_(0.0, std, generator=generator)

    def forward(
        self, tokens: Int[Tensor, "batch pos"], *, cache: KVCache | None = None
    ) -> Float[Tensor, "batch pos d_vocab"]:
        """Logits of the next token at every position.

        Raises ValueError for more tokens (those in the cache included) than the context holds.

        Args:
            tokens: token indices, from 0 to d_vocab - 1.
            cache: keys and values of the tokens before; these tokens are added to it.
        """
        x = self._embedded(tokens, cache)
        for block in self.blocks:
            x = block(x, cache)
        return self.unembed(self.ln_final(x))

    @torch.no_grad()
    def attention_entries(
        self, tokens: Int[Tensor, "batch pos"], queries: Int[Tensor, " entry"], keys: Int[Tensor, " entry"]
    ) -> Float[Tensor, "layer batch head entry"]:
        """The attention of queries[i] to keys[i] in every head, from one pass that builds no pattern.

        The pass ends with the last layer's attention. Where a hook listens to a layer's scores or pattern, its entries
        are those of the pattern that the hook leaves.

        Entries are between 0 and 1, and those of a row sum to 1 within 1e-4, however large the scores are.

        Args:
            tokens: token indices, batch x pos.
            queries: position of the query of each entry.
            keys: position of the key of each entry.

        Raises:
            ValueError: for positions outside the tokens.
        """
        reader, blocks = EntryReader(queries, keys, n_tokens=tokens.shape[1]), [cast(Block, b) for b in self.blocks]
        with self.hooks(fwd_hooks=list(reader.hooks(block.attn.shows_pattern for block in blocks))):
            x = self._embedded(tokens, None)
            for block in blocks[:-1]:
                x = block(x, None)
            blocks[-1].after_attention(x, None)
        return torch.stack(reader.layers)

    def _embedded(self, tokens: Tensor, cache: KVCache | None) -> Float[Tensor, "batch pos d_model"]:
        n_tokens = tokens.shape[1] + (cache.n_tokens if cache is not None else 0)
        if n_tokens > self.cfg.n_ctx:
            raise ValueError(f"{n_tokens} tokens do not fit a context of {self.cfg.n_ctx}: shorten the input")
        return self.hook_embed(self.embed(tokens))

    def read(self, tokens: Int[Tensor, "batch pos"], *, cache: KVCache) -> None:
        """Extend the cache and compute no more than that: no logits, and of the last block keys and values alone.

        Raises ValueError as `forward` does.

        Args:
            tokens: token indices, from 0 to d_vocab - 1.
            cache: is extended by these tokens.
        """
        x = self._embedded(tokens, cache)
        *before, last = (cast(Block, block) for block in self.blocks)
        for block in before:
            x = block(x, cache)
        last.attn.read(last.ln1(last.hook_resid_pre(x)), cache)

    def empty_cache(self) -> KVCache:
        """A cache to pass to `forward`: analyses that branch from a shared prefix look for this method."""
        return KVCache()

    # TransformerLens' names for the weights, as views: reading them copies nothing but the stacks over layers.
    @property
    def W_E(self) -> Float[Tensor, "d_vocab d_model"]:
        return self.embed.weight

    @property
    def W_U(self) -> Float[Tensor, "d_model d_vocab"]:
        return self.unembed.weight.T

    def _stacked(self, name: str) -> Tensor:
        views = canonical_views(self)
        return torch.stack([views[f"blocks.{layer}.attn.{name}"] for layer in range(self.cfg.n_layers)])

    W_Q = property(lambda self: self._stacked("W_Q"), doc="layer head d_model d_head")
    W_K = property(lambda self: self._stacked("W_K"), doc="layer head d_model d_head")
    W_V = property(lambda self: self._stacked("W_V"), doc="layer head d_model d_head")
    W_O = property(lambda self: self._stacked("W_O"), doc="layer head d_head d_model")
