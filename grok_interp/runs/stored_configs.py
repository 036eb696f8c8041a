"""The config that a checkpoint comes with: Hugging Face's config.json, or nanoGPT's `model_args` beside the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grok_interp.runs.config_fields import computed_with
from grok_interp.runs.foreign_series import FileSeries
from grok_interp.runs.huggingface_folders import HuggingFaceFolders
from grok_interp.runs.state_dicts import read_state_dict
from grok_interp.runs.stored_steps import entries_beside

MODEL_ARGS = "model_args"
PLAIN = (bool, int, float, str, type(None))


def stored_config(series: Any, step: int) -> dict[str, Any]:
    """Name -> value of the fields that change the computation; empty where there is no config.

    Args:
        series: any. Folders of Hugging Face have a config.json, files may have `model_args`.
        step: of a checkpoint.

    Raises:
        RefusedCheckpointError: for a config.json that is none.
    """
    if isinstance(series, HuggingFaceFolders):
        return series.config_fields(step)
    if not isinstance(series, FileSeries) or series.read is not read_state_dict:
        return {}
    stored = entries_beside(series.path(step)).get(MODEL_ARGS)
    named = {name: value for name, value in stored.items() if type(name) is str} if isinstance(stored, Mapping) else {}
    return {f"{MODEL_ARGS}.{name}": value for name, value in computed_with(named) if type(value) in PLAIN}
