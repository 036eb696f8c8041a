"""Names of checkpoints with `{step}` in them: which names fit, and which step each one says."""

from __future__ import annotations

import glob
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from grok_interp.arguments import checked
from grok_interp.places import user_path

Name = TypeVar("Name")
FIELDS = {"step": r"\d+", "tokens": r"\d+(?:\.\d+)?"}
FIELD = re.compile(r"\{(\w*)\}")


def name_pattern(pattern: str) -> re.Pattern[str]:
    """A regular expression with the groups `step` and `tokens`, from a pattern that people write.

    Args:
        pattern: `{step}` stands for the step, `{tokens}` for a number of tokens, `*` for anything without a slash.

    Raises:
        ValueError: for a pattern without `{step}`, or with another field.

    Example:
        >>> name_pattern("iter-{step}-tokens{tokens}B").fullmatch("iter-500-tokens1.5B")["step"]
        '500'
    """
    fields = FIELD.findall(pattern)
    if "step" not in fields or set(fields) - set(FIELDS):
        raise ValueError(
            f"a pattern needs {{step}} where the step is, as in 'ckpts/model_{{step}}.pt', and no other fields than "
            f"{{tokens}}; got {pattern!r}"
        )
    parts, seen = [], set()
    for number, part in enumerate(FIELD.split(pattern)):
        if number % 2 == 0:
            parts.append(re.escape(part).replace(r"\*", r"[^/]*"))
        else:
            parts.append(f"(?P={part})" if part in seen else f"(?P<{part}>{FIELDS[part]})")
            seen.add(part)
    return re.compile("".join(parts))


@checked
def files_by_step(pattern: str | Path) -> dict[int, Path]:
    """The files, or folders, of a pattern with `{step}`, sorted by step.

    Args:
        pattern: a path, see `name_pattern`.

    Raises:
        ValueError: if nothing fits, or two files say one step.
    """
    text = str(user_path(pattern))
    named = name_pattern(text)
    wildcard = "*".join(glob.escape(part).replace("[*]", "*") for part in FIELD.split(text)[::2])
    found = [(match, path) for path in sorted(glob.glob(wildcard)) if (match := named.fullmatch(path))]
    if not found:
        others = sorted(path.name for path in Path(text).parent.glob("*"))[:5]
        raise ValueError(
            f"nothing fits {text!r} ({{step}} stands for digits alone); {Path(text).parent} has {others or 'no files'}"
        )
    return by_step((int(match["step"]), Path(path)) for match, path in found)


def by_step(pairs: Iterable[tuple[int, Name]]) -> dict[int, Name]:
    """Step -> name, sorted. Raises ValueError for two names of one step."""
    found: dict[int, Name] = {}
    for step, name in pairs:
        if step in found:
            raise ValueError(
                f"one checkpoint per step is needed, got {found[step]} and {name} for step {step}: narrow the pattern, "
                "or move one of them"
            )
        found[step] = name
    return {step: found[step] for step in sorted(found)}


def chosen_steps(
    there: Mapping[int, Name], *, every: int = 1, skip: Collection[int] = (), keyword: str = "skip=[{}]"
) -> dict[int, Name]:
    """Every n-th in the order of steps and the last, without those to skip, which does not change what the others are.

    Args:
        there: step -> name, sorted.
        every: takes every n-th, from the first, and the last: the end of training is in every figure.
        skip: steps that are left out.
        keyword: how a step to skip is given, for messages.

    Raises:
        ValueError: for a step to skip that is not there, and if none is left.

    Example:
        >>> chosen_steps({0: "a", 1: "b", 2: "c", 3: "d"}, every=2, skip=[2])
        {0: 'a', 3: 'd'}
    """
    if unknown := sorted(set(skip) - set(there)):
        raise ValueError(
            f"{keyword.format(unknown[0])} is no step of the series, its steps are {', '.join(map(str, there))}: leave "
            "it out"
        )
    steps = list(there)
    if not (chosen := {step: there[step] for step in [*steps[:-1:every], *steps[-1:]] if step not in skip}):
        raise ValueError(f"{keyword.format(', '.join(map(str, sorted(skip))))} leaves no checkpoint: skip fewer")
    return chosen
