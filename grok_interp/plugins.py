"""What other installed packages bring, found by their entry points and loaded when it is first needed.

    [project.entry-points."grok_interp.studies"]       # pyproject.toml of the other package
    sorting = "sorting_study:STUDY"

An entry point is named as what it brings: `STUDY.name` is "sorting".
"""

from __future__ import annotations

from collections.abc import Container
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, TypeVar

STUDY_GROUP, HEAD_SCORE_GROUP = "grok_interp.studies", "grok_interp.head_scores"  # groups of entry points


class Named(Protocol):
    @property
    def name(self) -> str: ...


Brought = TypeVar("Brought", bound=Named)


def plugins(group: str, kind: type[Brought], *, taken: Container[str] = ()) -> dict[str, Brought]:
    """Name -> what the installed packages bring to a group, in the order of names.

    Args:
        group: of entry points, one of this module's.
        kind: the class that each must be of.
        taken: names that the package itself uses.

    Raises:
        ValueError: for one that cannot be loaded, is of another class, has another name than its entry point, or a name
            that is taken; it names the entry point and the package that brings it.
    """
    found: dict[str, Brought] = {}
    for entry, value in loaded_entries(group):
        if not isinstance(value, kind):
            raise ValueError(
                f"{_described(entry)} must be a {kind.__name__}, got a {type(value).__name__}: {_advice(entry)}"
            )
        if value.name != entry.name:
            raise ValueError(
                f"{_described(entry)} is named {value.name!r}: both names must be the same; {_advice(entry)}"
            )
        if entry.name in taken or entry.name in found:
            raise ValueError(f"{_described(entry)} has a name that is taken: {_advice(entry)}")
        found[entry.name] = value
    return found


@cache
def loaded_entries(group: str) -> list[tuple[EntryPoint, object]]:
    return [(entry, _load(entry)) for entry in sorted(entry_points(group=group), key=lambda entry: entry.name)]


def _load(entry: EntryPoint) -> object:
    try:
        return entry.load()
    except Exception as error:  # whatever a foreign module does when it is imported
        raise ValueError(
            f"{_described(entry)} cannot be loaded ({type(error).__name__}: {error}): {_advice(entry)}"
        ) from error


def _described(entry: EntryPoint) -> str:
    return f"the plugin {entry.name} = {entry.value!r} ({entry.group}) of the package {_package(entry)}"


def _advice(entry: EntryPoint) -> str:
    return f"repair that package, or uninstall it with `pip uninstall {_package(entry)}`"


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "unknown"
