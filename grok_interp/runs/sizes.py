"""How large a file will be, without making it."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from grok_interp.runs.checkpoint_files import HEADER

SAFETENSORS_NAMES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}
SHA256_BYTES, SHA256_LETTERS = 32, 64
ALIGNMENT = 8  # of the first tensor in a safetensors file


def weights_file_bytes(weights: Mapping[str, Tensor], metadata: Mapping[str, str]) -> int:
    """Of what `save_weights` writes: eight bytes, a JSON header (shapes and offsets), the tensors one after another."""
    noted = {HEADER: json.dumps({**metadata, "sha256": "0" * SHA256_LETTERS}, sort_keys=True)}
    header: dict[str, Any] = {"__metadata__": noted}
    end = 0
    for name in sorted(weights):
        begin, end = end, end + weights[name].nbytes
        dtype, shape = SAFETENSORS_NAMES[weights[name].dtype], list(weights[name].shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    length = len(json.dumps(header, separators=(",", ":")))
    return 8 + math.ceil(length / ALIGNMENT) * ALIGNMENT + end


def state_file_bytes(state: Mapping[str, Any]) -> int:
    """Of what `save_state` writes."""
    counted = _Counted()
    torch.save(state, counted)
    return SHA256_BYTES + counted.n_bytes


class _Counted(io.BytesIO):
    """Counts what is written, and keeps nothing."""

    n_bytes = 0

    def write(self, content: Any, /) -> int:
        self.n_bytes += len(content)
        return len(content)
