"""Tokens that another program wrote, used where they are: nanoGPT's `.bin` (uint16), or `.npy` (integers of any kind).

A stream has no documents. The validation tokens are those of `val.bin` beside `train.bin` (`val.npy` beside
`train.npy`), otherwise the last part of the stream. Validation windows that share a span of 50 tokens with the training
tokens are dropped, as for text; near-duplicates are not looked for, and whitespace is compared as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Integer

from grok_interp.checksums import file_sha256
from grok_interp.configs import TextConfig
from grok_interp.data.built_files import intact_manifest, remove_damaged, write_manifest
from grok_interp.data.corpus import Corpus
from grok_interp.data.duplicates import SPAN, shared_spans
from grok_interp.data.foreign_vocabulary import NumberedVocabulary
from grok_interp.data.given_tokenizer import FILE, tokenizer_json
from grok_interp.data.token_files import window_counts
from grok_interp.data.vocabulary import BPEVocabulary, Vocabulary
from grok_interp.data.windows import ValidationWindows
from grok_interp.files import naming, owner, remove_abandoned

FORMAT = 1  # part of every hash
BIN_DTYPE = np.uint16
CHUNK = 2**24  # tokens looked at together


@dataclass(frozen=True)
class StreamCorpus(Corpus):
    """Tokens where another program wrote them; the folder has only the leaks and the tokenizer.

    Args:
        tokens: training and validation tokens, mapped and not read.
    """

    tokens: tuple[Integer[np.ndarray, " training"], Integer[np.ndarray, " validation"]]

    @property
    def vocabulary(self) -> Vocabulary | NumberedVocabulary:
        file = self.directory / FILE
        return BPEVocabulary.load(file) if file.exists() else NumberedVocabulary(self.manifest["d_vocab"])

    @property
    def training(self) -> Integer[np.ndarray, " token"]:
        return self.tokens[0]

    @property
    def validation(self) -> Integer[np.ndarray, " token"]:
        return self.tokens[1]

    def held_out(self, windows: ValidationWindows) -> str:
        return (
            f"{windows.n_dropped:,} of {windows.n_examined:,} validation windows were dropped because they share a "
            f"{SPAN}-token span with the training tokens; a stream of tokens has no documents, so that near-duplicates "
            "were not looked for."
        )


def open_stream(config: TextConfig, d_vocab: int, cache: Path) -> StreamCorpus:
    """The corpus of a stream; what is computed from it is kept in the folder `cache`.

    Raises ValueError for files that are missing, are no stream, or hold tokens outside the vocabulary.
    """
    files = stream_files(Path(config.source).expanduser())
    streams = [read_stream(file) for file in files]
    tokenizer = tokenizer_json(config.tokenizer) if config.tokenizer else b""
    entries = [[file.name, len(stream), file_sha256(file)] for file, stream in zip(files, streams, strict=True)]
    parts = _split(streams, config.validation_fraction)
    facts = [FORMAT, d_vocab, len(parts[1]), hashlib.sha256(tokenizer).hexdigest(), entries]
    name = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    directory = cache / name[:16]
    if intact_manifest(directory, name) is None:
        for file, stream in zip(files, streams, strict=True):
            _require_tokens(stream, d_vocab, file)
        remove_damaged(directory, name)
        manifest = {"hash": name, "n_documents": len(files), "documents": entries, "d_vocab": d_vocab}
        _build(directory, parts, tokenizer, manifest)
    manifest = intact_manifest(directory, name)
    assert manifest, "it has just been built"
    return StreamCorpus(directory, {**manifest, "source": config.source}, parts)


def stream_files(file: Path) -> list[Path]:
    """The stream, and where `train` has its `val` beside it that too."""
    if not file.is_file():
        raise ValueError(f"no tokens at {str(file)!r}: give a .bin of uint16 or a .npy of integers")
    beside = file.with_name(f"val{file.suffix}")
    return [file, beside] if file.stem == "train" and beside.is_file() else [file]


def read_stream(file: Path) -> Integer[np.ndarray, " token"]:
    """The tokens of a file, mapped and not read.

    Args:
        file: `.bin`, tokens of 16 bits without a header, as nanoGPT writes them; or `.npy`, one axis of integers.

    Raises:
        ValueError: for an empty file, an odd number of bytes, and an array of another kind.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.array([3, 1, 2], dtype=np.uint16).tofile(f"{folder}/train.bin")
        ...     read_stream(Path(folder) / "train.bin").tolist()
        [3, 1, 2]
    """
    n_bytes = file.stat().st_size
    if n_bytes == 0:
        raise ValueError(f"{file} is empty: it needs tokens")
    if file.suffix == ".bin":
        if n_bytes % BIN_DTYPE().itemsize:
            raise ValueError(f"{file} has {n_bytes:,} bytes, tokens of 16 bits have an even number: copy it again")
        return np.memmap(file, dtype=BIN_DTYPE, mode="r")
    try:
        found = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{file} is no .npy file of numbers ({error}): write it with numpy.save") from error
    if found.ndim != 1 or not np.issubdtype(found.dtype, np.integer):
        raise ValueError(f"{file} must be one axis of integers, got {found.dtype} of shape {found.shape}")
    return found


def _split(streams: list[np.ndarray], fraction: float) -> tuple[np.ndarray, np.ndarray]:
    if len(streams) == 2:
        return streams[0], streams[1]
    (stream,) = streams
    cut = len(stream) - max(1, round(fraction * len(stream)))
    return stream[:cut], stream[cut:]


def _require_tokens(stream: np.ndarray, d_vocab: int, file: Path) -> None:
    for start in range(0, len(stream), CHUNK):
        part = stream[start : start + CHUNK]
        (outside,) = np.nonzero((part < 0) | (part >= d_vocab))
        if len(outside):
            at = int(outside[0])
            raise ValueError(
                f"{file} has token {int(part[at])} at position {start + at:,}, the model's vocabulary has {d_vocab:,}: "
                "raise d_vocab, or check that these are tokens"
            )


def _build(directory: Path, parts: tuple[np.ndarray, np.ndarray], tokenizer: bytes, manifest: dict[str, Any]) -> None:
    """Beside `directory` and moved there in one act."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(directory.parent)
    scratch = Path(tempfile.mkdtemp(dir=directory.parent, prefix=".building-", suffix=owner()))
    try:
        with naming(directory):
            if tokenizer:
                (scratch / FILE).write_bytes(tokenizer)
                BPEVocabulary.load(scratch / FILE).require_size(manifest["d_vocab"])
            leaks = np.where(shared_spans(*parts), np.uint16(SPAN), np.uint16(0))
            leaks.tofile(scratch / "leaks.bin")
            write_manifest(scratch, {**manifest, **_counts(parts, leaks)})
        os.replace(scratch, directory)
    except OSError:
        if not directory.exists():  # if it does, another process was faster
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _counts(parts: tuple[np.ndarray, np.ndarray], leaks: np.ndarray) -> dict[str, Any]:
    return {
        "n_training_tokens": len(parts[0]),
        "n_validation_tokens": len(parts[1]),
        "n_leaks": int(np.count_nonzero(leaks)),
        "validation_windows": window_counts(leaks),
    }
