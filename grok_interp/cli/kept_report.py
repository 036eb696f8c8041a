"""A report whose run has not changed since it was written is not written again: what was said of it is kept beside it.

results/report.json   what the report was made from, its checksum, and what the command said
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grok_interp
from grok_interp.checksums import file_sha256, is_unaltered, with_sha256
from grok_interp.files import write_text
from grok_interp.results.store import NOT_WRITABLE
from grok_interp.runs.run import Run

MADE = ("figures", "resume", "report.html")  # in a run's folder: no report is made from these


def said_before(run: Run, threshold: float | None) -> dict[str, Any] | None:
    """What was said of the run's report; None if there is none, or one of other results or by another version."""
    try:
        kept = json.loads(_file(run).read_text(encoding="utf-8"))
        unchanged = is_unaltered(kept) and kept["made_from"] == made_from(run, threshold)
        complete = unchanged and kept["report"] == file_sha256(run.directory / "report.html")
        return kept["said"] if complete and (run.directory / "figures").is_dir() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep(run: Run, threshold: float | None, said: dict[str, Any]) -> None:
    """Beside the results. A folder of results that may not be written keeps nothing: the next report is made anew."""
    found = {
        "made_from": made_from(run, threshold),
        "report": file_sha256(run.directory / "report.html"),
        "said": said,
    }
    try:
        write_text(_file(run), json.dumps(with_sha256(found), indent=1))
    except OSError as error:
        if error.errno not in NOT_WRITABLE:
            raise


def made_from(run: Run, threshold: float | None) -> str:
    """Names the package's code, the threshold, and the files of the run with their sizes and times."""
    digest = hashlib.sha256(f"{threshold}".encode())
    package = Path(grok_interp.__file__).parent
    for folder, files in ((package, package.rglob("*.*")), (run.directory, _files_read(run))):
        for file in sorted(files):
            if file.is_file() and file.suffix != ".pyc":
                status = file.stat()
                digest.update(f"{file.relative_to(folder)} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _files_read(run: Run) -> Iterator[Path]:
    for path in run.directory.iterdir():
        if path.name not in MADE:
            yield from (file for file in ([path] if path.is_file() else path.rglob("[!.]*")) if file != _file(run))


def _file(run: Run) -> Path:
    return run.results.folder / "report.json"
