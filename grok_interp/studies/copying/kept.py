"""Results kept in a run's `results` folder, each with its evaluation inputs and the hashes of its checkpoint files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from grok_interp.results.result import LabelledResult
from grok_interp.runs.run import Run

Result = TypeVar("Result", bound=LabelledResult)


def checkpoint_files(series: Run, steps: Sequence[int]) -> dict[str, str]:
    """step -> SHA-256 of the checkpoint's file."""
    return {f"step {step}": hashlib.sha256(series.checkpoints.path(step).read_bytes()).hexdigest() for step in steps}


def kept(
    directory: Path, name: str, kind: type[Result], asked: dict[str, Any], measured: Callable[[], Result]
) -> Result:
    """The result on disk if exactly this was asked, else measured and written there."""
    if found := known(directory, name, kind, asked):
        return found
    result = measured()
    result = replace(result, array=result.array.assign_attrs(asked=asked))
    result.save(_path(directory, name))
    return result


def known(directory: Path, name: str, kind: type[Result], asked: dict[str, Any]) -> Result | None:
    """The result on disk if exactly this was asked."""
    if not is_stored(directory, name):
        return None
    found = kind.load(_path(directory, name))
    return found if found.array.attrs.get("asked") == asked else None


def is_stored(directory: Path, name: str) -> bool:
    """Is there a result of that name, whatever its evaluation inputs?"""
    return _path(directory, name).exists()


def _path(directory: Path, name: str) -> Path:
    return Run.open(directory).directory / "results" / f"{name}.nc"
