"""Frozen configurations: what a model is, what it reads, how it is trained.

Field names are TransformerLens' own wherever it has one. A configuration refuses nonsense with all its reasons at once,
never seeds anything and imports nothing heavy, so that `grok-interp --help` is instant.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import Any, Literal, Self

BYTE_VOCABULARY_SIZE = 256


def _refuse_if_any(owner: object, reasons: Iterator[str]) -> None:
    if broken := list(reasons):
        raise ValueError(f"{type(owner).__name__}: " + "; ".join(broken))


def _below_one(config: object, *names: str) -> Iterator[str]:
    for name in names:
        if getattr(config, name) < 1:
            yield f"{name} must be at least 1, got {getattr(config, name)}"


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A pre-norm decoder with rotary positions and bias-free linear maps: both papers' families and what is between.

    Matrices start as N(0, initializer_range^2).
    """

    n_layers: int
    n_heads: int
    d_model: int
    d_head: int  # features of one head, even
    d_mlp: int
    d_vocab: int
    n_ctx: int  # longest sequence, in tokens
    act_fn: Literal["silu", "relu", "gelu"]
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
        _refuse_if_any(self, self._reasons())

    def _reasons(self) -> Iterator[str]:
        yield from _below_one(self, "n_layers", "n_heads", "d_model", "d_head", "d_mlp", "d_vocab", "n_ctx")
        if self.d_head % 2:
            yield f"d_head must be even for rotary positions, got {self.d_head}"
        if self.act_fn not in ("silu", "relu", "gelu"):
            yield f"act_fn must be silu, relu or gelu, got {self.act_fn!r}"
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
    def n_params(self) -> int:
        """The number of trainable parameters; a tied embedding counts once."""
        norm = self.d_model * (2 if self.normalization_type == "LN" else 1)
        attention = 4 * self.d_model * self.n_heads * self.d_head
        mlp = (3 if self.gated_mlp else 2) * self.d_model * self.d_mlp
        embeddings = (1 if self.tie_word_embeddings else 2) * self.d_vocab * self.d_model
        return embeddings + self.n_layers * (attention + mlp + 2 * norm) + norm

    def to_transformer_lens(self) -> Any:
        """The installed TransformerLens' own: HookedTransformerConfig (3.x) or TransformerBridgeConfig (4.x)."""
        from grok_interp.models.transformer_lens import transformer_lens_config

        return transformer_lens_config(self)


def _split_heads(d_model: int, n_heads: int) -> int:
    if n_heads < 1 or d_model % n_heads:
        raise ValueError(f"d_model must be divisible by n_heads, got d_model {d_model} and n_heads {n_heads}")
    return d_model // n_heads


def llama_copier(
    *, n_layers: int, n_heads: int, d_model: int, d_mlp: int, d_vocab: int, n_ctx: int, **options: Any
) -> ModelConfig:
    """The copying paper's family (A.1): RMSNorm, rotary half-split pairs, SwiGLU, untied, no biases."""
    family = dict(act_fn="silu", gated_mlp=True, normalization_type="RMS", eps=1e-6)
    wiring = dict(rotary_adjacent_pairs=False, tie_word_embeddings=False)
    sizes = dict(n_layers=n_layers, n_heads=n_heads, d_model=d_model, d_mlp=d_mlp, d_vocab=d_vocab, n_ctx=n_ctx)
    d_head = options.get("d_head") or _split_heads(d_model, n_heads)
    return ModelConfig(**{"d_head": d_head, **sizes, **family, **wiring, **options})


def modular_gpt(
    *, n_layers: int, d_model: int = 512, n_heads: int = 4, d_vocab: int = 47, n_ctx: int = 96, **options: Any
) -> ModelConfig:
    """The modular paper's family (B.2): LayerNorm, rotary adjacent pairs, ReLU, tied, no linear biases.

    LayerNorm keeps gain and bias, as the published code does (the paper says no bias anywhere). The published
    vocabulary has 47 numbers whatever the modulus, hence the default.
    """
    family = dict(act_fn="relu", gated_mlp=False, normalization_type="LN", eps=1e-5)
    wiring = dict(rotary_adjacent_pairs=True, tie_word_embeddings=True, depth_scaled_mlp_out=True)
    sizes = dict(n_layers=n_layers, n_heads=n_heads, d_model=d_model, d_mlp=4 * d_model, d_vocab=d_vocab, n_ctx=n_ctx)
    d_head = options.get("d_head") or _split_heads(d_model, n_heads)
    return ModelConfig(**{"d_head": d_head, **sizes, **family, **wiring, **options})


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """The text a copier reads. Validation text is never changed by repeats.

    A window made repetitive has a lag L of its own, drawn uniformly from `repeat_lags`: every token from position L on
    is the one L positions earlier.
    """

    source: str = "stdlib"  # "stdlib" (Python's standard library), a text file, a folder, or "hub:NAME"
    vocabulary: Literal["bytes", "bpe"] = "bytes"  # the 256 bytes, or a byte-level BPE trained on the text
    validation_fraction: float = 0.05  # share of the text set aside, by whole documents
    repeat_fraction: float = 0.0  # share of the training windows made repetitive; 0 is plain text
    repeat_random: float = 0.0  # share of the repetitive windows that repeat random tokens instead of text
    repeat_lags: tuple[int, int] = (8, 64)  # shortest and longest lag, in tokens, both included

    def __post_init__(self) -> None:
        _refuse_if_any(self, self._reasons())

    def _reasons(self) -> Iterator[str]:
        if not self.source:
            yield "source is empty: give stdlib, a file, a folder or hub:NAME"
        if self.vocabulary not in ("bytes", "bpe"):
            yield f"vocabulary must be bytes or bpe, got {self.vocabulary!r}"
        if not 0 < self.validation_fraction <= 0.5:
            yield f"validation_fraction must be in (0, 0.5], got {self.validation_fraction}"
        for name in ("repeat_fraction", "repeat_random"):
            if not 0 <= getattr(self, name) <= 1:
                yield f"{name} must be in [0, 1], got {getattr(self, name)}"
        if len(self.repeat_lags) != 2 or not 1 <= self.repeat_lags[0] <= self.repeat_lags[1]:
            yield f"repeat_lags must be two lengths, 1 <= shortest <= longest, got {self.repeat_lags}"


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run; everything that decides the weights, given the machine. A step is one optimizer update.

    The learning rate rises linearly from `warmup_start_factor` to 1 times `learning_rate` over `warmup_steps`, then
    follows a cosine to `final_factor` times `learning_rate`.
    """

    model: ModelConfig
    data: TextConfig
    n_steps: int  # optimizer updates
    batch_size: int  # sequences of n_ctx tokens in an update
    learning_rate: float  # at its peak
    checkpoint_steps: tuple[int, ...]  # keep a checkpoint at these, as far as they are reached, and always at the end
    micro_batch_size: int | None = None  # split a batch for gradient accumulation; None takes it whole
    warmup_steps: int = 0
    warmup_start_factor: float = 0.0
    final_factor: float = 0.1  # learning rate at the end, as a share of its peak; 1 keeps it constant
    betas: tuple[float, float] = (0.9, 0.999)  # of AdamW
    adam_eps: float = 1e-8
    weight_decay: float = 0.0  # on every matrix, embeddings included; never on norm gains and biases
    max_grad_norm: float | None = 1.0  # clip the gradient's global norm; None does not clip
    precision: Literal["float32", "bfloat16"] = "float32"  # bfloat16 is autocast: weights and optimizer stay float32
    init_seed: int = 0  # draws the weights
    data_seed: int = 0  # draws the batches and dropout masks

    def __post_init__(self) -> None:
        _refuse_if_any(self, self._reasons())

    def _reasons(self) -> Iterator[str]:
        yield from _below_one(self, "n_steps", "batch_size")
        yield from self._optimizer_reasons()
        yield from self._data_reasons()
        steps = self.checkpoint_steps
        if list(steps) != sorted(set(steps)) or any(step < 0 for step in steps):
            yield f"checkpoint_steps must be sorted, distinct and not negative, got {_brief(steps)}"
        if self.precision not in ("float32", "bfloat16"):
            yield f"precision must be float32 or bfloat16, got {self.precision!r}"

    def _optimizer_reasons(self) -> Iterator[str]:
        if not 0 < self.learning_rate < math.inf:
            yield f"learning_rate must be positive and finite, got {self.learning_rate}"
        if not 0 <= self.warmup_steps <= self.n_steps:
            yield f"warmup_steps must be within 0..n_steps = {self.n_steps}, got {self.warmup_steps}"
        for name in ("warmup_start_factor", "final_factor"):
            if not 0 <= getattr(self, name) <= 1:
                yield f"{name} must be in [0, 1], got {getattr(self, name)}"
        if not 0 < self.adam_eps < math.inf:
            yield f"adam_eps must be positive and finite, got {self.adam_eps}"
        if not all(0 <= beta < 1 for beta in self.betas):
            yield f"betas must be in [0, 1), got {self.betas}"
        if not 0 <= self.weight_decay < math.inf:
            yield f"weight_decay must be finite and not negative, got {self.weight_decay}"
        if self.max_grad_norm is not None and not self.max_grad_norm > 0:
            yield f"max_grad_norm must be positive, or None for no clipping, got {self.max_grad_norm}"

    def _data_reasons(self) -> Iterator[str]:
        micro, longest = self.micro_batch_size, self.data.repeat_lags[1]
        if micro is not None and (micro < 1 or self.batch_size % micro):
            yield f"micro_batch_size must divide batch_size {self.batch_size}, got {micro}"
        if self.data.vocabulary == "bytes" and self.model.d_vocab != BYTE_VOCABULARY_SIZE:
            yield f"the byte vocabulary has {BYTE_VOCABULARY_SIZE} tokens, got d_vocab {self.model.d_vocab}"
        if self.data.repeat_fraction > 0 and longest >= self.model.n_ctx:
            yield f"repeat_lags up to {longest} leave nothing to repeat in a context of {self.model.n_ctx}"

    @property
    def kept_steps(self) -> tuple[int, ...]:
        """The steps at which a checkpoint is kept: those of `checkpoint_steps` that are reached, and the last."""
        return tuple(step for step in self.checkpoint_steps if step < self.n_steps) + (self.n_steps,)

    @property
    def tokens_per_step(self) -> int:
        return self.batch_size * self.model.n_ctx

    def with_model(self, **changes: Any) -> Self:
        """The same run with some fields of its model changed."""
        return replace(self, model=replace(self.model, **changes))

    def with_data(self, **changes: Any) -> Self:
        """The same run with some fields of its data changed."""
        return replace(self, data=replace(self.data, **changes))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; refuses keys that no field has."""
        nested = {"model": ModelConfig, "data": TextConfig}
        built = {k: _build(nested[k], v) if k in nested else v for k, v in values.items()}
        return _build(cls, built)

    def flattened(self) -> dict[str, Any]:
        """Dotted field name -> value."""
        return _flatten(self.to_dict())

    def differences(self, other: TrainConfig) -> dict[str, tuple[Any, Any]]:
        """Dotted field name -> (mine, theirs), for each field in which two configurations differ."""
        mine, theirs = self.flattened(), other.flattened()
        return {name: (mine[name], theirs[name]) for name in mine if mine[name] != theirs[name]}


def _brief(steps: tuple[int, ...]) -> str:
    return str(steps) if len(steps) <= 8 else f"{steps[:4]} ... {steps[-4:]}"


def _build(cls: type, values: Mapping[str, Any]) -> Any:
    known = {f.name for f in fields(cls)}
    required = {f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING}
    unknown, missing = set(values) - known, required - set(values)
    if unknown or missing:
        raise ValueError(f"{cls.__name__}: unknown fields {sorted(unknown)}, missing fields {sorted(missing)}")
    return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat.update(_flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value})
    return flat
