"""Where text comes from: named documents, always in the same order.

stdlib          the Python standard library that runs the program, read in place (about 600 files, 11 MB)
FILE or FOLDER  local text; a folder is searched for text files, hidden ones left out
.jsonl .parquet such a file, or one in a folder: one document for each row, the text in one field
hub:NAME        a data set of the Hugging Face hub (or a local folder in its layout), one document for each row of
                `train`; hub:NAME:SUBSET for one of its configurations
"""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from grok_interp.data.hub_rows import hub_documents
from grok_interp.data.rows import ROW_SUFFIXES, is_table, row_texts
from grok_interp.places import user_path

NOT_TEXT_OF_INTEREST = {"test", "tests", "idlelib", "lib2to3", "ensurepip", "site-packages", "dist-packages"}
TEXT_SUFFIXES = {".txt", ".md", ".rst", ".py", ".tex", ".html", ".csv", ".json", ".c", ".h", ".js", ".org"}


def documents(source: str, *, field: str = "text", n_documents: int | None = None) -> Iterator[tuple[str, bytes]]:
    """(name, UTF-8 text) of each document of a source.

    Args:
        source: see above.
        field: of the text, in rows.
        n_documents: of a data set of the hub, the first so many rows, of which a copy is kept.

    Raises:
        ValueError: when the source does not exist or holds no text.
    """
    if source.startswith("hub:"):
        yield from hub_documents(source.removeprefix("hub:"), field, n_documents)
        return
    root, files = text_files(source)
    for file in files:
        if is_table(file):
            name = file.relative_to(root).as_posix()
            yield from ((f"{name}/{number}", text.encode()) for number, text in row_texts(file, field))
            continue
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
    files = [
        f
        for f in path.rglob("*")
        if f.is_file() and (f.suffix in TEXT_SUFFIXES or is_table(f)) and not _hidden(f, path)
    ]
    if not files:
        raise ValueError(
            f"no text files in {source!r}: looked for {', '.join(sorted({*TEXT_SUFFIXES, *ROW_SUFFIXES}))}"
        )
    return path, sorted(files)


def _python_files(root: Path) -> Iterator[Path]:
    """Folders that are left out are not searched: installed packages are many times the library."""
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [name for name in subfolders if name not in NOT_TEXT_OF_INTEREST]
        yield from (Path(folder, name) for name in files if name.endswith(".py"))


def _hidden(file: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(root).parts)
