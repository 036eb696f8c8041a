"""Data sets of the Hugging Face hub, one document for each row.

With `n_documents` the first rows are streamed, and kept in the cache as JSON lines: the rest is never downloaded, and a
run that resumes reads the rows that it was begun with.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from grok_interp.data.rows import row_texts
from grok_interp.files import write_atomically
from grok_interp.places import cache_directory


def hub_documents(name: str, field: str, n_documents: int | None) -> Iterator[tuple[str, bytes]]:
    """(name, UTF-8 text) of each row.

    Args:
        name: of the data set, or of a local folder in the hub's layout; with `:SUBSET` one of its configurations.
        field: the column of the text.
        n_documents: the first so many rows; all of them if None.

    Raises:
        ValueError: for a data set that cannot be read, one without that column, and a row that is not text.
    """
    if n_documents is None:
        rows = enumerate(
            _text(row, field, name, index) for index, row in enumerate(_rows(name, field, streaming=False))
        )
        yield from ((f"{name}/{index}", text.encode()) for index, text in rows if text)
        return
    for number, text in row_texts(_kept(name, field, n_documents), "text"):
        yield f"{name}/{number - 1}", text.encode()


def _kept(name: str, field: str, n_documents: int) -> Path:
    """The file of the first rows, streamed if it is not there."""
    key = hashlib.sha256(json.dumps([name, field, n_documents]).encode()).hexdigest()[:16]
    file = cache_directory() / "streamed" / f"{key}.jsonl"

    def write(scratch: Path) -> None:
        with scratch.open("w", encoding="utf-8") as lines:
            for index, row in enumerate(islice(_rows(name, field, streaming=True), n_documents)):
                lines.write(json.dumps({"text": _text(row, field, name, index)}) + "\n")

    if not file.exists():
        write_atomically(file, write)
    return file


def _text(row: dict[str, Any], field: str, name: str, index: int) -> str:
    text = row[field] or ""
    if not isinstance(text, str):
        raise ValueError(
            f"row {index} of {name!r}: {field!r} must be text, got {type(text).__name__}: give --data.field"
        )
    if "\0" in text:
        raise ValueError(f"row {index} of {name!r} is not text: it has a NUL character")
    return text


def _rows(name: str, field: str, *, streaming: bool) -> Iterator[dict[str, Any]]:
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise ValueError("hub data sets need the datasets library: pip install 'grok-interp[hub]'") from error
    place, _, subset = name.partition(":")
    try:
        dataset: Any = load_dataset(place, subset or None, split="train", streaming=streaming)
    except (OSError, ValueError) as error:  # no such data set or configuration, or no way to it
        raise ValueError(
            f"data set {name!r} cannot be read ({error}): check its name and the network, or give local text files"
        ) from error
    if dataset.column_names is not None and field not in dataset.column_names:
        raise ValueError(f"data set {name!r} has no column {field!r}, it has {dataset.column_names}")
    return iter(dataset)
