"""One training run: `TrainConfig`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

from grok_interp.configs.checks import above, below_one, build, flatten, negative, outside_unit_interval, refuse_if_any
from grok_interp.configs.data import DataConfig, plugin_data
from grok_interp.configs.intervention import intervention_reasons
from grok_interp.configs.model import ModelConfig
from grok_interp.configs.modular import ModularConfig
from grok_interp.configs.text import TextConfig

DATA_KINDS: dict[str, type[DataConfig]] = {"text": TextConfig, "modular": ModularConfig}  # the package's own
MOST_STEPS, LARGEST_BATCH = 10**9, 10**8  # updates; sequences


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A training run: everything that determines the weights on a given machine. A step is one optimizer update.

    The learning rate rises linearly from `warmup_start_factor` to 1 times `learning_rate` over `warmup_steps`, then
    follows a cosine to `final_factor` times `learning_rate`.

    Example:
        >>> from grok_interp import training_preset
        >>> config = training_preset("copier-tiny").with_data(copy_fraction=0.2)
        >>> config.n_steps, config.data.copy_fraction
        (20, 0.2)
    """

    model: ModelConfig
    data: DataConfig
    n_steps: int  # optimizer updates
    batch_size: int  # sequences of n_ctx tokens in an update
    learning_rate: float  # of AdamW at its peak
    checkpoint_steps: tuple[int, ...]  # keep a checkpoint at these, as far as they are reached, and always at the end
    micro_batch_size: int | None = None  # split a batch for gradient accumulation; None takes it whole
    warmup_steps: int = 0
    warmup_start_factor: float = 0.0
    final_factor: float = 0.1  # learning rate at the end, as a fraction of its peak; 1 keeps it constant
    optimizer: Literal["adamw", "muon"] = "adamw"  # muon: Muon on the matrices inside blocks, AdamW on the rest
    muon_learning_rate: float | None = None  # of Muon at its peak, on the same schedule; None with adamw
    muon_momentum: float = 0.95
    betas: tuple[float, float] = (0.9, 0.999)  # of AdamW
    adam_eps: float = 1e-8
    weight_decay: float = 0.0  # on every matrix, embeddings included; never on norm gains and biases
    max_grad_norm: float | None = 1.0  # clip the gradient's global norm; None does not clip
    # bfloat16 and float16 (with loss scaling) are autocast: weights and optimizer stay in float32. auto takes bfloat16
    # where the device multiplies it natively
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "float32"
    intervene: tuple[str, ...] = ()  # on heads during training, such as "L1H0 zero from 500"; see Intervention
    init_seed: int = 0  # draws the weights
    data_seed: int = 0  # draws the batches and dropout masks

    def __post_init__(self) -> None:
        refuse_if_any(self, self._reasons())

    def _reasons(self) -> Iterator[str]:
        yield from below_one(self, "n_steps", "batch_size")
        yield from above(self, {"n_steps": MOST_STEPS, "batch_size": LARGEST_BATCH})
        yield from negative(self, "init_seed", "data_seed")
        yield from self._optimizer_reasons()
        yield from self._muon_reasons()
        yield from self._data_reasons()
        yield from intervention_reasons(self.intervene, n_layers=self.model.n_layers, n_heads=self.model.n_heads)
        steps = self.checkpoint_steps
        if list(steps) != sorted(set(steps)) or any(step < 0 for step in steps):
            yield f"checkpoint_steps must be sorted, distinct and not negative, got {_brief(steps)}"
        if self.precision not in ("auto", "float32", "bfloat16", "float16"):
            yield f"precision must be auto, float32, bfloat16 or float16, got {self.precision!r}"

    def _optimizer_reasons(self) -> Iterator[str]:
        if not 0 < self.learning_rate < math.inf:
            yield f"learning_rate must be positive and finite, got {self.learning_rate}"
        if not 0 <= self.warmup_steps <= self.n_steps:
            yield f"warmup_steps must be within 0..n_steps = {self.n_steps}, got {self.warmup_steps}"
        yield from outside_unit_interval(self, "warmup_start_factor", "final_factor")
        if not 0 < self.adam_eps < math.inf:
            yield f"adam_eps must be positive and finite, got {self.adam_eps}"
        if not all(0 <= beta < 1 for beta in self.betas):
            yield f"betas must be in [0, 1), got {self.betas}"
        if not 0 <= self.weight_decay < math.inf:
            yield f"weight_decay must be finite and not negative, got {self.weight_decay}"
        if self.max_grad_norm is not None and not self.max_grad_norm > 0:
            yield f"max_grad_norm must be positive, or None for no clipping, got {self.max_grad_norm}"

    def _muon_reasons(self) -> Iterator[str]:
        if self.optimizer not in ("adamw", "muon"):
            yield f"optimizer must be adamw or muon, got {self.optimizer!r}"
        if self.optimizer == "adamw" and self.muon_learning_rate is not None:
            yield f"muon_learning_rate {self.muon_learning_rate} has no effect with optimizer adamw: set optimizer muon"
        if self.optimizer == "muon" and not 0 < (self.muon_learning_rate or 0) < math.inf:
            yield f"muon needs a positive, finite muon_learning_rate (0.02 is common), got {self.muon_learning_rate}"
        if not 0 <= self.muon_momentum < 1:
            yield f"muon_momentum must be in [0, 1), got {self.muon_momentum}"

    def _data_reasons(self) -> Iterator[str]:
        micro = self.micro_batch_size
        if micro is not None and (micro < 1 or self.batch_size % micro):
            yield f"micro_batch_size must divide batch_size {self.batch_size}, got {micro}"
        yield from self.data.misfits(self)

    @property
    def kept_steps(self) -> tuple[int, ...]:
        """The steps at which a checkpoint is kept: those of `checkpoint_steps` that are reached, and the last."""
        return tuple(step for step in self.checkpoint_steps if step < self.n_steps) + (self.n_steps,)

    @property
    def tokens_per_step(self) -> int:
        return self.batch_size * self.model.n_ctx

    @property
    def sequences_at_once(self) -> int:
        """Those of a micro-batch; of the whole batch where there is no `micro_batch_size`."""
        return self.micro_batch_size or self.batch_size

    def with_model(self, **changes: Any) -> Self:
        """The same run with some fields of its model changed.

        Args:
            changes: fields of `ModelConfig`, with their new values.
        """
        return replace(self, model=replace(self.model, **changes))

    def with_data(self, **changes: Any) -> Self:
        """The same run with some fields of its data changed.

        Args:
            changes: fields of its data's class, with their new values.
        """
        return replace(self, data=replace(self.data, **changes))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `data` says of which kind it is."""
        values = asdict(self)
        return {**values, "data": {"kind": self.data.kind, **values["data"]}}

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """The inverse of `to_dict`.

        Args:
            values: as of `to_dict`.

        Raises:
            ValueError: for unknown fields, and for types and sizes that no run has.
        """
        if not isinstance(values, Mapping) or not isinstance(values.get("data"), Mapping):
            raise ValueError(f"{cls.__name__}: its fields are needed, data among them, got {type(values).__name__}")
        data = dict(values["data"])
        of_kind = _data_class(data.pop("kind", None))
        return build(cls, {**values, "model": build(ModelConfig, values.get("model")), "data": build(of_kind, data)})

    def flattened(self) -> dict[str, Any]:
        """Dotted field name -> value."""
        return flatten(self.to_dict())

    def differences(self, other: TrainConfig) -> dict[str, tuple[Any, Any]]:
        """Dotted field name -> (mine, theirs), for each field in which two configurations differ.

        Args:
            other: the configuration to compare with.
        """
        mine, theirs = self.flattened(), other.flattened()
        names = [*mine, *(name for name in theirs if name not in mine)]
        return {name: (mine.get(name), theirs.get(name)) for name in names if mine.get(name) != theirs.get(name)}


def _data_class(kind: object) -> type[DataConfig]:
    kinds = DATA_KINDS if isinstance(kind, str) and kind in DATA_KINDS else DATA_KINDS | plugin_data()
    if not isinstance(kind, str) or kind not in kinds:
        raise ValueError(
            f"TrainConfig: data must be of kind {' or '.join(kinds)}, got {kind!r}; others need the package that "
            "brings their study"
        )
    return kinds[kind]


def _brief(steps: tuple[int, ...]) -> str:
    return str(steps) if len(steps) <= 8 else f"{steps[:4]} ... {steps[-4:]}"
