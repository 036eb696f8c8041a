"""What is evaluated at each checkpoint of a run, on which inputs: together they name the file of its results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

    from grok_interp.models.activations import HookedModel
    from grok_interp.results.result import Result

SUFFIX = ".nc.gz"
KEY_DIGITS = 12
Kind = TypeVar("Kind", bound="Result", covariant=True)
Found = TypeVar("Found", bound="Result")


@dataclass(frozen=True)
class Analyzer(Generic[Kind]):
    """What is evaluated at each checkpoint, on which inputs.

    Args:
        name: of the quantity; the file's name begins with it.
        kind: the class of the result.
        inputs: the evaluation inputs and options, described exactly in plain values: counts, seeds, `tokens_hash`.
        evaluate: (step, model) -> the result of that checkpoint alone.
        version: raise it when the same inputs give another result.
    """

    name: str
    kind: type[Kind]
    inputs: Mapping[str, Any]
    evaluate: Callable[[int, HookedModel], Kind]
    version: int = 1

    @property
    def description(self) -> dict[str, Any]:
        return {"name": self.name, "version": self.version, "inputs": dict(self.inputs)}

    @property
    def file_name(self) -> str:
        text = json.dumps(self.description, sort_keys=True)
        return f"{self.name}-{hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]}{SUFFIX}"


def tokens_hash(*tokens: Tensor) -> str:
    """Names evaluation inputs by their shapes and values: 16 hexadecimal digits.

    Args:
        tokens: tensors of any shape, integers or floats.

    Example:
        >>> import torch
        >>> tokens_hash(torch.arange(6)) == tokens_hash(torch.arange(6).reshape(2, 3))
        False
    """
    digest = hashlib.sha256()
    for each in tokens:
        digest.update(f"{each.dtype} {tuple(each.shape)}".encode())
        digest.update(each.numpy(force=True).tobytes())
    return digest.hexdigest()[:16]
