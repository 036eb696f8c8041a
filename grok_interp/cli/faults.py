"""What the system refused, and what a user is warned of, in one line: the file, the reason, what to do."""

from __future__ import annotations

import errno
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from grok_interp.cli.output import printable

ADVICE = {
    errno.ENOSPC: "free some space and repeat the command: it resumes from the last good state",
    errno.EDQUOT: "free some of your quota and repeat the command: it resumes from the last good state",
    errno.EFBIG: "the file may not grow further: raise the limit and repeat the command",
    errno.EROFS: "choose a folder that can be written",
    errno.EACCES: "change the permissions, or choose another folder",
    errno.EPERM: "change the permissions, or choose another folder",
    errno.ENOENT: "it was moved or deleted meanwhile: restore it, or repeat the command",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOTDIR: "a part of this path is a file: choose another folder",
    errno.ELOOP: "a link leads to itself: delete it",
    errno.EISDIR: "a folder is where a file is expected: move it away",
    errno.EEXIST: "a file is where a folder is expected: move it away",
}


def described(error: OSError) -> str:
    """One line of an error of the system."""
    where = f"{error.filename}: " if error.filename is not None else ""
    reason = error.strerror or " ".join(str(error).split()) or type(error).__name__
    advice = ADVICE.get(error.errno or 0, "repair the cause and repeat the command")
    return f"{where}{reason}; {advice}"


@contextmanager
def one_line_warnings() -> Iterator[None]:
    """Inside, a UserWarning is printed without the line of code that gave it."""
    before = warnings.formatwarning

    def one_line(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> str:
        if category is UserWarning:
            return f"WARNING: {printable(message)}\n"
        return before(message, category, *where, **more)

    warnings.formatwarning = one_line
    try:
        yield
    finally:
        warnings.formatwarning = before


def is_lost_process(error: BaseException) -> bool:
    """Has another process of a training ended? Without torch none was started."""
    rendezvous = sys.modules.get("grok_interp.training.rendezvous")
    return rendezvous is not None and isinstance(error, rendezvous.LostProcessError)
