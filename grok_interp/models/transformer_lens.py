"""To TransformerLens' own configs and models: `HookedTransformer` on 3.x, `TransformerBridge` on 4.x.

`Transformer` already has the library's hooks; these are for code that insists on the library's classes. On 4.x, which
has no bias-free or tied native model, the bridge stands over the Hugging Face model that `to_huggingface` writes.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch

from grok_interp.arguments import checked
from grok_interp.configs import ModelConfig
from grok_interp.models.hooked import bridge_over
from grok_interp.models.interchange import to_huggingface
from grok_interp.models.transformer import Transformer
from grok_interp.models.unreadable import require_values
from grok_interp.models.weights import canonical_views


def transformer_lens_config(cfg: ModelConfig) -> Any:
    """The installed library's config of the same model.

    TransformerLens has no field for attention dropout, for bias-free maps or (on 3.x) for a tied embedding: its config
    describes the shape of the computation, not these. Raises ValueError for a rotary base that is not whole, because
    the library would cut it off.

    Args:
        cfg: one of ours.
    """
    if cfg.rotary_base != int(cfg.rotary_base):
        raise ValueError(f"TransformerLens takes whole rotary bases only, got rotary_base {cfg.rotary_base}")
    fields = dict(
        n_layers=cfg.n_layers,
        n_heads=cfg.n_heads,
        d_model=cfg.d_model,
        d_head=cfg.d_head,
        d_mlp=cfg.d_mlp,
        d_vocab=cfg.d_vocab,
        n_ctx=cfg.n_ctx,
        act_fn=cfg.act_fn,
        gated_mlp=cfg.gated_mlp,
        normalization_type=cfg.normalization_type,
        final_rms=cfg.normalization_type == "RMS",
        eps=cfg.eps,
        positional_embedding_type="rotary",
        rotary_dim=cfg.d_head,
        rotary_base=cfg.rotary_base,
        rotary_adjacent_pairs=cfg.rotary_adjacent_pairs,
        tie_word_embeddings=cfg.tie_word_embeddings,
        initializer_range=cfg.initializer_range,
    )
    return _config_class()(**fields)


@checked
def to_hooked_transformer(model: Transformer) -> Any:
    """The library's own model with a copy of the weights, in eval mode: the same logits, gradients and pattern hooks.

    `HookedTransformer` on 3.x: biases it adds are zero and frozen, and a tied embedding becomes two equal matrices.
    `TransformerBridge` on 4.x: for the two families that Hugging Face has, see `to_huggingface`.

    Args:
        model: ours; its device is kept.

    Returns:
        A model of TransformerLens.

    Raises:
        ValueError: for a model on the meta device; on 4.x, for a config of neither family.

    Example:
        >>> import warnings
        >>> from grok_interp import Transformer, preset
        >>> with warnings.catch_warnings(action="ignore"):  # TransformerLens calls its own class deprecated
        ...     theirs = to_hooked_transformer(Transformer(preset("copier-tiny"), seed=0))
        >>> theirs.cfg.n_layers
        2
    """
    require_values(model)
    config_class = _config_class()
    return _bridge(model) if config_class.__name__ == "TransformerBridgeConfig" else _hooked_transformer(model)


def _config_class() -> Any:
    try:
        from transformer_lens import HookedTransformerConfig
    except ImportError:  # removed in 4.0
        from transformer_lens import TransformerBridgeConfig

        return TransformerBridgeConfig
    return HookedTransformerConfig


def _hooked_transformer(model: Transformer) -> Any:
    from transformer_lens import HookedTransformer

    config = transformer_lens_config(model.cfg)
    config.device = str(model.embed.weight.device)
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.9 announces 4.0 at each construction
        theirs = HookedTransformer(config, move_to_device=True)
    weights = canonical_views(model)
    weights.setdefault("unembed.W_U", weights["embed.W_E"].T)
    _, unknown = theirs.load_state_dict(weights, strict=False)
    assert not unknown, unknown
    for name, parameter in theirs.named_parameters():
        if name not in weights:
            parameter.detach().zero_()
            parameter.requires_grad_(False)
    return theirs.eval()


def _bridge(model: Transformer) -> Any:
    return bridge_over(to_huggingface(model), eps=model.cfg.eps).eval()
