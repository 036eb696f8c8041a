"""Files of a run, and of its text in the cache, that are not what was written. Checkpoints are audited as a series.

Each is refused, left out or made again when it is read; see docs/guarantees.md. Here they are named before that.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from grok_interp.checksums import file_sha256
from grok_interp.data.built_files import intact_manifest
from grok_interp.files import DamagedFileError
from grok_interp.places import cache_directory
from grok_interp.results.netcdf import dataset_of_netcdf
from grok_interp.runs.checkpoint_files import load_weights, require_whole_state
from grok_interp.runs.metrics import damaged_lines, metric_rows
from grok_interp.runs.recorder import resume_points
from grok_interp.runs.run import Run

MOST_LINES = 5  # that are named one by one


@dataclass(frozen=True)
class DamagedFile:
    """A file or folder that is not what was written.

    Attributes:
        path: of it.
        message: what is wrong with it, and what happens or is to be done, in one sentence.
    """

    path: Path
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def damaged_files(run: Run) -> list[DamagedFile]:
    """Every damaged file of a run but its config.json, which `Run.open` refuses, and its checkpoints, see `audit`.

    Args:
        run: is read and not changed.
    """
    return [*_metrics(run), *_resume_points(run), *_results(run), *_evaluation_text(run), *_corpus(run)]


def _metrics(run: Run) -> Iterator[DamagedFile]:
    file = run.directory / "metrics.jsonl"
    if lines := damaged_lines(file):
        named = ", ".join(map(str, lines[:MOST_LINES])) + ", ..." * (len(lines) > MOST_LINES)
        yield DamagedFile(file, f"{len(lines)} damaged lines are left out ({named}); restore it to have them")
    last = max((int(row["step"]) for row in metric_rows(file)), default=0)
    if not lines and file.exists() and run.steps and last < run.steps[-1]:
        yield DamagedFile(file, f"it ends at step {last}, the last checkpoint is of step {run.steps[-1]}; restore it")


def _resume_points(run: Run) -> Iterator[DamagedFile]:
    for file in resume_points(run.directory):
        yield from _refused(file, require_whole_state, "the one before it is taken")


def _results(run: Run) -> Iterator[DamagedFile]:
    for file in sorted(run.results.folder.glob("*.nc.gz")):
        yield from _refused(
            file, lambda path: dataset_of_netcdf(gzip.decompress(path.read_bytes())), "it is made again"
        )


def _evaluation_text(run: Run) -> Iterator[DamagedFile]:
    for file in sorted(run.results.folder.glob("*.safetensors")):
        yield from _refused(file, _require_evaluation_text, "delete it: it is read from the run's text again")


def _require_evaluation_text(file: Path) -> None:
    _, facts = load_weights(file)
    tokenizer = file.with_name("tokenizer.json")
    if "tokenizer" in facts and tokenizer.exists() and facts["tokenizer"] != file_sha256(tokenizer):
        raise DamagedFileError(f"the SHA-256 of {tokenizer.name} beside it is another")


def _corpus(run: Run) -> Iterator[DamagedFile]:
    corpus_hash = run.record.get("data", {}).get("hash", "")
    folder = cache_directory() / "corpora" / corpus_hash[:16]
    if corpus_hash and folder.is_dir() and intact_manifest(folder, corpus_hash) is None:
        yield DamagedFile(folder, "its checksums do not fit; it is built again when it is needed")


def _refused(file: Path, read: Callable[[Path], object], remedy: str) -> Iterator[DamagedFile]:
    try:
        read(file)
    except (ValueError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        yield DamagedFile(file, f"damaged ({' '.join(str(error).split())}); {remedy}")
