"""Files that are whole or not there at all, and faults that name the file."""

from __future__ import annotations

import glob
import os
import platform
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HOST = re.sub(r"[^A-Za-z0-9_-]", "_", platform.node())[:20]
SCRATCH = re.compile(r"\..+\.(\d+)@([A-Za-z0-9_-]*)")  # .NAME.PROCESS@HOST


class DamagedFileError(ValueError):
    """A file that is cut short or altered."""


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """`write` fills a file beside `path`, which then takes its place in one act: a reader sees the old file or the new.

    The bytes are on the disk before the name is, so a power cut loses at most the new file.
    """
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(path.parent, of=path.name)
        scratch = scratch_path(path)
        try:
            write(scratch)
            with scratch.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(scratch, path)
        finally:
            scratch.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda scratch: scratch.write_text(text, encoding="utf-8"))


def scratch_path(path: Path) -> Path:
    """A hidden path beside `path` that names this process, so that it can be removed when the process was killed."""
    return path.with_name(f".{path.name}{owner()}")


def owner() -> str:
    """The end of the name of a hidden file that is this process's alone."""
    return f".{os.getpid()}@{HOST}"


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """An OSError inside that names no file (a write to a full disk) names this one."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def remove_abandoned(folder: Path, *, of: str = "") -> None:
    """Remove what killed processes of this machine left in a folder; what belongs to a living one stays.

    Args:
        folder: that is looked through, not those below it.
        of: the name of the file that they were writing; any if empty.
    """
    for path in folder.glob(f".{glob.escape(of) or '*'}.*@*"):
        match = SCRATCH.fullmatch(path.name)
        if not match or match[2] != HOST or is_alive(int(match[1])):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def is_alive(process: int) -> bool:
    """Is there a process of that number on this machine? One that has ended counts as gone, noticed or not.

    Args:
        process: its number.
    """
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    with suppress(OSError):  # where the system has no /proc
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        return state not in "ZX"
    return True
