"""Docstrings are plain text as one reads it in an editor. Here they become reStructuredText.

A paragraph that is indented, a formula or a table, stays as it stands; `code` is literal; any other character means
itself.
"""

from __future__ import annotations

import re

SPECIAL = re.compile(r"([\\*|_])")


def to_restructured_text(lines: list[str]) -> None:
    """Changes the lines in place, as Sphinx's `autodoc-process-docstring` wants it."""
    found: list[str] = []
    for paragraph in "\n".join(lines).split("\n\n"):
        found += ["", *_block(paragraph.strip("\n").splitlines())]
    lines[:] = [*found[1:], ""]


def _block(lines: list[str]) -> list[str]:
    if lines and all(line.startswith("  ") for line in lines):
        return ["::", "", *lines]
    return _escaped("\n".join(lines)).splitlines()


def _escaped(text: str) -> str:
    plain_and_code = re.split(r"`([^`]+)`", text)
    return "".join(
        f"``{part}``" if index % 2 else SPECIAL.sub(r"\\\1", part) for index, part in enumerate(plain_and_code)
    )
