"""To and from Hugging Face: LLaMA for RMSNorm with a gated MLP, StarCoder2 for LayerNorm with a plain one.

Logits agree to rounding. Hugging Face rotates half-split pairs, so the rows of W_Q and W_K of a model with adjacent
pairs are reordered inside each head: patterns and logits are the same, the features of q and k stand in another order.
"""

from __future__ import annotations

from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from grok_interp.arguments import checked
from grok_interp.arguments.objects import shown
from grok_interp.configs import ModelConfig, llama_copier
from grok_interp.models.transformer import Transformer
from grok_interp.models.unreadable import require_values
from grok_interp.models.weights import canonical_views, from_linear, load_canonical, to_linear

OUTSIDE_BLOCKS = {"embed.W_E": "model.embed_tokens.weight", "unembed.W_U": "lm_head.weight"}
FINAL_NORM = {"ln_final.w": "model.norm.weight", "ln_final.b": "model.norm.bias"}
IN_BLOCK = {f"attn.W_{name}": f"self_attn.{name.lower()}_proj.weight" for name in "QKVO"} | {
    "ln1.w": "input_layernorm.weight",
    "ln1.b": "input_layernorm.bias",
    "ln2.w": "post_attention_layernorm.weight",
    "ln2.b": "post_attention_layernorm.bias",
}
GATED_MLP = {
    "mlp.W_gate": "mlp.gate_proj.weight",
    "mlp.W_in": "mlp.up_proj.weight",
    "mlp.W_out": "mlp.down_proj.weight",
}
PLAIN_MLP = {"mlp.W_in": "mlp.c_fc.weight", "mlp.W_out": "mlp.c_proj.weight"}


@checked
def to_huggingface(model: Transformer) -> Any:
    """A `LlamaForCausalLM` or `Starcoder2ForCausalLM` in eval mode with a copy of the model's weights.

    Args:
        model: of one of both papers' families; its device is kept.

    Returns:
        The Hugging Face model, which gives the same logits, equal to rounding.

    Raises:
        ValueError: for a config of neither family, and for a model on the meta device.

    Example:
        >>> from grok_interp import preset
        >>> type(to_huggingface(Transformer(preset("copier-tiny"), seed=0))).__name__
        'LlamaForCausalLM'
    """
    require_values(model)
    with torch.device(model.embed.weight.device), torch.random.fork_rng():  # it draws weights, to be replaced
        theirs = _empty_huggingface(model.cfg)
    names = _huggingface_names(model.cfg)
    weights = {
        names[name]: to_linear(name, _to_half_split(name, view, model.cfg))
        for name, view in canonical_views(model).items()
    }
    if model.cfg.tie_word_embeddings:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    theirs.load_state_dict(weights)
    return theirs.eval()


def from_huggingface(theirs: Any) -> Transformer:
    """A `Transformer` in eval mode with a copy of the weights of a `LlamaForCausalLM`; grouped heads are written out.

    Args:
        theirs: the Hugging Face model; its device is kept.

    Returns:
        The same function of tokens, equal to rounding.

    Raises:
        ValueError: for another architecture, biases or scaled rotary positions, and for a model on the meta device.

    Example:
        >>> from grok_interp import preset, to_huggingface
        >>> model = Transformer(preset("copier-tiny"), seed=0)
        >>> from_huggingface(to_huggingface(model)).cfg == model.cfg
        True
    """
    if not hasattr(theirs, "config"):
        raise ValueError(f"theirs must be a Hugging Face model such as LlamaForCausalLM, got {shown(theirs)}")
    require_values(theirs)
    cfg = _config_from_huggingface(theirs.config)
    model = Transformer(cfg, initialize=False).to(theirs.device)
    state, n_groups = theirs.state_dict(), theirs.config.num_key_value_heads
    weights = {}
    for name, huggingface_name in _huggingface_names(cfg).items():
        n_heads = n_groups if name.endswith(("W_K", "W_V")) else cfg.n_heads
        tensor = from_linear(name, state[huggingface_name], n_heads)
        weights[name] = tensor.repeat_interleave(cfg.n_heads // n_heads, dim=0) if n_heads < cfg.n_heads else tensor
    load_canonical(model, weights)
    return model.eval()


def _empty_huggingface(cfg: ModelConfig) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM, Starcoder2Config, Starcoder2ForCausalLM

    shared: dict[str, Any] = dict(
        vocab_size=cfg.d_vocab,
        hidden_size=cfg.d_model,
        intermediate_size=cfg.d_mlp,
        num_hidden_layers=cfg.n_layers,
        num_attention_heads=cfg.n_heads,
        num_key_value_heads=cfg.n_heads,
        max_position_embeddings=cfg.n_ctx,
        hidden_act=cfg.act_fn,
        rope_parameters={"rope_type": "default", "rope_theta": cfg.rotary_base},
        attention_dropout=cfg.attn_dropout,
        tie_word_embeddings=cfg.tie_word_embeddings,
        bos_token_id=None,
        eos_token_id=None,
    )
    family = cfg.normalization_type, cfg.gated_mlp
    if family == ("RMS", True) and cfg.d_model % cfg.n_heads == 0:
        return LlamaForCausalLM(LlamaConfig(**shared, head_dim=cfg.d_head, rms_norm_eps=cfg.eps))
    if family == ("LN", False) and cfg.d_head * cfg.n_heads == cfg.d_model:
        return Starcoder2ForCausalLM(Starcoder2Config(**shared, norm_epsilon=cfg.eps, use_bias=False))
    raise ValueError(
        "Hugging Face has LLaMA (RMS, gated_mlp, n_heads divides d_model) and StarCoder2 (LN, no gate, n_heads * "
        f"d_head = d_model) for this; got normalization_type {cfg.normalization_type}, gated_mlp {cfg.gated_mlp}, "
        f"{cfg.n_heads} heads of {cfg.d_head} in d_model {cfg.d_model}"
    )


def _config_from_huggingface(theirs: Any) -> ModelConfig:
    rope = theirs.rope_parameters
    problems = {
        f"model_type {theirs.model_type!r}, needed 'llama'": theirs.model_type != "llama",
        "biases": getattr(theirs, "attention_bias", False) or getattr(theirs, "mlp_bias", False),
        f"rotary positions of type {rope['rope_type']!r}, needed 'default'": rope["rope_type"] != "default",
    }
    if any(problems.values()):
        found = ", ".join(problem for problem, holds in problems.items() if holds)
        raise ValueError(
            f"cannot take this Hugging Face model: {found}; analyzers also read a TransformerBridge over it"
        )
    return llama_copier(
        n_layers=theirs.num_hidden_layers,
        n_heads=theirs.num_attention_heads,
        d_model=theirs.hidden_size,
        d_head=theirs.head_dim,
        d_mlp=theirs.intermediate_size,
        d_vocab=theirs.vocab_size,
        n_ctx=theirs.max_position_embeddings,
        act_fn=theirs.hidden_act,
        eps=theirs.rms_norm_eps,
        rotary_base=rope["rope_theta"],
        attn_dropout=theirs.attention_dropout,
        tie_word_embeddings=theirs.tie_word_embeddings,
    )


def _huggingface_names(cfg: ModelConfig) -> dict[str, str]:
    """Canonical name -> Hugging Face name, for the weights that the config has."""
    block = IN_BLOCK | (GATED_MLP if cfg.gated_mlp else PLAIN_MLP)
    names = OUTSIDE_BLOCKS | FINAL_NORM
    for layer in range(cfg.n_layers):
        names |= {f"blocks.{layer}.{ours}": f"model.layers.{layer}.{theirs}" for ours, theirs in block.items()}
    absent = {"unembed.W_U"} if cfg.tie_word_embeddings else set()
    return {
        ours: theirs
        for ours, theirs in names.items()
        if ours not in absent and not (ours.endswith(".b") and cfg.normalization_type == "RMS")
    }


def _to_half_split(name: str, view: Tensor, cfg: ModelConfig) -> Tensor:
    """W_Q and W_K with adjacent rotary pairs in Hugging Face's order of features; other weights as they are."""
    if name.endswith(("W_Q", "W_K")) and cfg.rotary_adjacent_pairs:
        return rearrange(view, "head d_model (pair two) -> head d_model (two pair)", two=2)
    return view
