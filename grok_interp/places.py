"""Places on this machine: the package's cache, and what lies outside a run's folder and the user has named.

config.json of a run names the text that it was trained on, and anybody may have written it. A place outside the run is
read only if this user has named it on this machine before: by training on it, or with `trust_source`. What was named is
kept as one small file for each place in the cache's folder `named`; who deletes them is asked again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from grok_interp.files import naming

HUB = "hub:"
EVERYWHERE = "stdlib"  # a source that names no place


def cache_directory() -> Path:
    """$GROK_INTERP_CACHE, or the user's cache folder."""
    import platformdirs

    return Path(os.environ.get("GROK_INTERP_CACHE") or platformdirs.user_cache_path("grok_interp"))


def name_place(place: str) -> None:
    """Note that the user has named a place: a path, or `hub:NAME`."""
    file = _note(place)
    if place != EVERYWHERE and not file.exists():
        with naming(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{_absolute(place)}\n", encoding="utf-8")  # for a reader: that it exists is the note


def is_named(place: str, *, inside: Path) -> bool:
    """May a run read a place?

    Args:
        place: a path, or `hub:NAME`.
        inside: the run's folder, of which everything may be read.
    """
    if place == EVERYWHERE or _note(place).is_file():
        return True
    return not place.startswith(HUB) and _is_in(place, inside)


def links_out(folder: Path, *, of: Path | None = None) -> Iterator[Path]:
    """The symbolic links in a folder, and in the folders below it, that lead out of it (or out of `of`)."""
    top = of or folder
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                if not _is_in(entry.path, top):
                    yield Path(entry.path)
            elif entry.is_dir():
                yield from links_out(Path(entry.path), of=top)


def _is_in(place: str, folder: Path) -> bool:
    return real_path(place).is_relative_to(real_path(folder))


def _note(place: str) -> Path:
    return cache_directory() / "named" / hashlib.sha256(_absolute(place).encode()).hexdigest()[:32]


def _absolute(place: str) -> str:
    """The same for every way to write it, and from every working directory."""
    prefix, path = (HUB, place.removeprefix(HUB)) if place.startswith(HUB) else ("", place)
    resolved = real_path(path)
    return prefix + str(resolved if not prefix or resolved.exists() else path)


def user_path(place: str | Path) -> Path:
    """With the home directory in place of ~; where there is none of that name, it is a name like any other."""
    return Path(os.path.expanduser(place))


def real_path(place: str | Path) -> Path:
    """Without links, as far as they lead: a link to itself stays."""
    return Path(os.path.realpath(user_path(place)))
