"""`load=`, the function of a caller that reads a checkpoint: what it raises, and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

from torch import nn

from grok_interp.arguments.functions import raised
from grok_interp.arguments.objects import shown
from grok_interp.runs.refused import RefusedCheckpointError
from grok_interp.runs.state_dicts import require_weights


def with_named_errors(load: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """The same function, whose errors name the file and say whose code raised them.

    Args:
        load: path -> a model or a state dict.
    """

    @wraps(load)
    def read(path: Path) -> Any:
        try:
            return load(path)
        except Exception as error:
            raise RefusedCheckpointError(
                path,
                f"cannot be read: load, the function that was given, raised {raised(error)}",
                "correct that function, or narrow the pattern to files that it reads",
            ) from error

    return read


def require_loaded(found: Any, path: Path) -> None:
    """Refuses what is neither a model nor a state dict.

    Args:
        found: what was read.
        path: of its file.

    Raises:
        RefusedCheckpointError: for another type, for a state dict inside a dict, and as `require_weights` does for the
            parameters of a model.
    """
    if not isinstance(found, Mapping | nn.Module):
        raise RefusedCheckpointError(
            path,
            f"cannot be read: load must return a model or a state dict, got {shown(found)}",
            "return a hooked model, a Hugging Face model, or a dict from names to tensors",
        )
    if not isinstance(found, Mapping):
        require_weights(dict(found.named_parameters()), path)
        return
    if inner := [name for name in found if isinstance(found[name], Mapping)]:
        raise RefusedCheckpointError(
            path,
            "cannot be read: load must return a state dict, got one in a dict",
            f"return what is under {inner[0]!r}",
        )
    require_weights(found, path)
