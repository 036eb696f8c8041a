"""To and from the published checkpoints of "Learning to grok" (arXiv 2406.02550; ablghtianyi/ICL_Modular_Arithmetic).

A file is a bare state dict: `torch.load(file, weights_only=True)`. In each layer `to_qkv` stacks the rows of W_Q, W_K
and W_V, each head after head, and `freqs` keeps the rotary frequencies of one head, which are not trained. The tied
embedding stands there a second time as `lm_head.weight`. Its rows are the numbers 0 .. p and 17 signs that the paper's
sequences never use, 47 for p = 29; token n is the number n.

A file with a gate is SwiGLU. Without one it does not say its activation: the name of the file does (see
`published_names`), ReLU in the authors' own files. Their GELU is the tanh approximation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from grok_interp.arguments import checked
from grok_interp.configs import ModelConfig, modular_gpt
from grok_interp.models.transformer import Transformer
from grok_interp.models.unreadable import require_values
from grok_interp.models.weights import canonical_views, from_linear, load_canonical, to_linear

WRAPPERS = ("_orig_mod.", "module.")  # torch.compile and DistributedDataParallel put them before every name
EMBEDDING, HEAD, BLOCKS = "transformer.wte.weight", "lm_head.weight", "transformer.h"
FREQUENCIES = "attn.rotary_emb.freqs"
ACTIVATIONS = {  # the official act_name -> fields of ModelConfig
    "relu": {"act_fn": "relu", "gated_mlp": False},
    "gelu": {"act_fn": "gelu_new", "gated_mlp": False},
    "swiglu": {"act_fn": "silu", "gated_mlp": True},
}

# published name -> canonical names, whose rows are stacked
OUTSIDE_BLOCKS = {
    EMBEDDING: ["embed.W_E"],
    "transformer.ln_f.weight": ["ln_final.w"],
    "transformer.ln_f.bias": ["ln_final.b"],
}
IN_BLOCK = {
    "ln_1.weight": ["ln1.w"],
    "ln_1.bias": ["ln1.b"],
    "attn.to_qkv.weight": ["attn.W_Q", "attn.W_K", "attn.W_V"],
    "attn.o.weight": ["attn.W_O"],
    "ln_2.weight": ["ln2.w"],
    "ln_2.bias": ["ln2.b"],
}
PLAIN_MLP = {"mlp.c_fc.weight": ["mlp.W_in"], "mlp.c_proj.weight": ["mlp.W_out"]}
GATED_MLP = {"mlp.w1.weight": ["mlp.W_gate"], "mlp.w3.weight": ["mlp.W_in"], "mlp.w2.weight": ["mlp.W_out"]}
# fields of ModelConfig for which the format leaves no choice
ONE_VALUE = ("normalization_type", "eps", "rotary_adjacent_pairs", "rotary_base", "tie_word_embeddings")


@checked
def from_published(
    state_dict: Mapping[str, Tensor], *, n_heads: int = 4, n_ctx: int = 96, act_name: str | None = None
) -> Transformer:
    """A `Transformer` in eval mode with a float32 copy of the weights; the other sizes are read from the tensors.

    Args:
        state_dict: what the official code saves. Prefixes that torch.compile and DistributedDataParallel put before
            every name are dropped.
        n_heads: heads of the trained model.
        n_ctx: longest context, 1 or more; no tensor depends on it.
        act_name: "relu", "gelu" or "swiglu", from the file's name (`published_file`). By default SwiGLU for tensors
            with a gate and ReLU, the paper's, for others.

    Returns:
        The model, on the device of the tensors.

    Raises:
        ValueError: if tensors are missing, unknown or misshapen, if `n_heads` is not the trained one, if the rotary
            frequencies have another base, if the head is not tied, or if `act_name` does not fit the tensors.

    Example:
        >>> from grok_interp import Transformer, modular_gpt, to_published
        >>> model = Transformer(modular_gpt(n_layers=1, d_model=16, n_heads=2), seed=0)
        >>> from_published(to_published(model), n_heads=2).cfg.act_fn
        'relu'
    """
    state = unwrapped(state_dict)
    _refuse_other_names(state)
    cfg = _config(state, n_heads=n_heads, n_ctx=n_ctx, act_name=act_name)
    model = Transformer(cfg, initialize=False).to(state[EMBEDDING].device)
    _refuse_other_tensors(state, like=to_published(model))
    weights = {}
    for theirs, ours in _names(model.cfg.n_layers, gated=model.cfg.gated_mlp).items():
        for name, rows in zip(ours, state[theirs].chunk(len(ours)), strict=True):
            weights[name] = from_linear(name, rows, n_heads)
    load_canonical(model, weights)
    return model.eval()


@checked
def to_published(model: Transformer) -> dict[str, Tensor]:
    """A copy of the model's weights as a published state dict, where embedding and head are one tensor.

    Args:
        model: of the modular paper's family. The official code loads it if d_mlp is a multiple of d_model.

    Returns:
        Name in the official code -> tensor.

    Raises:
        ValueError: for a model of another family, and for one on the meta device.

    Example:
        >>> from grok_interp import Transformer, modular_gpt
        >>> state = to_published(Transformer(modular_gpt(n_layers=1, d_model=16, n_heads=2), seed=0))
        >>> state[EMBEDDING] is state[HEAD]
        True
    """
    _refuse_other_families(model.cfg)
    require_values(model)
    views, state = canonical_views(model), {}
    for theirs, ours in _names(model.cfg.n_layers, gated=model.cfg.gated_mlp).items():
        state[theirs] = torch.cat([to_linear(name, views[name]) for name in ours])
    for name in _frequency_names(model.cfg.n_layers):
        state[name] = _frequencies(model.cfg).to(model.embed.weight.device)
    state[HEAD] = state[EMBEDDING]
    return state


def unwrapped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict without the prefixes that all its names share.

    Args:
        state: name -> weight.
    """
    bare = dict(state)
    while prefix := next((w for w in WRAPPERS if bare and all(name.startswith(w) for name in bare)), None):
        bare = {name.removeprefix(prefix): tensor for name, tensor in bare.items()}
    return bare


def _names(n_layers: int, *, gated: bool) -> dict[str, list[str]]:
    """Published name -> canonical names, for all trained tensors."""
    names, block = dict(OUTSIDE_BLOCKS), IN_BLOCK | (GATED_MLP if gated else PLAIN_MLP)
    for layer in range(n_layers):
        for theirs, ours in block.items():
            names[f"{BLOCKS}.{layer}.{theirs}"] = [f"blocks.{layer}.{name}" for name in ours]
    return names


def _frequency_names(n_layers: int) -> list[str]:
    return [f"{BLOCKS}.{layer}.{FREQUENCIES}" for layer in range(n_layers)]


def _frequencies(cfg: ModelConfig) -> Tensor:
    """One of each rotary pair, in float32 throughout as the official code's library has them, so the bits agree."""
    return 1.0 / cfg.rotary_base ** (torch.arange(0, cfg.d_head, 2).float() / cfg.d_head)


def _n_layers(state: Mapping[str, Tensor]) -> int:
    """At least 1, so that of a state dict without blocks the first one is missing."""
    return max(1, len({name.split(".")[2] for name in state if name.startswith(f"{BLOCKS}.")}))


def _is_gated(state: Mapping[str, Tensor]) -> bool:
    return any(name.endswith(next(iter(GATED_MLP))) for name in state)


def _refuse_other_names(state: Mapping[str, Tensor]) -> None:
    n_layers = _n_layers(state)
    needed = {*_names(n_layers, gated=_is_gated(state)), *_frequency_names(n_layers), HEAD}
    missing, unknown = sorted(needed - set(state)), sorted(set(state) - needed)
    if missing or unknown:
        raise ValueError(
            f"not a published state dict with {n_layers} layers: missing {missing}, unknown {unknown}; pass the dict "
            "of tensors that the official code saves (with LayerNorm), with nothing around it"
        )


def _activation(state: Mapping[str, Tensor], act_name: str | None) -> dict[str, Any]:
    gated = _is_gated(state)
    fields = ACTIVATIONS.get(act_name or ("swiglu" if gated else "relu"))
    if fields is None or fields["gated_mlp"] != gated:
        fitting = [name for name, each in ACTIVATIONS.items() if each["gated_mlp"] == gated]
        kind = "a gate" if gated else "no gate"
        raise ValueError(f"act_name must be {' or '.join(fitting)} for tensors with {kind}, got {act_name!r}")
    return fields


def _config(state: Mapping[str, Tensor], *, n_heads: int, n_ctx: int, act_name: str | None) -> ModelConfig:
    activation = _activation(state, act_name)
    d_vocab, d_model = _matrix_shape(state, EMBEDDING)
    d_mlp, _ = _matrix_shape(state, f"{BLOCKS}.0.{next(iter(GATED_MLP if activation['gated_mlp'] else PLAIN_MLP))}")
    d_head = 2 * state[f"{BLOCKS}.0.{FREQUENCIES}"].numel()
    if n_heads * d_head != d_model:
        raise ValueError(
            f"n_heads times d_head must be d_model, got n_heads {n_heads}, d_head {d_head} (two for each rotary "
            f"frequency) and d_model {d_model}: pass the n_heads that the model was trained with"
        )
    sizes = dict(n_layers=_n_layers(state), n_heads=n_heads, d_model=d_model, d_vocab=d_vocab, n_ctx=n_ctx)
    return modular_gpt(**sizes, d_mlp=d_mlp, **activation)


def _matrix_shape(state: Mapping[str, Tensor], name: str) -> tuple[int, int]:
    if state[name].dim() != 2:
        raise ValueError(
            f"{name} must be a matrix, got shape {tuple(state[name].shape)}: is the file of another model?"
        )
    rows, columns = state[name].shape
    return rows, columns


def _refuse_other_tensors(state: Mapping[str, Tensor], *, like: Mapping[str, Tensor]) -> None:
    """Shapes and frequencies must be those of `like`, a state dict of the same sizes; then the head must be tied."""
    misfits = [
        f"{name}: expected {tuple(tensor.shape)}, got {tuple(state[name].shape)}"
        for name, tensor in like.items()
        if state[name].shape != tensor.shape
    ]
    if misfits:
        raise ValueError(
            f"shapes must fit those of {EMBEDDING} and the first MLP's: {misfits}; is the file of another model?"
        )
    if other := [name for name in like if name.endswith(FREQUENCIES) and not _close(state[name], like[name])]:
        raise ValueError(f"rotary frequencies must have base 10000, got others in {other}: only these can be read")
    if n_other := int((state[HEAD] != state[EMBEDDING]).sum()):
        raise ValueError(
            f"{HEAD} must be tied to {EMBEDDING}, got {n_other} other values among {state[HEAD].numel()}: "
            "only models that were trained with weight_tying can be read"
        )


def _close(frequencies: Tensor, expected: Tensor) -> bool:
    """Equal but for rounding, at most that of bfloat16."""
    return torch.allclose(frequencies.to(expected), expected, rtol=1e-2, atol=0.0)


def _refuse_other_families(cfg: ModelConfig) -> None:
    published = modular_gpt(n_layers=cfg.n_layers)
    problems = [
        f"{name} {getattr(published, name)!r}, got {getattr(cfg, name)!r}"
        for name in ONE_VALUE
        if getattr(cfg, name) != getattr(published, name)
    ]
    if {"act_fn": cfg.act_fn, "gated_mlp": cfg.gated_mlp} not in ACTIVATIONS.values():
        known = ", ".join(_mlp_kind(**fields) for fields in ACTIVATIONS.values())
        problems.append(f"one of {known}, got {_mlp_kind(cfg.act_fn, cfg.gated_mlp)}")
    if cfg.n_heads * cfg.d_head != cfg.d_model:
        problems.append(f"n_heads * d_head = d_model, got {cfg.n_heads} * {cfg.d_head} and {cfg.d_model}")
    if problems:
        raise ValueError(f"the published format needs {'; '.join(problems)}: keep this model as a checkpoint of ours")


def _mlp_kind(act_fn: str, gated_mlp: bool) -> str:
    return f"{act_fn} {'with' if gated_mlp else 'without'} a gate"
