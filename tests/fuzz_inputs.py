"""What `fuzz.py` tries: command lines, and changes to the files that they read. Hypothesis draws and shortens them."""

from __future__ import annotations

import contextlib
import gzip
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from grok_interp.checksums import SEAL, UNSEALED, sealed

NUMBERS = ("-1", "0", "1", "2", "3", "1.5", "nan", "inf", "-inf", "1e308", "1e-320", *map(str, (10**9, 2**63, 10**30)))
WORDS = ("", " ", "auto", "cpu", "cuda:99", "None", "{step}", "{step", "hub:", "hub:nobody/nothing", "$(id)", "L1H0")
NAMES = ("run", "modular", "series", "text", "text/a.txt", "files/model_{step}.safetensors", "cache", "new folder")
ODD_NAMES = (".", "text/a.txt/x", "x" * 300, "a\nb", "\x1b]0;x\x07", "\udcff", "~nobody/x", "run/config.json")
VALUES = (*NUMBERS, *WORDS, *NAMES, *ODD_NAMES)
JSON_LEAVES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, 2, 3, 7, -1, 0.5, 1.5, float("nan"), float("inf"), 1e-320, 10**9, 2**53, 10**400),
    *("", "text", "x" * 5_000, "\x1b[2J", "\udcff", "L0H0 zero from 1", "../..", "stdlib", "hub:nobody/nothing"),
)
PIECES = (b"", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"a" * 3_000, b"\r\n", b"\x0c", "ä\u2028\U0001f600".encode(), b"a ")
READING = (["list", "--folder", "."], ["audit", "{}"], ["analyze", "{}"])
MORE = {
    "run": (["train", "copier-tiny", "--run", "{}"], ["report", "{}"]),
    "modular": (["train", "modular-tiny", "--run", "{}"],),
    "series": (["report", "{}"],),
}
FIGURES = {
    "run": ("copying/fig2", "copying/fig6", "copying/ablation", "copying/heads", "copying/natural", "copying/leads"),
    "modular": ("modular/fig1c", "modular/fig3", "modular/fig5", "modular/shift", "modular/noise", "modular/circles"),
    "series": ("copying/fig6", "copying/fig2"),
}


@dataclass(frozen=True)
class Change:
    """A change to one file, before the command is given.

    Args:
        file: below the working folder.
        how: what is done to it; the name is shown when it fails.
        act: does it.
    """

    file: str
    how: str
    act: Callable[[Path], object]

    def __repr__(self) -> str:
        return f"{self.file}: {self.how}"


@dataclass(frozen=True)
class Input:
    """A command line, and what is changed before."""

    words: tuple[str, ...]
    changes: tuple[Change, ...] = ()


def inputs(template: Path, options: Mapping[tuple[str, ...], tuple[str, ...]]) -> dict[str, SearchStrategy[Input]]:
    """Kind -> what is tried of it.

    Args:
        template: the working folder as it is before any change.
        options: a command that is right -> the options of its verb.
    """
    files = sorted(file.relative_to(template).as_posix() for file in template.rglob("*") if file.is_file())
    of_runs = [file for file in files if file.split("/")[0] in ("run", "modular", "series", "files")]
    configs = [file for file in of_runs if file.endswith("config.json")]
    results = [file for file in files if "/results/" in file or file.endswith("metrics.jsonl")]
    return {
        "arguments": _commands(options),
        "run folders": _changed(st.sampled_from(of_runs).flatmap(_moved)),
        "configs": _changed(st.sampled_from(configs).flatmap(_edited)),
        "results": _changed(st.sampled_from(results).flatmap(_altered)),
        "bytes": _changed(st.sampled_from(of_runs).flatmap(_overwritten)),
        "corpora": st.builds(
            lambda words, changes: Input(words, tuple(changes)),
            st.sampled_from(["bytes", "bpe"]).map(_train_on_text),
            st.lists(st.sampled_from(["text/a.txt", "text/b.txt", "text/c.txt"]).flatmap(_rewritten), min_size=1),
        ),
    }


def _commands(options: Mapping[tuple[str, ...], tuple[str, ...]]) -> SearchStrategy[Input]:
    """A command that is right, with options of its verb that may not be."""

    def of_verb(command: tuple[str, ...]) -> SearchStrategy[Input]:
        letters = st.characters(exclude_characters="\0/~", exclude_categories=())
        value = st.sampled_from(NUMBERS) | st.sampled_from(VALUES) | st.text(letters, max_size=5)
        of_option = st.one_of(value.map(lambda word: [word]), st.lists(value, max_size=3))
        option = st.tuples(st.sampled_from(options[command]), of_option).map(lambda pair: (pair[0], *pair[1]))
        more = st.lists(option | option | value.map(lambda word: (word,)), max_size=3)
        return more.map(lambda found: Input((*command, *(word for each in found for word in each))))

    return st.sampled_from(list(options)).flatmap(of_verb)


def _changed(change: SearchStrategy[Change]) -> SearchStrategy[Input]:
    def with_command(changes: list[Change]) -> SearchStrategy[Input]:
        run = changes[0].file.split("/")[0].replace("files", "series")
        commands = [[word.format(run) for word in command] for command in (*READING, *MORE[run])]
        commands += [["reproduce", figure, "--run", run] for figure in FIGURES[run]]
        return st.sampled_from(commands).map(lambda words: Input(tuple(words), tuple(changes)))

    return st.lists(change, min_size=1, max_size=2).flatmap(with_command)


def _moved(file: str) -> SearchStrategy[Change]:
    """Gone, or something else in its place."""

    def in_its_place(make: Callable[[Path], object]) -> Callable[[Path], None]:
        def act(path: Path) -> None:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            make(path)

        return act

    def change(of: str, how: str) -> Change:
        return Change(of, how, in_its_place(kinds[how]))

    kinds: dict[str, Callable[[Path], object]] = {
        "is gone": lambda _: None,
        "is empty": lambda path: path.touch(),
        "is a folder": Path.mkdir,
        "links to itself": lambda path: path.symlink_to(path),
        "links to nothing": lambda path: path.symlink_to("nothing"),
        "links out": lambda path: path.symlink_to(path.parents[len(Path(of).parts) - 1] / "text" / "a.txt"),
        "is text": lambda path: path.write_text("text\n" * 3),
        "is a zip": lambda path: path.write_bytes(b"PK\3\4" + bytes(60)),
    }
    of = file
    parent = str(Path(file).parent)
    places = [file, parent, f"{parent}/step_00000003.safetensors", f"{parent}/other.nc.gz", f"{parent}/-x\n"]
    return st.builds(change, st.sampled_from(places), st.sampled_from(sorted(kinds)))


def _edited(file: str) -> SearchStrategy[Change]:
    """One value of a JSON file is another, without the checksum that would tell."""

    def change(number: int, value: Any) -> Change:
        def act(path: Path) -> None:
            record = json.loads(path.read_text())
            record.pop("sha256", None)
            places = list(_places(record))
            container, key = places[number % len(places)]
            container[key] = value
            path.write_text(json.dumps(record))

        return Change(file, f"value {number} is {value!r}"[:200], act)

    leaf = st.sampled_from(JSON_LEAVES)
    nested = st.recursive(leaf, lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=3), each))
    return st.builds(change, st.integers(0, 200), leaf | nested)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """(container, key) of each value in a JSON document, containers among them."""
    pairs = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    return [(value, key) for key, _ in pairs] + [place for _, each in pairs for place in _places(each)]


def _altered(file: str) -> SearchStrategy[Change]:
    """Some bytes are others and the checksum is made to fit: what reads it must do without."""

    def change(where: float, content: bytes) -> Change:
        def act(path: Path) -> None:
            found = path.read_bytes() if path.is_file() else b""
            packed = path.suffix == ".gz"
            with contextlib.suppress(OSError, EOFError):
                found = gzip.decompress(found) if packed else found
            found = _replaced(found, where, content)
            if SEAL.search(found):
                unsealed = SEAL.sub(UNSEALED.encode(), found)
                found = sealed(unsealed) if unsealed.count(UNSEALED.encode()) == 1 else found
            path.write_bytes(gzip.compress(found) if packed else found.replace(b'"crc32"', b'"other"'))

        return Change(file, f"at {where:.3f} of it is {content!r}, its checksum fits", act)

    return st.builds(change, st.floats(0, 1), st.binary(max_size=8))


def _overwritten(file: str) -> SearchStrategy[Change]:
    """Some bytes are others, or it is cut short."""

    def change(where: float, content: bytes | None) -> Change:
        def act(path: Path) -> None:
            found = path.read_bytes() if path.is_file() else b""
            path.write_bytes(found[: int(where * len(found))] if content is None else _replaced(found, where, content))

        return Change(file, f"at {where:.3f} of it is {content!r}", act)

    return st.builds(change, st.floats(0, 1), st.none() | st.binary(max_size=8))


def _replaced(found: bytes, where: float, content: bytes) -> bytes:
    at = int(where * len(found))
    return found[:at] + content + found[at + len(content) :]


def _rewritten(file: str) -> SearchStrategy[Change]:
    """A text of odd pieces."""

    def change(pieces: list[bytes]) -> Change:
        content = b"".join(pieces)
        return Change(file, f"is {content[:40]!r} of {len(content)} bytes", lambda path: path.write_bytes(content))

    return st.lists(st.sampled_from(PIECES) | st.binary(max_size=9), max_size=6).map(change)


def _train_on_text(vocabulary: str) -> tuple[str, ...]:
    size = ("--data.vocabulary", "bpe", "--model.d-vocab", "300") if vocabulary == "bpe" else ()
    return ("train", "copier-tiny", "--run", "new", "--data.source", "text", *size)
