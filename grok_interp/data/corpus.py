"""Text -> tokens on disk, once: two memory-mapped files (training, validation) and the manifest they were made from.

The manifest lists every document with its SHA-256; its own hash names the corpus, goes into each run and tells when a
source has changed since. Whole documents are set aside for validation; where none is small enough, each gives its tail.
A document ends with one NUL token.

Held-out text is held out: see `split` for duplicates of documents and `leaks` for shared spans. The manifest names the
documents that were left out or moved to the other side, and has the number of validation windows of some context
lengths that are dropped. For sources above 16 MB the near-duplicates are found by a sample of 16 million shingles, so
the memory needed stays near 1 GB; exact duplicates and shared spans are found exactly for any source.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, Integer, UInt16

from grok_interp.configs import TextConfig
from grok_interp.data.built_files import intact_manifest, remove_damaged, write_manifest
from grok_interp.data.collapsed import collapsed_tokens
from grok_interp.data.duplicates import SPAN, near_duplicates, shingles
from grok_interp.data.foreign_vocabulary import NumberedVocabulary
from grok_interp.data.given_tokenizer import tokenizer_json
from grok_interp.data.sources import documents
from grok_interp.data.split import Entry, Split, exact_duplicates, split_documents
from grok_interp.data.token_files import TokenWriter
from grok_interp.data.vocabulary import BPEVocabulary, ByteVocabulary, Vocabulary
from grok_interp.data.windows import ValidationWindows
from grok_interp.files import naming, owner, remove_abandoned
from grok_interp.places import cache_directory

FORMAT = 3  # part of every hash: raise it when the same text would give other tokens
MOST_SHINGLES = 2**24  # of all documents, kept in memory to compare them

Reader = Callable[[], Iterator[tuple[str, bytes]]]  # (name, text) of each document, from the first on


@dataclass(frozen=True)
class Corpus:
    """Tokens on disk, mapped and not read: a corpus may be larger than memory."""

    directory: Path
    manifest: dict[str, Any]

    @property
    def hash(self) -> str:
        return self.manifest["hash"]

    @property
    def vocabulary(self) -> Vocabulary | NumberedVocabulary:
        file = self.directory / "tokenizer.json"
        return BPEVocabulary.load(file) if file.exists() else ByteVocabulary()

    @property
    def training(self) -> Integer[np.ndarray, " token"]:
        return np.memmap(self.directory / "training.bin", dtype=self.manifest["dtype"], mode="r")

    @property
    def validation(self) -> Integer[np.ndarray, " token"]:
        return np.memmap(self.directory / "validation.bin", dtype=self.manifest["dtype"], mode="r")

    @property
    def leaks(self) -> UInt16[np.memmap, " token"]:
        """For each validation token, the length of the span of training text that starts there; 0 for none."""
        return np.memmap(self.directory / "leaks.bin", dtype=np.uint16, mode="r")

    def held_out(self, windows: ValidationWindows) -> str:
        """One sentence on what was left out, moved and dropped so that validation text is held out.

        Args:
            windows: of this corpus.
        """
        return (
            f"{_files(len(self.manifest['left_out']), 'duplicate')} left out, "
            f"{_files(len(self.manifest['moved']), 'near-duplicate')} moved to the side of the split that has the "
            f"others, and {windows.n_dropped:,} of {windows.n_examined:,} validation windows were dropped because they "
            f"share a {SPAN}-token span with the training text."
        )

    def __str__(self) -> str:
        m = self.manifest
        return (
            f"{m['source']}: {m['n_documents']} documents, {m['n_training_tokens']:,} training and "
            f"{m['n_validation_tokens']:,} validation tokens, {self.hash[:12]}"
        )


def open_corpus(config: TextConfig, d_vocab: int, *, cache: Path | None = None) -> Corpus:
    """The corpus of a config, built if this exact text was not built before, or its files were altered since.

    Args:
        config: of the text.
        d_vocab: the number of tokens wanted.
        cache: folder of built corpora; by default $GROK_INTERP_CACHE or the user's cache folder.

    Raises:
        ValueError: for a missing or empty source.
    """
    folder = (cache or cache_directory()) / "corpora"
    if config.is_stream:
        from grok_interp.data.token_streams import open_stream

        return open_stream(config, d_vocab, folder)
    manifest = _manifest(config, d_vocab)
    directory = folder / manifest["hash"][:16]
    built = intact_manifest(directory, manifest["hash"])
    if built is None:
        remove_damaged(directory, manifest["hash"])
        _build(directory, config, d_vocab, manifest)
        built = intact_manifest(directory, manifest["hash"])
        assert built, "it has just been built"
    return Corpus(directory, {**built, "source": config.source})  # the same text may have been built from elsewhere


def _manifest(config: TextConfig, d_vocab: int) -> dict[str, Any]:
    entries = [[name, len(text), hashlib.sha256(text).hexdigest()] for name, text in documents_of(config)]
    if not entries:
        raise ValueError(f"the corpus {config.source!r} is empty: it needs at least one document with text")
    identity = [FORMAT, config.vocabulary, d_vocab, config.validation_fraction, entries]
    if config.tokenizer:
        identity.append(hashlib.sha256(tokenizer_json(config.tokenizer)).hexdigest())
    return {
        "hash": hashlib.sha256(json.dumps(identity).encode()).hexdigest(),
        "source": config.source,
        "n_documents": len(entries),
        "documents": entries,
    }


def _build(directory: Path, config: TextConfig, d_vocab: int, manifest: dict[str, Any]) -> None:
    """Everything is written beside `directory` and moved there in one act, so that no half corpus is ever found."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(directory.parent)
    scratch = Path(tempfile.mkdtemp(dir=directory.parent, prefix=".building-", suffix=owner()))
    left_out = exact_duplicates(manifest["documents"])
    entries = [entry for entry in manifest["documents"] if entry[0] not in left_out]
    read = partial(_documents_except, left_out, config)
    try:
        with naming(directory):
            vocabulary = _vocabulary(config, d_vocab, read, scratch)
            dtype = "uint8" if d_vocab <= 256 else "uint16" if d_vocab <= 65_536 else "uint32"
            split = split_documents(entries, _clusters(entries, read, vocabulary), config.validation_fraction)
            counts = _write_tokens(scratch, read, vocabulary, np.dtype(dtype), split)
        changes = {"left_out": sorted(left_out), "moved": sorted(split.moved)}
        write_manifest(scratch, {**manifest, **counts, **changes, "dtype": dtype})
        os.replace(scratch, directory)
    except OSError:
        if not directory.exists():  # if it does, another process was faster with the same text
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def documents_of(config: TextConfig) -> Iterator[tuple[str, bytes]]:
    """(name, text) of each document that a configuration names.

    Args:
        config: its `source` is read.
    """
    return documents(config.source, field=config.field, n_documents=config.n_documents)


def _documents_except(left_out: frozenset[str], config: TextConfig) -> Iterator[tuple[str, bytes]]:
    return ((name, text) for name, text in documents_of(config) if name not in left_out)


def _vocabulary(config: TextConfig, d_vocab: int, read: Reader, scratch: Path) -> Vocabulary:
    if config.tokenizer:
        file = scratch / "tokenizer.json"
        file.write_bytes(tokenizer_json(config.tokenizer))
        vocabulary = BPEVocabulary.load(file)
        vocabulary.require_size(d_vocab)
        return vocabulary
    if config.vocabulary == "bytes":
        return ByteVocabulary()
    vocabulary = BPEVocabulary.train((text for _, text in read()), d_vocab)
    vocabulary.save(scratch / "tokenizer.json")
    return vocabulary


def _clusters(entries: list[Entry], read: Reader, vocabulary: Vocabulary) -> Int64[np.ndarray, " document"]:
    """Near-duplicates have the same number. Large sources keep a sample of their shingles in memory."""
    every = math.ceil(sum(n_bytes for _, n_bytes, _ in entries) / MOST_SHINGLES)
    return near_duplicates([shingles(collapsed_tokens(text, vocabulary), every=every) for _, text in read()])


def _write_tokens(scratch: Path, read: Reader, vocabulary: Vocabulary, dtype: np.dtype, split: Split) -> dict[str, Any]:
    with TokenWriter(scratch, vocabulary, split, dtype) as writer:
        for name, text in read():
            writer.add(name, text)
        return writer.finish()


def _files(number: int, kind: str) -> str:
    return f"1 {kind} file was" if number == 1 else f"{number:,} {kind} files were"
