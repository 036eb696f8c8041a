"""`Transformer`: the body that trains is the body that is looked into.

A pre-norm decoder built from TransformerLens' `HookPoint`s under the library's standard names, so `run_with_hooks`,
`run_with_cache` and `ActivationCache` work on it. Fused kernels (scaled-dot-product attention, RMS and layer norm) run
whenever nobody listens to what they hide; the explicit form, equal to rounding, runs when somebody does. Single weights
of attention need no pattern: `hook_lse` has the log-sum-exp of each query's scores, and `attention_entries` uses it.

Compile the training step, never this module: hooks added to a compiled module are silently skipped.
"""

from __future__ import annotations

import math
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint
from transformer_lens.HookedRootModule import HookedRootModule

from grok_interp.configs import ModelConfig
from grok_interp.models.attention_entries import EntryReader
from grok_interp.models.attention_kernels import attention_input, attention_with_lse, causal_mask, fused_attention
from grok_interp.models.kv_cache import KeysAndValues, KVCache, shared_product
from grok_interp.models.rotary import Rotary, rotary
from grok_interp.models.weights import canonical_views

ACTIVATIONS = {"silu": F.silu, "relu": F.relu, "gelu": F.gelu, "gelu_new": partial(F.gelu, approximate="tanh")}


def _somebody_listens(*points: HookPoint) -> bool:
    return any(point.fwd_hooks or point.bwd_hooks for point in points)


def _linear(d_in: int, d_out: int) -> nn.Linear:
    """Bias-free, and uninitialized: `Transformer` writes every weight once."""
    return cast(nn.Linear, nn.utils.skip_init(nn.Linear, d_in, d_out, bias=False))


class Norm(nn.Module):
    """RMSNorm or LayerNorm over the last dimension."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.eps, self.centered = cfg.eps, cfg.normalization_type == "LN"
        self.w = nn.Parameter(torch.ones(cfg.d_model))
        self.b = nn.Parameter(torch.zeros(cfg.d_model)) if self.centered else None
        self.hook_scale, self.hook_normalized = HookPoint(), HookPoint()

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        if _somebody_listens(self.hook_scale, self.hook_normalized):
            return self._explicit(x)
        if self.centered:
            return F.layer_norm(x, x.shape[-1:], self.w, self.b, self.eps)
        return F.rms_norm(x, x.shape[-1:], self.w, self.eps)

    def _explicit(self, x: Tensor) -> Tensor:
        if self.centered:
            x = x - x.mean(dim=-1, keepdim=True)
        x = self.hook_normalized(x / self.hook_scale((x.pow(2).mean(dim=-1, keepdim=True) + self.eps).sqrt()))
        return x * self.w if self.b is None else x * self.w + self.b


class Attention(nn.Module):
    """Causal multi-head attention; W_Q, W_K and W_V are one matrix product."""

    def __init__(self, cfg: ModelConfig, layer: int, positions: Rotary) -> None:
        super().__init__()
        self.cfg, self.layer, self.rotary = cfg, layer, positions
        self.qkv = _linear(cfg.d_model, 3 * cfg.n_heads * cfg.d_head)
        self.o = _linear(cfg.n_heads * cfg.d_head, cfg.d_model)
        self.hook_q, self.hook_k, self.hook_v = HookPoint(), HookPoint(), HookPoint()
        self.hook_rot_q, self.hook_rot_k = HookPoint(), HookPoint()
        self.hook_attn_scores, self.hook_pattern = HookPoint(), HookPoint()
        self.hook_lse = HookPoint()  # of each query's scores; the fused kernel knows it
        self.hook_z, self.hook_result = HookPoint(), HookPoint()

    def forward(
        self, x: Float[Tensor, "batch pos d_model"], cache: KVCache | None
    ) -> Float[Tensor, "batch pos d_model"]:
        q, parts = self.read(x, cache)
        explicit = self.shows_pattern or len(parts) > 1
        z = (self._explicit_attention if explicit else self._fused_attention)(q, parts)
        return self._output(self.hook_z(z.transpose(1, 2)))

    def read(
        self, x: Float[Tensor, "batch pos d_model"], cache: KVCache | None
    ) -> tuple[Float[Tensor, "batch head pos d_head"], list[KeysAndValues]]:
        """The queries of these tokens; keys and values of these and, with a cache, of all before."""
        qkv = attention_input(self.qkv(x))
        q, k, v = qkv.unflatten(-1, (3, self.cfg.n_heads, self.cfg.d_head)).unbind(dim=2)
        q, k, v = self.hook_q(q), self.hook_k(k), self.hook_v(v)
        offset = 0 if cache is None else cache.n_tokens_at(self.layer)
        q, k = self.hook_rot_q(self.rotary(q, offset)), self.hook_rot_k(self.rotary(k, offset))
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        return q, [(k, v)] if cache is None else cache.extend(self.layer, k, v)

    @property
    def _dropout(self) -> float:
        return self.cfg.attn_dropout if self.training else 0.0

    @property
    def shows_pattern(self) -> bool:
        """Does anybody listen to the scores or the pattern, so that they are built?"""
        return _somebody_listens(self.hook_attn_scores, self.hook_pattern)

    def _fused_attention(self, q: Tensor, parts: list[KeysAndValues]) -> Float[Tensor, "batch head query d_head"]:
        ((k, v),) = parts
        if not _somebody_listens(self.hook_lse):
            return fused_attention(q, k, v, dropout=self._dropout)
        z, lse = attention_with_lse(q, k, v, dropout=self._dropout)
        self._show_lse(lse)
        return z

    def _explicit_attention(self, q: Tensor, parts: list[KeysAndValues]) -> Float[Tensor, "batch head query d_head"]:
        keys, values = zip(*parts, strict=True)
        scores = torch.cat([shared_product(q, k.transpose(-1, -2)) for k in keys], dim=-1) / math.sqrt(self.cfg.d_head)
        scores[..., -keys[-1].shape[2] :].masked_fill_(~causal_mask(q, keys[-1]), -torch.inf)
        scores = self.hook_attn_scores(scores)
        if _somebody_listens(self.hook_lse):
            self._show_lse(scores.detach().logsumexp(dim=-1))
        pattern = self.hook_pattern(scores.softmax(dim=-1))  # listeners see it before dropout
        weights = F.dropout(pattern, self._dropout).to(values[0].dtype).split([v.shape[2] for v in values], dim=-1)
        return torch.stack([shared_product(weight, v) for weight, v in zip(weights, values, strict=True)]).sum(dim=0)

    def _show_lse(self, lse: Float[Tensor, "batch head query"]) -> None:
        if self.hook_lse(lse) is not lse:
            raise ValueError("hook_lse is only read: to change attention, edit hook_attn_scores or hook_pattern")

    def _output(self, z: Float[Tensor, "batch pos head d_head"]) -> Float[Tensor, "batch pos d_model"]:
        if _somebody_listens(self.hook_result):
            heads = self.o.weight.unflatten(1, (self.cfg.n_heads, self.cfg.d_head))
            return self.hook_result(torch.einsum("bphk,dhk->bphd", z, heads)).sum(dim=2)
        return self.o(z.flatten(2))


class MLP(nn.Module):
    """W_out act(x W_in), or with a gate W_out (act(x W_gate) * x W_in) in one matrix product for both inputs."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.gated, self.act = cfg.gated_mlp, ACTIVATIONS[cfg.act_fn]
        self.inputs = _linear(cfg.d_model, (2 if cfg.gated_mlp else 1) * cfg.d_mlp)
        self.out = _linear(cfg.d_mlp, cfg.d_model)
        self.hook_pre, self.hook_post = HookPoint(), HookPoint()
        if cfg.gated_mlp:
            self.hook_pre_linear = HookPoint()

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        if not self.gated:
            return self.out(self.hook_post(self.act(self.hook_pre(self.inputs(x)))))
        pre, pre_linear = self.inputs(x).chunk(2, dim=-1)
        return self.out(self.hook_post(self.act(self.hook_pre(pre)) * self.hook_pre_linear(pre_linear)))


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

    `seed` draws the weights with a generator of its own; without it they come from torch's global one. A model whose
    weights are loaded next needs none drawn: with `initialize=False` matrices hold whatever was in memory.
    """

    def __init__(self, cfg: ModelConfig, *, seed: int | None = None, initialize: bool = True) -> None:
        super().__init__()
        self.cfg = cfg
        self.embed = cast(nn.Embedding, nn.utils.skip_init(nn.Embedding, cfg.d_vocab, cfg.d_model))
        self.hook_embed = HookPoint()
        positions = rotary(cfg)  # its tables serve every layer
        self.blocks = nn.ModuleList(Block(cfg, layer, positions) for layer in range(cfg.n_layers))
        self.ln_final = Norm(cfg)
        self.unembed = _linear(cfg.d_model, cfg.d_vocab)
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
        are those of the pattern that the hook leaves. Raises ValueError for positions outside the tokens.
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
