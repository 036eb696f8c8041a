"""Which runs can be trained in lockstep, as members of an ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grok_interp.configs import TrainConfig


def shared_fields(config: TrainConfig) -> dict[str, Any]:
    """What members of an ensemble have in common: all but seeds and data."""
    return {k: v for k, v in config.flattened().items() if k not in ("init_seed", "data_seed") and k[:5] != "data."}


def require_lockstep(configs: Sequence[TrainConfig]) -> None:
    """Raises ValueError unless the configs differ in seeds and data alone, for attention dropout and interventions."""
    if not configs:
        raise ValueError("an ensemble needs a run or more, got none")
    if configs[0].model.attn_dropout or configs[0].intervene:
        raise ValueError("an ensemble has no attention dropout and no interventions: train such runs one by one")
    if configs[0].precision == "float16":
        raise ValueError("an ensemble has no loss scaling: give precision bfloat16 or float32, or train one by one")
    first = shared_fields(configs[0])
    for config in configs[1:]:
        if differ := [f"{k}: {first[k]!r} and {v!r}" for k, v in shared_fields(config).items() if first[k] != v]:
            raise ValueError(
                f"members of an ensemble may differ in seeds and data only, these differ in {', '.join(differ)}"
            )
