"""Where text comes from: named documents, always in the same order.

stdlib          the Python standard library that runs the program, read in place (about 600 files, 11 MB)
FILE or FOLDER  local text; a folder is searched for text files, hidden ones left out
hub:NAME        a data set of the Hugging Face hub (or a local folder in its layout), one document a row
"""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grok_interp.places import user_path

NOT_TEXT_OF_INTEREST = {"test", "tests", "idlelib", "lib2to3", "ensurepip", "site-packages", "dist-packages"}
TEXT_SUFFIXES = {".txt", ".md", ".rst", ".py", ".tex", ".html", ".csv", ".json", ".jsonl", ".c", ".h", ".js", ".org"}


def documents(source: str) -> Iterator[tuple[str, bytes]]:
    """(name, UTF-8 text) of each document of a source.

    Raises ValueError when the source does not exist or holds no text.
    """
    if source.startswith("hub:"):
        yield from _hub_documents(source.removeprefix("hub:"))
        return
    root, files = text_files(source)
    for file in files:
        text = file.read_bytes()
        if b"\0" in text:
            raise ValueError(f"{file} is not text: it has a NUL byte; take it out of {source}")
        if text:
            yield file.relative_to(root).as_posix(), text


def text_files(source: str) -> tuple[Path, list[Path]]:
    """(root, sorted files) of a source that is on this machine.

    Raises ValueError when it does not exist or has no text files.
    """
    if source == "stdlib":
        root = Path(sysconfig.get_path("stdlib"))
        return root, sorted(_python_files(root))
    path = user_path(source)
    if path.is_file():
        return path.parent, [path]
    if not path.is_dir():
        raise ValueError(f"no corpus at {source!r}: give stdlib, a text file, a folder of text files or hub:NAME")
    files = [f for f in path.rglob("*") if f.is_file() and f.suffix in TEXT_SUFFIXES and not _hidden(f, path)]
    if not files:
        raise ValueError(f"no text files in {source!r}: looked for {', '.join(sorted(TEXT_SUFFIXES))}")
    return path, sorted(files)


def _python_files(root: Path) -> Iterator[Path]:
    """Folders that are left out are not searched: installed packages are many times the library."""
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [name for name in subfolders if name not in NOT_TEXT_OF_INTEREST]
        yield from (Path(folder, name) for name in files if name.endswith(".py"))


def _hidden(file: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(root).parts)


def _hub_documents(name: str) -> Iterator[tuple[str, bytes]]:
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise ValueError("hub data sets need the datasets library: pip install 'grok-interp[hub]'") from error
    try:
        dataset: Any = load_dataset(name, split="train")
    except OSError as error:  # no such data set, or no way to it
        raise ValueError(
            f"data set {name!r} cannot be read ({error}): check its name and the network, or give local text files"
        ) from error
    if "text" not in dataset.column_names:
        raise ValueError(f"data set {name!r} has no column 'text', it has {dataset.column_names}")
    for index, row in enumerate(dataset):
        if "\0" in (text := row["text"] or ""):
            raise ValueError(f"row {index} of {name!r} is not text: it has a NUL character")
        if text:
            yield f"{name}/{index}", text.encode()
