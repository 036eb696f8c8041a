"""Processes that a test has started, and those that these have started."""

import os
import time
from pathlib import Path


def descendants() -> set[int]:
    """Of this process, and of those whose parent has ended."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            parents[int(folder.name)] = int(parent)
    found = {os.getpid()}
    while new := {process for process, parent in parents.items() if parent in found} - found:
        found |= new
    return found - {os.getpid()}


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_ended(processes: set[int]) -> None:
    deadline = time.monotonic() + 120
    while any(map(is_alive, processes)):
        assert time.monotonic() < deadline, [process for process in processes if is_alive(process)]
        time.sleep(0.1)
