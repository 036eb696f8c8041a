"""The step that a checkpoint says of itself: training loops store it beside the weights."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import safe_open

from grok_interp.runs.foreign_series import FileSeries
from grok_interp.runs.huggingface_folders import HuggingFaceFolders
from grok_interp.runs.state_dicts import UNREADABLE, read_state_dict

DECIMAL = re.compile(r"\d{1,15}(\.0+)?")  # floats of fewer digits are exact
TRAINER_STATE = "trainer_state.json"
COUNTERS = ("step", "global_step", "iter_num", "iteration", "iter")  # beside a state dict, or in safetensors' metadata


def stored_step(series: Any, step: int) -> int | None:
    """What a checkpoint of a series says of itself; None where it says nothing.

    Args:
        series: any. Trainer's folders have trainer_state.json; files have an entry of `COUNTERS`.
        step: of a checkpoint, by its name.
    """
    if isinstance(series, HuggingFaceFolders):
        file = series.beside_weights(TRAINER_STATE, step)
        return _first_counter(_json(file)) if file else None
    if isinstance(series, FileSeries) and series.read is read_state_dict:
        return _first_counter(entries_beside(series.path(step)))
    return None


def _first_counter(entries: Mapping[str, Any]) -> int | None:
    counts = (_count(entries.get(name)) for name in COUNTERS)
    return next((count for count in counts if count is not None), None)


def _count(value: Any) -> int | None:
    if isinstance(value, str):
        value = float(value) if DECIMAL.fullmatch(value) else None
    if isinstance(value, torch.Tensor):
        value = value.item() if value.numel() == 1 and value.layout is torch.strided else None
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and value >= 0 else None


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def entries_beside(file: Path) -> Mapping[str, Any]:
    """What a file has beside its tensors, and perhaps a state dict.

    Nothing of a file that cannot be read in part, or at all: who loads it refuses it.

    Args:
        file: safetensors, or of `torch.save`.
    """
    try:
        if file.suffix == ".safetensors":
            with safe_open(file, "pt") as opened:
                return opened.metadata() or {}
        found = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except (UnpicklingError, *UNREADABLE):
        return {}
    return found if isinstance(found, dict) else {}
