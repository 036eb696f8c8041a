"""Docstrings are plain text as one reads it in an editor. Here they become reStructuredText.

A paragraph that is indented, a formula or a table, stays as it stands; `code` is literal; any other character means
itself. Google sections (Args, Returns, Raises, ...) keep their form for Sphinx' napoleon, which reads them afterwards.
"""

from __future__ import annotations

import re

SPECIAL = re.compile(r"([\\*|_])")
SECTION = re.compile(r"(Args|Attributes|Returns|Yields|Raises):$")
EXAMPLE = re.compile(r"Examples?:$")
ARGUMENT = re.compile(r"^    [^ :][^:]*:", re.MULTILINE)  # its name is no text


def to_restructured_text(lines: list[str]) -> None:
    """Changes the lines in place, as Sphinx's `autodoc-process-docstring` wants it."""
    found: list[str] = []
    in_example = False
    for paragraph in "\n".join(lines).split("\n\n"):
        block = paragraph.strip("\n").splitlines()
        first = block[0] if block else ""
        in_example = bool(EXAMPLE.match(first)) or (in_example and first.startswith(" "))
        found += ["", *(block if in_example else _section(block) if SECTION.match(first) else _block(block))]
    lines[:] = [*found[1:], ""]


def _section(lines: list[str]) -> list[str]:
    escaped = _escaped("\n".join(lines))
    return ARGUMENT.sub(lambda name: name[0].replace("\\", ""), escaped).splitlines()


def _block(lines: list[str]) -> list[str]:
    if lines and all(line.startswith("  ") for line in lines):
        return ["::", "", *lines]
    return _escaped("\n".join(lines)).splitlines()


def _escaped(text: str) -> str:
    plain_and_code = re.split(r"`([^`]+)`", text)
    return "".join(
        f"``{part}``" if index % 2 else SPECIAL.sub(r"\\\1", part) for index, part in enumerate(plain_and_code)
    )
