"""Fields of a configuration by their dotted names, and values of them from text: what `sweep --vary` reads."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from grok_interp.configs.checks import described, kinds_of
from grok_interp.configs.training import TrainConfig

PARTS = ("model", "data")
DRAWN = ("init_seed", "data_seed")  # by a sweep itself
TRUTHS = {"true": True, "false": False, "yes": True, "no": False}
EACH = re.compile(r"\[[^\]]*\]|[^,\[\]]+")  # values between commas; those of a list are in brackets


def fields_of(config: TrainConfig) -> dict[str, Any]:
    """Dotted name -> type of every field that a sweep can vary.

    Args:
        config: any; its data decides which fields begin with `data.`.
    """
    kinds = {name: kind for name, kind in kinds_of(type(config)).items() if name not in (*PARTS, *DRAWN)}
    for part in PARTS:
        kinds |= {f"{part}.{name}": kind for name, kind in kinds_of(type(getattr(config, part))).items()}
    return kinds


def with_fields(config: TrainConfig, values: dict[str, Any]) -> TrainConfig:
    """The same run with these fields, all changed at once.

    Args:
        config: what is changed.
        values: dotted name -> value.

    Raises:
        ValueError: for values that no run has.

    Example:
        >>> from grok_interp import training_preset
        >>> with_fields(training_preset("copier-tiny"), {"data.copy_fraction": 0.2, "batch_size": 8}).batch_size
        8
    """
    changes = {name: value for name, value in values.items() if "." not in name}
    for part in PARTS:
        own = {name.partition(".")[2]: value for name, value in values.items() if name.startswith(f"{part}.")}
        changes |= {part: replace(getattr(config, part), **own)} if own else {}
    return replace(config, **changes)


def read_values(config: TrainConfig, text: str) -> tuple[str, tuple[Any, ...]]:
    """The field that is varied, and its values, from "learning_rate=0.003,0.006".

    Args:
        config: whose fields have types.
        text: FIELD=VALUE,VALUE; dots lead into `model` and `data`, dashes are read as underscores, a list is in
            brackets: "betas=[0.9,0.95],[0.9,0.999]".

    Raises:
        ValueError: for a field that there is not, with the closest names; for a value of another type; for one given
            twice.

    Example:
        >>> from grok_interp import training_preset
        >>> read_values(training_preset("modular-tiny"), "data.n-id=4,8")
        ('data.n_id', (4, 8))
    """
    name, equals, listed = text.partition("=")
    name = name.strip().replace("-", "_")
    if not equals or not name:
        raise ValueError(f"--vary needs FIELD=VALUE,VALUE, got {text!r}: as in learning_rate=0.003,0.006")
    if name in DRAWN:
        raise ValueError(f"--vary {name}: a sweep draws seeds itself, give --seeds N")
    if name not in (kinds := fields_of(config)):
        raise ValueError(f"--vary {name}: no such field; {_closest(name, list(kinds))}")
    values = tuple(_read(name, value.strip(), kinds[name]) for value in EACH.findall(listed))
    if not values:
        raise ValueError(f"--vary {name}= has no value: give {name}=VALUE,VALUE")
    if twice := [value for index, value in enumerate(values) if value in values[:index]]:
        raise ValueError(f"--vary {name}: {twice[0]} is given twice, leave one out")
    return name, values


def _closest(name: str, known: list[str]) -> str:
    of_end = [each for each in known if each.rpartition(".")[2] == name.rpartition(".")[2]]
    close = list(dict.fromkeys([*of_end, *difflib.get_close_matches(name, known, n=4, cutoff=0.5)]))
    return f"close to it: {', '.join(close)}" if close else f"there are {', '.join(known)}"


def _read(name: str, text: str, kind: Any) -> Any:
    for read in _readings(text, kind):
        return read
    options = f" ({', '.join(get_args(kind))})" if get_origin(kind) is Literal else ""
    raise ValueError(f"--vary {name}: it must be {described(kind)}{options}, got {text!r}")


def _readings(text: str, kind: Any) -> Iterator[Any]:
    """What a text can mean as a value of this type; nothing where it is none."""
    if get_origin(kind) in (Union, UnionType):
        for each in sorted(get_args(kind), key=lambda each: each is str):  # "none" is None before it is a word
            yield from _readings(text, each)
    elif get_origin(kind) is tuple:
        if text.startswith("[") and text.endswith("]"):
            words = [word.strip() for word in text[1:-1].split(",") if word.strip()]
            read = [list(_readings(word, get_args(kind)[0])) for word in words]
            if all(read):
                yield tuple(each[0] for each in read)
    elif kind is type(None):
        yield from [None] if text.lower() in ("none", "null") else []
    elif kind is bool:
        yield from [TRUTHS[text.lower()]] if text.lower() in TRUTHS else []
    elif kind in (int, float):
        with suppress(ValueError):
            yield kind(text)
    elif kind is str or (get_origin(kind) is Literal and text in get_args(kind)):
        yield text
