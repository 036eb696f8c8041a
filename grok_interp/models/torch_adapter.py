"""Plain torch models for the analyzers: where their activations and weights are, said by names.

    hooks      TransformerLens' hook name -> the module whose output is that activation
    weights    W_E, W_U, W_Q, W_K, W_V (or W_QKV, stacked in that order), W_O, and the norms ln1 and ln_final

`{layer}` in a name stands for each layer. Weights are those of linear maps as torch stores them, output features first,
heads one after another. A pattern can be hooked where a module returns it, as nanoGPT's `attn_dropout` does in eval
mode; fused attention builds none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from grok_interp.arguments import checked
from grok_interp.models.activations import logits_of
from grok_interp.models.given_forward import forward_hook, named_errors
from grok_interp.models.unreadable import no_module_named, require_names

NORMS = ("ln1", "ln_final")
MATRICES = ("W_E", "W_U", "W_O")
SEPARATE, STACKED = ("W_Q", "W_K", "W_V"), "W_QKV"


class TorchAdapter(nn.Module):
    """A torch model with the sizes, hooks and weights that analyzers need. The model itself is not changed.

    Losses and copying need the sizes alone; scores of patterns need `hooks`, scores of weights need `weights`.

    Args:
        model: called with tokens, batch x pos; returns logits (a tensor, an output with `.logits`, or a tuple that
            begins with them) at every position.
        n_layers: transformer layers.
        n_heads: heads of a layer.
        d_model: features of the residual stream, a multiple of `n_heads`.
        d_vocab: tokens.
        n_ctx: the longest row of tokens.
        hooks: hook name -> module name, with `{layer}` in both.
        weights: weight -> parameter name; norms -> module name. Norms that are not named count as without gains.
        forward: (model, tokens) -> logits, where calling the model is not enough.

    Raises:
        ValueError: for a name that the model does not have, and for sizes that do not fit the weights.

    Example:
        >>> model = nn.Sequential(nn.Embedding(11, 8), nn.Linear(8, 11, bias=False))
        >>> adapter = TorchAdapter(model, n_layers=0, n_heads=2, d_model=8, d_vocab=11, n_ctx=16)
        >>> adapter(torch.zeros(1, 5, dtype=torch.long)).shape
        torch.Size([1, 5, 11])
    """

    @checked
    def __init__(
        self,
        model: nn.Module,
        *,
        n_layers: int,
        n_heads: int,
        d_model: int,
        d_vocab: int,
        n_ctx: int,
        hooks: Mapping[str, str] | None = None,
        weights: Mapping[str, str] | None = None,
        forward: Callable[[Any, Tensor], Any] | None = None,
    ) -> None:
        super().__init__()
        sizes = dict(n_layers=n_layers, n_heads=n_heads, d_model=d_model, d_vocab=d_vocab, n_ctx=n_ctx)
        if small := [f"{name} {size}" for name, size in sizes.items() if size < (name != "n_layers" or bool(weights))]:
            raise ValueError(f"sizes must be 1 or more (n_layers 0 or more without weights=), got {', '.join(small)}")
        if d_model % n_heads:
            raise ValueError(f"d_model must be a multiple of n_heads, got d_model {d_model} and n_heads {n_heads}")
        self.model, self._forward, self._weights = model, forward, dict(weights or {})
        self.cfg = SimpleNamespace(
            **sizes, d_head=d_model // n_heads, positional_embedding_type=None, normalization_type=None
        )
        self._hooks = {
            hook.format(layer=layer): module.format(layer=layer)
            for hook, module in (hooks or {}).items()
            for layer in range(n_layers if "{layer}" in hook else 1)
        }
        require_names(self._hooks.values(), dict(model.named_modules()), "module")
        self._require_weights()

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits: batch pos d_vocab.

        Raises ValueError for logits at other positions than those of the tokens, and from whatever the model raises.

        Args:
            tokens: token indices, batch x pos.
        """
        with named_errors(self._forward or type(self.model).forward):
            output = self._forward(self.model, tokens) if self._forward else self.model(tokens)
        logits = logits_of(output)
        if logits.shape[:-1] != tokens.shape:
            raise ValueError(
                f"expected logits at {tuple(tokens.shape)} positions (batch, pos), got {tuple(logits.shape[:-1])}: "
                "nanoGPT gives all of them when it has targets, forward=lambda model, tokens: model(tokens, tokens)"
            )
        return logits

    def run_with_hooks(
        self, tokens: Tensor, *, fwd_hooks: Sequence[tuple[str, Callable[..., Tensor | None]]] = ()
    ) -> Tensor:
        """As TransformerLens': each function gets an activation and may return another in its place.

        Raises ValueError for a hook that is not in `hooks`.

        Args:
            tokens: token indices, batch x pos.
            fwd_hooks: (name of a hook, function of the activation and the hook).
        """
        modules, handles = dict(self.model.named_modules()), []
        try:
            for name, function in fwd_hooks:
                if name not in self._hooks:
                    raise ValueError(no_module_named(name, self._hooks))
                handles.append(modules[self._hooks[name]].register_forward_hook(forward_hook(function, name)))
            return self(tokens)
        finally:
            for handle in handles:
                handle.remove()

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The model's own, so that its checkpoints fit.

        Args:
            args: as torch's.
            kwargs: as torch's.
        """
        return self.model.state_dict(*args, **kwargs)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Into the model.

        Args:
            args: as torch's.
            kwargs: as torch's.
        """
        return self.model.load_state_dict(*args, **kwargs)

    @property
    def W_E(self) -> Tensor:
        return self._parameter("W_E")

    @property
    def W_U(self) -> Tensor:
        return self._parameter("W_U").T

    @property
    def W_Q(self) -> Tensor:
        return self._qkv(0)

    @property
    def W_K(self) -> Tensor:
        return self._qkv(1)

    @property
    def W_V(self) -> Tensor:
        return self._qkv(2)

    @property
    def W_O(self) -> Tensor:
        return torch.stack([weight.T.unflatten(0, (self.cfg.n_heads, -1)) for weight in self._each_layer("W_O")])

    @property
    def blocks(self) -> list[SimpleNamespace]:
        """Each layer's norm before attention and value bias, under TransformerLens' names."""
        return [
            SimpleNamespace(ln1=self._norm("ln1", layer), attn=SimpleNamespace(b_V=self._value_bias(layer)))
            for layer in range(self.cfg.n_layers)
        ]

    @property
    def ln_final(self) -> SimpleNamespace | None:
        return self._norm("ln_final")

    def _qkv(self, index: int) -> Tensor:
        if STACKED in self._weights:
            rows = [weight.chunk(3)[index] for weight in self._each_layer(STACKED)]
        else:
            rows = list(self._each_layer(SEPARATE[index]))
        return torch.stack([weight.unflatten(0, (self.cfg.n_heads, -1)).mT for weight in rows])

    def _value_bias(self, layer: int) -> Tensor | None:
        name = self._weights.get(STACKED, self._weights.get("W_V", "")).format(layer=layer)
        bias = dict(self.model.named_parameters()).get(name.removesuffix("weight") + "bias")
        if bias is None:
            return None
        return (bias.chunk(3)[2] if STACKED in self._weights else bias).unflatten(0, (self.cfg.n_heads, -1))

    def _norm(self, name: str, layer: int = 0) -> SimpleNamespace | None:
        if name not in self._weights:
            return None
        norm = self.model.get_submodule(self._weights[name].format(layer=layer))
        return SimpleNamespace(w=getattr(norm, "weight", None), b=getattr(norm, "bias", None))

    def _each_layer(self, weight: str) -> list[Tensor]:
        return [self._parameter(weight, layer) for layer in range(self.cfg.n_layers)]

    def _parameter(self, weight: str, layer: int = 0) -> Tensor:
        if weight not in self._weights:
            raise AttributeError(f"this TorchAdapter has no {weight}: name its parameter in weights=")
        return dict(self.model.named_parameters(remove_duplicate=False))[self._weights[weight].format(layer=layer)]

    def _require_weights(self) -> None:
        """All or none, and of the sizes that were given."""
        if not self._weights:
            return
        needed = {*MATRICES, *((STACKED,) if STACKED in self._weights else SEPARATE)}
        if missing := sorted(needed - set(self._weights)):
            raise ValueError(f"weights needs {', '.join(sorted(needed))}, got no {', '.join(missing)}")
        if unknown := sorted(set(self._weights) - needed - set(NORMS)):
            raise ValueError(f"weights has {', '.join(sorted(needed))} and {', '.join(NORMS)}, got {unknown}")
        names = {
            key: [name.format(layer=layer) for layer in range(self.cfg.n_layers)] for key, name in self._weights.items()
        }
        parameters = [name for key, each in names.items() if key not in NORMS for name in each]
        require_names(parameters, dict(self.model.named_parameters(remove_duplicate=False)), "parameter")
        norms = [name for key, each in names.items() if key in NORMS for name in each]
        require_names(norms, dict(self.model.named_modules()), "module")
        self._require_sizes()

    def _require_sizes(self) -> None:
        cfg = self.cfg
        per_head = (cfg.n_layers, cfg.n_heads, cfg.d_model, cfg.d_head)
        expected = {"W_E": (cfg.d_vocab, cfg.d_model), "W_U": (cfg.d_model, cfg.d_vocab)}
        expected |= dict.fromkeys(SEPARATE, per_head) | {"W_O": (*per_head[:2], cfg.d_head, cfg.d_model)}
        for name, shape in expected.items():
            if tuple(getattr(self, name).shape) != shape:
                raise ValueError(
                    f"{name} must have shape {shape} by the sizes given, got {tuple(getattr(self, name).shape)}: check "
                    "n_layers, n_heads, d_model and d_vocab, and that the weight is a linear map's"
                )
