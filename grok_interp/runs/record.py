"""config.json of a run, which may come from anybody: types and sizes are checked before anything is built from it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from grok_interp.arguments import checked
from grok_interp.arguments.objects import path_of
from grok_interp.checksums import SHA256, is_unaltered, with_sha256
from grok_interp.configs import TrainConfig
from grok_interp.files import write_text
from grok_interp.runs.series_record import SeriesRecord

LARGEST_FILE = 2**24  # bytes
MOST_THREADS = 4_096
EXECUTION = {"precision": str, "n_threads": int, "compiled": bool, "n_parts": int}
MAY_LACK = {"n_parts"}  # runs begun before there were parts
COPIED = "checkpoints"  # the steps of a copy that has fewer than the run
DATA = {"hash": str, "description": str}


@checked
def is_run(directory: Path | str) -> bool:
    """Is there a run in this folder? Exported models have a config.json too; a run's tells what is trained or analyzed.

    Args:
        directory: any path, existing or not.

    Returns:
        Whether `Run.open` would find a run there.

    Example:
        >>> is_run("no/such/folder")
        False
    """
    try:
        return parsed_record(Path(directory)) is not None
    except (OSError, ValueError):
        return False


def parsed_record(directory: Path) -> dict[str, Any] | None:
    """What a run's config.json holds; None where there is none, or one of something else.

    Raises ValueError for a file that is no JSON, and OSError for one that cannot be read.
    """
    file = directory / "config.json"
    if not file.is_file():
        return None
    if (n_bytes := file.stat().st_size) > LARGEST_FILE:
        raise ValueError(f"{file} has {n_bytes:,} bytes, more than the {LARGEST_FILE:,} that a run's may have")
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{_none_at(directory)}. {file} is damaged ({error}): restore it") from error
    return record if isinstance(record, dict) and ("train" in record or "series" in record) else None


def read_record(directory: Path | str) -> tuple[dict[str, Any], TrainConfig | SeriesRecord]:
    """A run's config.json, and the training configuration in it, or the series of checkpoints that it refers to.

    Raises ValueError where there is none and for one that is not valid, with the reasons.
    """
    record = parsed_record(directory := Path(path_of(directory, "directory")))
    if record is None:
        raise ValueError(_none_at(directory))
    if not is_unaltered(record):
        raise ValueError(
            f"{directory / 'config.json'} was altered since it was written, its SHA-256 is another: restore it; if you "
            'edited it on purpose, take its field "sha256" out'
        )
    record.pop(SHA256, None)
    try:
        if reasons := list(_reasons(record)):
            raise ValueError("; ".join(reasons))
        if "train" not in record:
            return record, SeriesRecord.from_dict(record["series"])
        return record, TrainConfig.from_dict(record["train"])
    except ValueError as error:
        raise ValueError(f"{directory / 'config.json'} is not valid ({error}): restore it") from error


def kept_steps(record: Mapping[str, Any], config: TrainConfig) -> tuple[int, ...]:
    """The steps at which a run keeps a checkpoint; of a copy with fewer, those that it has."""
    return tuple(record.get(COPIED, config.kept_steps))


def write_record(directory: Path, record: dict[str, Any]) -> None:
    """Write a run's config.json, with the SHA-256 of what is in it."""
    write_text(directory / "config.json", json.dumps(with_sha256(record), indent=1) + "\n")


def _none_at(directory: Path) -> str:
    there = (directory / "config.json").exists()
    missing = "its config.json is not a run's" if there else "it has no config.json"
    return f"no run at {directory}: {missing}; `grok-interp list` shows the runs"


def _reasons(record: dict[str, Any]) -> Iterator[str]:
    for name, kinds in (("data", DATA), ("execution", EXECUTION)):
        if name in record:
            yield from _reasons_of(name, record[name], kinds)
    copied = record.get(COPIED, [])
    if not isinstance(copied, list) or not all(type(step) is int and step >= 0 for step in copied):
        yield f"{COPIED} must be a list of steps"


def _reasons_of(name: str, part: object, kinds: dict[str, type]) -> Iterator[str]:
    if not isinstance(part, dict) or not kinds.keys() - MAY_LACK <= part.keys() <= kinds.keys():
        yield f"{name} must have the fields {', '.join(kinds)}"
        return
    for field, kind in ((field, kinds[field]) for field in part):
        if type(part[field]) is not kind:
            yield f"{name}.{field} must be of type {kind.__name__}"
        elif field in ("n_threads", "n_parts") and not 1 <= part[field] <= MOST_THREADS:
            yield f"{name}.{field} must be within 1..{MOST_THREADS}, got {part[field]}"
        elif field == "precision" and part[field] not in ("float32", "bfloat16", "float16"):
            yield f"{name}.{field} must be float32, bfloat16 or float16, got {part[field]!r}"
