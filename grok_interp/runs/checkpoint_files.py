"""Weights and training states on disk, which say so when a byte of them has changed."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from grok_interp.files import DamagedFileError, write_atomically

HEADER = "grok_interp"
HEADER_LENGTH_BYTES = 8  # a safetensors file begins with the length of its header
DIGEST_BYTES = 32  # of a SHA-256
REMEDY = "delete it to go on without this checkpoint, or train again into another directory"


def save_weights(path: Path, weights: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Weights as safetensors, with a SHA-256 over names, shapes, values and metadata in the header.

    The header has one entry, because the library writes several in no fixed order: equal weights give equal files.
    """
    tensors = {name: tensor.detach().contiguous().cpu() for name, tensor in weights.items()}
    header = {HEADER: json.dumps({**metadata, "sha256": weights_digest(tensors, metadata)}, sort_keys=True)}

    def write(scratch: Path) -> None:
        scratch.touch()
        mode = scratch.stat().st_mode
        try:
            save_file(tensors, scratch, header)
        except SafetensorError as error:
            raise _system_error(error) or error from error
        scratch.chmod(mode)  # the library's file would be for its owner alone

    write_atomically(path, write)


def load_weights(path: Path, *, remedy: str = REMEDY) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(weights, metadata). Raises DamagedFileError, which names the remedy, when the file is not what was written."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {}).get(HEADER, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError, ValueError, UnicodeDecodeError) as error:
        raise DamagedFileError(f"{path} is cut short or damaged ({error}); {remedy}") from error
    written = metadata.pop("sha256", None)
    if written != weights_digest(tensors, metadata):
        raise DamagedFileError(f"{path} is damaged: its SHA-256 is not the one it was written with; {remedy}")
    return tensors, metadata


def weights_checksum(path: Path) -> str:
    """The SHA-256 that `save_weights` wrote in the header, equal for equal weights; `load_weights` verifies it."""
    with path.open("rb") as file:
        header = file.read(int.from_bytes(file.read(HEADER_LENGTH_BYTES), "little"))
    try:
        return json.loads(json.loads(header)["__metadata__"][HEADER])["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedFileError(f"{path} is cut short or damaged ({error}); {REMEDY}") from error


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """A training state (tensors, numbers, containers) behind the SHA-256 of its bytes; no copy of it is made."""

    def write(scratch: Path) -> None:
        with scratch.open("wb") as file:
            file.write(bytes(DIGEST_BYTES))  # its place, until it is known
            hashed = _Hashed(file)
            try:
                torch.save(state, hashed)
            except RuntimeError as error:  # torch puts its own in place of what the file raised
                raise hashed.fault or error from error
            file.seek(0)
            file.write(hashed.sha256.digest())

    write_atomically(path, write)


def _system_error(error: SafetensorError) -> OSError | None:
    """What the system refused, as Python tells it; the library has it in words."""
    code = re.search(r"\b(?:os error|code:) (\d+)", str(error))
    return OSError(int(code[1]), os.strerror(int(code[1]))) if code else None


class _Hashed(io.BytesIO):
    """Passes what is written on to a file, and keeps only its hash."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self.file, self.sha256 = file, hashlib.sha256()
        self.fault: OSError | None = None

    def write(self, content: Any, /) -> int:
        self.sha256.update(content)
        try:
            return self.file.write(content)
        except OSError as error:
            self.fault = error
            raise


def load_state(path: Path, device: torch.device) -> dict[str, Any]:
    """Raises DamagedFileError when the file is not what was written."""
    require_whole_state(path)
    with path.open("rb") as file:
        file.seek(DIGEST_BYTES)
        return torch.load(io.BytesIO(file.read()), map_location=device, weights_only=True)


def require_whole_state(path: Path) -> None:
    """Raises DamagedFileError when the file of a training state is not what was written."""
    with path.open("rb") as file:
        digest = file.read(DIGEST_BYTES)
        found = hashlib.file_digest(file, "sha256").digest()
    if found != digest:
        raise DamagedFileError(f"{path} is cut short or damaged: its SHA-256 is not the one it was written with")


def weights_digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """SHA-256 over names, shapes, values (on the CPU, contiguous) and metadata."""
    digest = hashlib.sha256(json.dumps(sorted(metadata.items())).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
