"""metrics.jsonl: one line per update, with a checksum. A damaged line is left out and blocks nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from grok_interp.checksums import is_unaltered_row, with_crc32
from grok_interp.files import naming, write_text

COLUMNS = ("step", "tokens", "loss", "grad_norm", "learning_rate", "seconds")
TAIL = 4_096  # bytes: the last lines of a log


def metric_rows(file: Path, columns: Sequence[str] = COLUMNS) -> Iterator[dict[str, float]]:
    """The rows of a log that are whole and have these columns, in its order; none where there is no log."""
    return (row for row in _rows(file, columns) if row is not None)


def damaged_lines(file: Path) -> list[int]:
    """The numbers of the damaged lines of a log, from 1."""
    return [number for number, row in enumerate(_rows(file, COLUMNS), start=1) if row is None]


def metric_line(row: Mapping[str, float]) -> str:
    """What is written for one update."""
    return json.dumps(with_crc32(row)) + "\n"


def last_step(file: Path) -> int:
    """The last update in a log, 0 where there is none; reads the end of the file alone.

    Args:
        file: a run's metrics.jsonl, which may be growing.
    """
    try:
        with file.open("rb") as log:
            log.seek(max(0, log.seek(0, 2) - TAIL))
            lines = log.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return 0
    rows = (row for line in reversed(lines) if (row := _row(line, COLUMNS)) is not None)
    return int(next(rows, {"step": 0})["step"])


def append_metrics(file: Path, lines: str) -> None:
    """Write lines at the end of a log; a last line that was cut short is ended first."""
    with naming(file), file.open("a+b") as log:
        if log.tell():
            log.seek(-1, 2)
            lines = lines if log.read(1) == b"\n" else f"\n{lines}"
        log.write(lines.encode())


def cut_metrics(file: Path, step: int, *, columns: Sequence[str] = COLUMNS) -> None:
    """Drop what was logged after a resume point, because those updates are made again, and what is damaged."""
    if file.exists():
        write_text(file, "".join(f"{json.dumps(row)}\n" for row in metric_rows(file, columns) if row["step"] <= step))


def _rows(file: Path, columns: Sequence[str]) -> Iterator[dict[str, float] | None]:
    """Line by line; None for a damaged one."""
    if not file.exists():
        return
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        yield _row(line, columns)


def _row(line: str, columns: Sequence[str]) -> dict[str, float] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if _is_whole(row, columns) else None


def _is_whole(row: Any, columns: Sequence[str]) -> bool:
    return (
        isinstance(row, dict)
        and row.keys() >= set(columns)
        and all(isinstance(value, int | float) and not isinstance(value, bool) for value in row.values())
        and is_unaltered_row(row)
    )
