"""What the command line prints: tables and a hint for a reader, paths alone for a script, JSON for a program.

On a terminal tables are drawn, in color unless NO_COLOR is set; in a pipe or a file they are plain aligned lines.
What was asked for goes to stdout; progress, hints and errors go to stderr.
"""

from __future__ import annotations

import json as json_format
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from grok_interp.progress import Advance

Row = Mapping[str, Any]
UNBOUNDED = 10_000  # columns: to ask how narrow a table can be without breaking a word
STYLES = {"yes": "green", "supported": "green", "missing": "yellow", "undecided": "yellow", "not supported": "red"}


def printable(text: object) -> str:
    """Text whose control characters are escaped: a name from elsewhere cannot move the cursor or rename the window.

    Line ends and tabs stay. So do letters of any script; what changes the direction of text is escaped.
    """
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode() for char in str(text)
    )


def command(*words: object) -> str:
    """A command to type: words that the shell would split or expand are quoted."""
    return shlex.join(str(word) for word in words)


@dataclass(frozen=True)
class Output:
    """What a verb prints.

    Args:
        quiet: print nothing but the names or paths of what was found or written, and errors.
        json: print one JSON document on stdout, for programs.
    """

    quiet: bool = False
    json: bool = False

    def say(self, text: object) -> None:
        """A line for a reader."""
        if not (self.quiet or self.json):
            print(printable(text), flush=True)

    def warn(self, where: Path, reason: str) -> None:
        """A line on what was left out, never quiet."""
        print(printable(f"left out: {where}: {reason}"), file=sys.stderr)

    def show(self, rows: Sequence[Row]) -> None:
        """A table for a reader, a column for each key."""
        self._print(_table(rows), _lines(rows))

    def show_facts(self, facts: Mapping[str, str]) -> None:
        """Label -> value for a reader, the values first."""
        width = max(map(len, facts.values()))
        self._print(_grid(facts), "\n".join(f"{value:>{width}}  {label}" for label, value in facts.items()))

    def progress(self, task: str, *, transient: bool = False) -> AbstractContextManager[Advance]:
        """`progress.progress`, or nothing when quiet."""
        from grok_interp.progress import progress, silent

        return silent(task) if self.quiet else progress(task, transient=transient)

    def finish(self, facts: object, *, made: Sequence[str | Path], then: str = "") -> None:
        """The last words: `facts` as JSON, or the names in `made`, or the command to type next."""
        if self.json:
            print(json_format.dumps(facts, indent=1, default=str))
        elif self.quiet:
            print(*map(printable, made), sep="\n", end="\n" if made else "")
        elif then:
            print(f"next: {printable(then)}", file=sys.stderr)

    def _print(self, table: Table, plain: str) -> None:
        from rich.console import Console

        if self.quiet or self.json:
            return
        console = Console()
        if console.is_terminal:
            console.width = max(console.width, Console(width=UNBOUNDED).measure(table).minimum)
            console.print(table)
        else:
            print(printable(plain))


def _table(rows: Sequence[Row]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for key in rows[0] if rows else ():
        values = [row[key] for row in rows]
        has_sentences = any(" " in str(value) for value in values)
        is_count = not any(isinstance(value, str | bool) for value in values)
        table.add_column(key, no_wrap=not has_sentences, justify="right" if is_count else "left")
    for row in rows:
        cells = map(_shown, row.values())
        table.add_row(*(Text(printable(cell), STYLES.get(cell, "")) for cell in cells))
    return table


def _grid(facts: Mapping[str, str]) -> Table:
    from rich.table import Table
    from rich.text import Text  # a plain string would lose its [brackets], rich's markup

    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right", style="bold")
    for label, value in facts.items():
        grid.add_row(Text(printable(value)), Text(printable(label)))
    return grid


def _lines(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    cells = [list(rows[0]), *([_shown(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
