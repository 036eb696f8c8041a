"""Is a revision on a hub a checkpoint of this training? Its grok_interp.json tells."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from grok_interp.configs import TrainConfig
from grok_interp.runs.continuation import CHANGEABLE
from grok_interp.training.optimizer import schedule_factor

RECORD = "grok_interp.json"
NAMES_ONLY = ("data.source",)  # the hash of the data is compared


def other_training(own: Mapping[str, Any], there: bytes | None) -> str:
    """Why a revision is not of a training, or of it after more updates; empty if it is.

    Args:
        own: the record of the training, see `published_record`.
        there: the revision's grok_interp.json; None where it has none.
    """
    if there is None:
        return f"it has no {RECORD}"
    try:
        record = json.loads(there)
        theirs, data = TrainConfig.from_dict(record["train"]), record["data"]["hash"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"its {RECORD} is not that of a run"
    if differences := ", ".join(_differences(TrainConfig.from_dict(own["train"]), theirs)):
        return f"it was trained otherwise ({differences})"
    return "" if data == own["data"]["hash"] else "it was trained on other data"


def _differences(own: TrainConfig, theirs: TrainConfig) -> Iterator[str]:
    for name, (here, there) in own.differences(theirs).items():
        if name not in (*CHANGEABLE, *NAMES_ONLY) or (name == "n_steps" and not _same_updates(own, theirs)):
            yield f"{name}: {there!r} there, {here!r} here"


def _same_updates(one: TrainConfig, other: TrainConfig) -> bool:
    """Whether the updates that both make are equal, however many each makes."""
    both = range(min(one.n_steps, other.n_steps))
    same_rates = all(schedule_factor(one, step) == schedule_factor(other, step) for step in both)
    return same_rates and not one.model.attn_dropout  # dropout masks depend on n_steps
