"""Text -> tokens on disk, once: two memory-mapped files (training, validation) and the manifest they were made from.

The manifest lists every document with its SHA-256; its own hash names the corpus, goes into each run and tells when a
source has changed since. Whole documents are set aside for validation; where none is small enough, each gives its tail.
A document ends with one NUL token.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Integer

from grok_interp.configs import TextConfig
from grok_interp.data.sources import documents
from grok_interp.data.vocabulary import END_OF_DOCUMENT, BPEVocabulary, ByteVocabulary, Vocabulary

FORMAT = 2  # part of every hash: raise it when the same text would give other tokens


@dataclass(frozen=True)
class Corpus:
    """Tokens on disk, mapped and not read: a corpus may be larger than memory."""

    directory: Path
    manifest: dict[str, Any]

    @property
    def hash(self) -> str:
        return self.manifest["hash"]

    @property
    def vocabulary(self) -> Vocabulary:
        file = self.directory / "tokenizer.json"
        return BPEVocabulary.load(file) if file.exists() else ByteVocabulary()

    @property
    def training(self) -> Integer[np.memmap, " token"]:
        return np.memmap(self.directory / "training.bin", dtype=self.manifest["dtype"], mode="r")

    @property
    def validation(self) -> Integer[np.memmap, " token"]:
        return np.memmap(self.directory / "validation.bin", dtype=self.manifest["dtype"], mode="r")

    def __str__(self) -> str:
        m = self.manifest
        return (
            f"{m['source']}: {m['n_documents']} documents, {m['n_training_tokens']:,} training and "
            f"{m['n_validation_tokens']:,} validation tokens, {self.hash[:12]}"
        )


def open_corpus(config: TextConfig, d_vocab: int, *, cache: Path | None = None) -> Corpus:
    """The corpus of a config, built if this exact text was not built before.

    `cache` defaults to $GROK_INTERP_CACHE or the user's cache folder. `d_vocab` is the number of tokens wanted.
    Raises ValueError for a missing or empty source.
    """
    manifest = _manifest(config, d_vocab)
    directory = (cache or cache_directory()) / "corpora" / manifest["hash"][:16]
    if not directory.exists():
        _build(directory, config, d_vocab, manifest)
    built = json.loads((directory / "manifest.json").read_text())
    return Corpus(directory, {**built, "source": config.source})  # the same text may have been built from elsewhere


def cache_directory() -> Path:
    import platformdirs

    return Path(os.environ.get("GROK_INTERP_CACHE") or platformdirs.user_cache_path("grok_interp"))


def _manifest(config: TextConfig, d_vocab: int) -> dict[str, Any]:
    entries = [[name, len(text), hashlib.sha256(text).hexdigest()] for name, text in documents(config.source)]
    if not entries:
        raise ValueError(f"the corpus {config.source!r} is empty: it needs at least one document with text")
    identity = [FORMAT, config.vocabulary, d_vocab, config.validation_fraction, entries]
    return {
        "hash": hashlib.sha256(json.dumps(identity).encode()).hexdigest(),
        "source": config.source,
        "n_documents": len(entries),
        "documents": entries,
    }


def _build(directory: Path, config: TextConfig, d_vocab: int, manifest: dict[str, Any]) -> None:
    """Everything is written beside `directory` and moved there in one act, so that no half corpus is ever found."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=directory.parent, prefix=".building-"))
    try:
        vocabulary = _vocabulary(config, d_vocab, scratch)
        dtype = "uint8" if d_vocab <= 256 else "uint16" if d_vocab <= 65_536 else "uint32"
        counts = _write_tokens(scratch, config, vocabulary, np.dtype(dtype), _set_aside(manifest, config))
        (scratch / "manifest.json").write_text(json.dumps({**manifest, **counts, "dtype": dtype}))
        os.replace(scratch, directory)
    except OSError:
        if not directory.exists():  # if it does, another process was faster with the same text
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _vocabulary(config: TextConfig, d_vocab: int, scratch: Path) -> Vocabulary:
    if config.vocabulary == "bytes":
        return ByteVocabulary()
    vocabulary = BPEVocabulary.train((text for _, text in documents(config.source)), d_vocab)
    vocabulary.save(scratch / "tokenizer.json")
    return vocabulary


def _set_aside(manifest: dict[str, Any], config: TextConfig) -> set[str]:
    """The validation documents: in the order of their names' hashes, those that still fit their share of the bytes.

    None when every document is larger than the share: then each gives its tail.
    """
    entries = manifest["documents"]
    wanted = config.validation_fraction * sum(n_bytes for _, n_bytes, _ in entries)
    chosen: set[str] = set()
    for name, n_bytes, _ in sorted(entries, key=lambda entry: hashlib.sha256(entry[0].encode()).digest()):
        if n_bytes <= wanted:
            chosen.add(name)
            wanted -= n_bytes
    return chosen


def _write_tokens(
    scratch: Path, config: TextConfig, vocabulary: Vocabulary, dtype: np.dtype, validation: set[str]
) -> dict[str, int]:
    counts = {"n_training_tokens": 0, "n_validation_tokens": 0}
    with (scratch / "training.bin").open("wb") as training, (scratch / "validation.bin").open("wb") as held_out:
        for name, tokens in _encoded(config, vocabulary):
            for_training, for_validation = _split(name, tokens, validation, config.validation_fraction)
            training.write(for_training.astype(dtype).tobytes())
            held_out.write(for_validation.astype(dtype).tobytes())
            counts["n_training_tokens"] += len(for_training)
            counts["n_validation_tokens"] += len(for_validation)
    return counts


def _split(name: str, tokens: np.ndarray, validation: set[str], fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """(training, validation) tokens of one document; both parts end as documents do."""
    if validation:
        return (tokens[:0], tokens) if name in validation else (tokens, tokens[:0])
    cut = len(tokens) - max(1, round(fraction * len(tokens)))
    return np.append(tokens[:cut], tokens[-1:]), tokens[cut:]


def _encoded(config: TextConfig, vocabulary: Vocabulary) -> Iterator[tuple[str, np.ndarray]]:
    end = vocabulary.encode(END_OF_DOCUMENT.encode())
    for name, text in documents(config.source):
        yield name, np.concatenate([vocabulary.encode(text), end])
