"""Faults of the system, made for real on a small disk of its own: what is said, what is left, does the command resume?

    python tests/faults.py --sizes 16     prints a line per fault; exits with 1 if one was not met well. Needs root.

A run is trained, analyzed and reported, with its cache, on a disk (a tmpfs) that is full, read-only or closed to the
user. Each command that fails must name a file of that disk and exit with 3 (4 without memory). When the cause is gone
the same command must do, no scratch file may stay, and checkpoints must be those of an undisturbed run, bit by bit.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import torch

from grok_interp.cli import main as grok_interp

FAULT, NO_MEMORY = 3, 4
LARGE = 64 * 1024  # KB
NOBODY = 65_534  # user
TEXT = "".join(f"{number} {number * number % 97} " for number in range(6_000))


@dataclass
class Row:
    """Of one fault."""

    n_failed: int = 0
    n_well: int = 0

    def count(self, *conditions: bool) -> None:
        self.n_failed += 1
        self.n_well += all(conditions)


@dataclass(frozen=True)
class Disk:
    """A file system of its own."""

    place: Path

    @contextlib.contextmanager
    def mounted(self, kilobytes: int = LARGE) -> Iterator[None]:
        self.place.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", self.place], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", "--lazy", self.place], check=True)  # the corpus may still be mapped

    def remount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", self.place], check=True)

    def used(self) -> int:
        """Kilobytes."""
        found = os.statvfs(self.place)
        return (found.f_blocks - found.f_bfree) * found.f_frsize // 1024

    def commands(self) -> list[list[str]]:
        run = str(self.place / "run")
        source = str(self.place.parent / "text.txt")
        flags = ["--device", "cpu", "--quiet"]
        train = ["train", "copier-tiny", "--run", run, "--data.source", source, *flags]
        return [train, ["analyze", run, *flags], ["report", run, *flags]]

    def checkpoints(self) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in (self.place / "run" / "checkpoints").glob("*")}

    def scratch(self) -> list[Path]:
        return [path for path in self.place.rglob(".*") if path.name != ".lock"]


def result_of(words: list[str]) -> tuple[int, str]:
    """(exit code, last line on stderr); a traceback is code 1."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(printed):
        try:
            code = grok_interp(words)
        except Exception as error:
            return 1, f"traceback: {error!r}"
    return code, (printed.getvalue().splitlines() or [""])[-1]


def met_well(row: Row, disk: Disk, words: list[str], repair: Callable[[], object]) -> None:
    """Give a command that may fail; if it does, repair and give it again."""
    code, message = result_of(words)
    if code:
        left = disk.scratch()
        repair()
        again, _ = result_of(words)
        row.count(code == FAULT, message.startswith(f"grok-interp: {disk.place}"), not left, again == 0)
        if not (code == FAULT and again == 0 and not left):
            sys.stderr.write(f"{words[0]}: exit {code}, then {again}: {message} {left}\n")


def disk_full(disk: Disk, expected: dict[str, bytes], kilobytes: int, row: Row) -> None:
    with disk.mounted(kilobytes):
        for words in disk.commands():
            met_well(row, disk, words, lambda: disk.remount(f"size={LARGE}k"))
        assert disk.checkpoints() == expected, f"other checkpoints after a disk of {kilobytes} KB"


def read_only(disk: Disk, expected: dict[str, bytes], row: Row) -> None:
    """Results of a run that cannot be written are computed and not kept: `analyze` does its work."""
    with disk.mounted():
        for words in disk.commands():
            disk.remount("ro")
            met_well(row, disk, words, lambda: disk.remount("rw"))
            disk.remount("rw")
            assert result_of(words)[0] == 0
        assert disk.checkpoints() == expected


def no_permission(disk: Disk, expected: dict[str, bytes], row: Row) -> None:
    with disk.mounted():
        disk.place.chmod(0o755)
        for words in disk.commands():
            os.seteuid(NOBODY)
            try:
                met_well(row, disk, words, lambda: os.seteuid(0))
            finally:
                os.seteuid(0)
            assert result_of(words)[0] == 0
        assert disk.checkpoints() == expected


def names(disk: Disk, row: Row) -> None:
    """That no file system takes."""
    with disk.mounted():
        (disk.place / "file").write_text("")
        for name in ("x" * 300, "x/" * 3_000, "file/run"):
            words = ["train", "copier-tiny", "--run", str(disk.place / name), *disk.commands()[0][4:]]
            code, message = result_of(words)
            row.count(code == FAULT, message.startswith(f"grok-interp: {disk.place}"), not disk.scratch())


def vanished(disk: Disk, row: Row) -> None:
    """Checkpoints that go while they are read: the rest is analyzed when the command is given again."""
    with disk.mounted():
        train, analyze, _ = disk.commands()
        assert result_of(train)[0] == 0
        for step in (5, 20):
            (disk.place / "run" / "checkpoints" / f"step_{step:08}.safetensors").unlink()
            with mock.patch("grok_interp.runs.saved_checkpoints.SavedCheckpoints.steps", (0, 5, 10, 15, 20)):
                code, message = result_of(analyze)
            row.count(code == FAULT, message.startswith(f"grok-interp: {disk.place}"), result_of(analyze)[0] == 0)


def no_memory(disk: Disk, row: Row) -> None:
    """A model that is too large frees the folder for one that fits."""
    with disk.mounted():
        train = disk.commands()[0]
        before = resource.getrlimit(resource.RLIMIT_AS)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**29, before[1]))
        try:
            code, message = result_of([*train, "--model.d-model", "8192", "--model.d-mlp", "32768"])
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)
        free = not (disk.place / "run").exists()
        row.count(code == NO_MEMORY, "out of memory" in message, free, result_of(train)[0] == 0)


def table(folder: Path, *, n_sizes: int) -> dict[str, Row]:
    """Fault -> what became of it."""
    disk = Disk(folder / "disk")
    (folder / "text.txt").write_text(TEXT)
    os.environ["GROK_INTERP_CACHE"] = str(disk.place / "cache")
    rows = {name: Row() for name in ("disk full", "read-only", "no permission", "name", "vanished file", "no memory")}
    with disk.mounted():
        for words in disk.commands():
            code, message = result_of(words)
            assert code == 0, message
        expected, used = disk.checkpoints(), disk.used()
    for number in range(n_sizes):
        disk_full(disk, expected, 4 + used * number // n_sizes, rows["disk full"])
    read_only(disk, expected, rows["read-only"])
    no_permission(disk, expected, rows["no permission"])
    names(disk, rows["name"])
    vanished(disk, rows["vanished file"])
    no_memory(disk, rows["no memory"])
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, default=16, help="of the full disk, from empty to what the run needs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        rows = table(Path(folder), n_sizes=options.sizes)
    sys.stdout.write(f"{'fault':16}{'commands that failed':>22}{'named, nothing lost, resumed':>32}\n")
    for name, row in rows.items():
        sys.stdout.write(f"{name:16}{row.n_failed:22}{row.n_well:32}\n")
    return int(any(row.n_well < max(row.n_failed, 1) for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
