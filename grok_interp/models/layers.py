"""The parts of a block: norms, attention and MLP, fused unless a hook is attached to what the fused kernels hide."""

from __future__ import annotations

import math
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from grok_interp.configs import ModelConfig
from grok_interp.models.attention_kernels import attention_input, attention_with_lse, causal_mask, fused_attention
from grok_interp.models.kv_cache import KeysAndValues, KVCache, shared_product
from grok_interp.models.rotary import Rotary

ACTIVATIONS = {"silu": F.silu, "relu": F.relu, "gelu": F.gelu, "gelu_new": partial(F.gelu, approximate="tanh")}


def hooked(*points: HookPoint) -> bool:
    """Is a hook attached to one of them?"""
    return any(point.fwd_hooks or point.bwd_hooks for point in points)


def linear(d_in: int, d_out: int) -> nn.Linear:
    """Bias-free, and uninitialized: `Transformer` writes every weight once."""
    layer = nn.Linear(d_in, d_out, bias=False, device="meta")
    layer.weight = nn.Parameter(torch.empty(d_out, d_in))
    return layer


class Norm(nn.Module):
    """RMSNorm or LayerNorm over the last dimension."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.eps, self.centered = cfg.eps, cfg.normalization_type == "LN"
        self.w = nn.Parameter(torch.ones(cfg.d_model))
        self.b = nn.Parameter(torch.zeros(cfg.d_model)) if self.centered else None
        self.hook_scale, self.hook_normalized = HookPoint(), HookPoint()

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        if hooked(self.hook_scale, self.hook_normalized):
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
        self.qkv = linear(cfg.d_model, 3 * cfg.n_heads * cfg.d_head)
        self.o = linear(cfg.n_heads * cfg.d_head, cfg.d_model)
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
        """Is a hook attached to the scores or the pattern, so that they are built?"""
        return hooked(self.hook_attn_scores, self.hook_pattern)

    def _fused_attention(self, q: Tensor, parts: list[KeysAndValues]) -> Float[Tensor, "batch head query d_head"]:
        ((k, v),) = parts
        if not hooked(self.hook_lse):
            return fused_attention(q, k, v, dropout=self._dropout)
        z, lse = attention_with_lse(q, k, v, dropout=self._dropout)
        self._show_lse(lse)
        return z

    def _explicit_attention(self, q: Tensor, parts: list[KeysAndValues]) -> Float[Tensor, "batch head query d_head"]:
        keys, values = zip(*parts, strict=True)
        scores = torch.cat([shared_product(q, k.transpose(-1, -2)) for k in keys], dim=-1) / math.sqrt(self.cfg.d_head)
        scores[..., -keys[-1].shape[2] :].masked_fill_(~causal_mask(q, keys[-1]), -torch.inf)
        scores = self.hook_attn_scores(scores)
        if hooked(self.hook_lse):
            self._show_lse(scores.detach().logsumexp(dim=-1))
        pattern = self.hook_pattern(scores.softmax(dim=-1))  # hooks see it before dropout
        weights = F.dropout(pattern, self._dropout).to(values[0].dtype).split([v.shape[2] for v in values], dim=-1)
        return torch.stack([shared_product(weight, v) for weight, v in zip(weights, values, strict=True)]).sum(dim=0)

    def _show_lse(self, lse: Float[Tensor, "batch head query"]) -> None:
        if self.hook_lse(lse) is not lse:
            raise ValueError("hook_lse is only read: to change attention, edit hook_attn_scores or hook_pattern")

    def _output(self, z: Float[Tensor, "batch pos head d_head"]) -> Float[Tensor, "batch pos d_model"]:
        if hooked(self.hook_result):
            heads = self.o.weight.unflatten(1, (self.cfg.n_heads, self.cfg.d_head))
            return self.hook_result(torch.einsum("bphk,dhk->bphd", z, heads)).sum(dim=2)
        return self.o(z.flatten(2))


class MLP(nn.Module):
    """W_out act(x W_in), or with a gate W_out (act(x W_gate) * x W_in) in one matrix product for both inputs."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.gated, self.act = cfg.gated_mlp, ACTIVATIONS[cfg.act_fn]
        self.inputs = linear(cfg.d_model, (2 if cfg.gated_mlp else 1) * cfg.d_mlp)
        self.out = linear(cfg.d_mlp, cfg.d_model)
        self.hook_pre, self.hook_post = HookPoint(), HookPoint()
        if cfg.gated_mlp:
            self.hook_pre_linear = HookPoint()

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        if not self.gated:
            return self.out(self.hook_post(self.act(self.hook_pre(self.inputs(x)))))
        pre, pre_linear = self.inputs(x).chunk(2, dim=-1)
        return self.out(self.hook_post(self.act(self.hook_pre(pre)) * self.hook_pre_linear(pre_linear)))
