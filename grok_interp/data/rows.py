"""Rows of a table, one document each: JSON lines and Parquet, with the name of the field that holds the text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROW_SUFFIXES = (".jsonl", ".parquet")


def is_table(file: Path) -> bool:
    return file.suffix in ROW_SUFFIXES


def row_texts(file: Path, field: str) -> Iterator[tuple[int, str]]:
    """(number, text) of each row that has text. A row is counted from 1, so that of JSON lines it is the line.

    Args:
        file: `.jsonl`, a JSON object a line; or `.parquet`, which needs the extra `hub`.
        field: of the text.

    Raises:
        ValueError: for a row that is no JSON object, has no such field, or has no text in it, with file and line.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        ...     n_written = file.write('{"text": "one"}\\n{"text": ""}\\n{"text": "two"}\\n')
        ...     file.flush()
        ...     list(row_texts(Path(file.name), "text"))
        [(1, 'one'), (3, 'two')]
    """
    values = _parquet_values(file, field) if file.suffix == ".parquet" else _json_values(file, field)
    for number, value in values:
        where = f"{file}, {'row' if file.suffix == '.parquet' else 'line'} {number}"
        if value is not None and not isinstance(value, str):
            raise ValueError(f"{where}: field {field!r} must be text, got {type(value).__name__}: give --data.field")
        if value and "\0" in value:
            raise ValueError(f"{where}: the text has a NUL character: take the row out")
        if value:
            yield number, value


def _json_values(file: Path, field: str) -> Iterator[tuple[int, Any]]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{file}, line {number} is not JSON ({error}): repair it or take it out") from error
            if not isinstance(row, dict) or field not in row:
                there = sorted(row) if isinstance(row, dict) else f"a {type(row).__name__}"
                raise ValueError(f"{file}, line {number} has no field {field!r}, it has {there}: give --data.field")
            yield number, row[field]


def _parquet_values(file: Path, field: str) -> Iterator[tuple[int, Any]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ValueError("Parquet needs the pyarrow library: pip install 'grok-interp[hub]'") from error
    try:
        with parquet.ParquetFile(file) as table:
            if field not in (names := table.schema_arrow.names):
                raise ValueError(f"{file} has no column {field!r}, it has {names}: give --data.field")
            number = 0
            for batch in table.iter_batches(columns=[field]):
                for value in batch.column(0).to_pylist():
                    number += 1
                    yield number, value
    except pyarrow.ArrowException as error:
        raise ValueError(f"{file} is no Parquet file, or damaged ({error}): copy it again") from error
