"""Names of the configs that models are computed with: results of a series are stored under them, beside the weights.

A hash counts what changes the computation: neither names and versions nor what only training uses. Of a plain torch
model it counts the modules as they print themselves (`LayerNorm((12,), eps=1e-05, ...)`), not the code of `forward`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from grok_interp.models.torch_adapter import TorchAdapter
from grok_interp.runs.config_fields import computed_with

N_DIGITS = 16
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # of an object, other in each process


def hash_of_fields(fields: Mapping[str, Any]) -> str:
    """16 hexadecimal digits, equal for equal names and values.

    Args:
        fields: name -> value.

    Example:
        >>> hash_of_fields({"eps": 1e-5, "n_layers": 2}) == hash_of_fields({"n_layers": 2, "eps": 1e-5})
        True
    """
    text = json.dumps(fields, sort_keys=True, default=lambda value: ADDRESS.sub("", repr(value)))
    return hashlib.sha256(text.encode()).hexdigest()[:N_DIGITS]


def config_hash(model: Any) -> str:
    """Of the config of a model in memory, with the type of its numbers.

    Args:
        model: a hooked model, or a causal language model of Hugging Face.
    """
    configs: list[Any] = [getattr(model, "cfg", None), getattr(getattr(model, "original_model", model), "config", None)]
    fields: dict[str, Any] = {"dtype": next((each.dtype for each in model.parameters()), None)}
    for number, config in enumerate(configs):
        values = config.to_dict() if hasattr(config, "to_dict") else vars(config) if config is not None else {}
        fields |= {f"{number}.{name}": value for name, value in computed_with(values)}
    if isinstance(model, TorchAdapter):
        fields |= {"modules": repr(model), "hooks": model._hooks, "weights": model._weights}
    return hash_of_fields(fields)
