"""The files of a corpus in the cache: the manifest has checksums of all and of itself. A damaged one is built anew."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from grok_interp.checksums import file_sha256, is_unaltered, with_sha256
from grok_interp.files import owner, remove_abandoned

MANIFEST = "manifest.json"


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest of a corpus whose other files are all in the folder."""
    files = {file.name: file_sha256(file) for file in sorted(folder.iterdir()) if file.is_file()}
    (folder / MANIFEST).write_text(json.dumps(with_sha256({**manifest, "files": files})))


def intact_manifest(folder: Path, corpus_hash: str) -> dict[str, Any] | None:
    """The manifest of a corpus; None if it, or a file that it lists, is not what was written."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if not is_unaltered(manifest) or manifest["hash"] != corpus_hash:
            return None
        whole = all(file_sha256(folder / name) == checksum for name, checksum in manifest["files"].items())
    except (FileNotFoundError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None
    return manifest if whole else None


def remove_damaged(folder: Path, corpus_hash: str) -> None:
    """Remove a corpus that is not what was written. One process does: what another has just built stays."""
    import filelock

    if not folder.exists() or intact_manifest(folder, corpus_hash):
        return
    with filelock.FileLock(folder.parent / ".lock"):
        if intact_manifest(folder, corpus_hash):
            return
        remove_abandoned(folder.parent)
        aside = folder.with_name(f".damaged-{folder.name}{owner()}")
        with suppress(FileNotFoundError):
            folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)
