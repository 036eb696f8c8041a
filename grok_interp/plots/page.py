"""A page that opens offline: pictures and JavaScript inlined, every text escaped by jinja.

A drawing is in it twice: as on paper, for print and for browsers without JavaScript, and interactive.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from importlib.metadata import version
from importlib.resources import files
from itertools import cycle
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, select_autoescape

from grok_interp.configs.checks import flatten
from grok_interp.files import write_text
from grok_interp.plots.attention import attention_assets
from grok_interp.plots.drawing import Drawing
from grok_interp.plots.marks import ColorScale
from grok_interp.plots.paper import inline_svg, save_figure
from grok_interp.plots.screen import Screen, on_screen, plotly_javascript
from grok_interp.plots.theme import colorscale

MOST_CSV = 500_000  # bytes of a table that a page holds; a dozen of them leave it below 15 MB
DASH_ARRAYS = {"-": "none", "--": "8 4", ":": "2 3", "-.": "8 3 2 3"}


@dataclass(frozen=True)
class Headline:
    """One number of the page's head."""

    value: str
    label: str


@dataclass(frozen=True)
class Section:
    """A title, a text, a picture, and a caption below it.

    Args:
        title: of the section.
        text: above the picture.
        drawing: the picture.
        caption: below it.
        html: instead of a drawing, HTML that the package has made.
        table: can be downloaded as CSV when it has less than `MOST_CSV` bytes.
        file: name under which the drawing is kept for paper, if it is.
    """

    title: str
    text: str
    drawing: Drawing | None = None
    caption: str = ""
    html: str = ""
    table: pd.DataFrame | None = None
    file: str = ""

    @property
    def slug(self) -> str:
        return "-".join(re.findall(r"[a-z0-9]+", self.title.lower()))

    @cached_property
    def screen(self) -> Screen | None:
        return on_screen(self.drawing) if self.drawing else None

    @property
    def printed(self) -> str:
        return inline_svg(self.drawing) if self.drawing else self.html

    @property
    def csv(self) -> str:
        """The table as a data: link; empty when there is none, or it is too large."""
        if self.table is None:
            return ""
        text = self.table.to_csv(index=False, float_format="%.6g").encode()
        return f"data:text/csv;base64,{base64.b64encode(text).decode()}" if len(text) <= MOST_CSV else ""


MOST_HEADLINES = 6  # on the first screen


@dataclass(frozen=True)
class Page:
    """A first screen, then sections.

    Args:
        title: the question.
        summary: what was run, below the first screen.
        headlines: at most `MOST_HEADLINES` numbers, each with its uncertainty.
        sections: below the first screen.
        settings: name -> value, at the end.
        warnings: what a reader must know before the numbers.
        start: the step that the slider begins at, the last if None.
        answer: the result in one sentence.
        overview: the figure of the first screen.
        numbers: label -> value, every number of the report, as its last section.

    Raises:
        ValueError: for too many headlines.
    """

    title: str
    summary: str
    headlines: Sequence[Headline]
    sections: Sequence[Section]
    settings: Mapping[str, Any]
    warnings: Sequence[str] = ()
    start: int | None = None
    answer: str = ""
    overview: Section | None = None
    numbers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.headlines) > MOST_HEADLINES:
            raise ValueError(
                f"a page has at most {MOST_HEADLINES} headlines, got {len(self.headlines)}: put the others in a section"
            )

    def html(self, *, version: str = "") -> str:
        """`version` makes the page reload itself when its server's /version says another one."""
        steps = self.steps
        return _template("page.html.jinja").render(
            title=self.title,
            summary=self.summary,
            answer=self.answer,
            overview=self.overview,
            headlines=self.headlines,
            sections=[*self.sections, *([_numbers_section(self.numbers)] if self.numbers else [])],
            warnings=self.warnings,
            settings=_settings_in_words(self.settings),
            steps=steps,
            start=steps.index(self.start) if self.start in steps else len(steps) - 1,
            version=version,
            style=_packaged("page.css"),
            script=_packaged("page.js"),
            plotly=plotly_javascript(),
            attention=attention_assets(),
        )

    @property
    def steps(self) -> list[int]:
        """Where the slider stops: every training step of every drawing."""
        return sorted({step for section in self._figures if section.screen for step in section.screen.steps})

    @property
    def _figures(self) -> list[Section]:
        return [*([self.overview] if self.overview else []), *self.sections]

    def write(self, path: Path) -> Path:
        write_text(path, self.html())
        return path

    def save_figures(self, folder: Path, *, on_figure: Callable[[int, int], None] | None = None) -> list[Path]:
        """Every drawing that has a file name, as SVG and PDF; `on_figure` is told how many are done, of how many."""
        kept = [(section.file, section.drawing) for section in self._figures if section.file and section.drawing]
        paths: list[Path] = []
        for done, (name, drawing) in enumerate(kept, start=1):
            paths += save_figure(drawing, Path(folder) / name)
            if on_figure:
                on_figure(done, len(kept))
        return paths


def page_of(screen: Screen) -> str:
    """A page that holds one drawing."""
    steps = list(screen.steps)
    return _template("drawing.html.jinja").render(
        screen=screen,
        steps=steps,
        start=len(steps) - 1,
        style=_packaged("page.css"),
        script=_packaged("page.js"),
        plotly=plotly_javascript(),
    )


def table_html(table: pd.DataFrame) -> str:
    """A table as HTML, every cell escaped; each cell knows its column, which a phone shows beside it."""
    columns = cycle([escape(str(column)) for column in table.columns])
    text = table.to_html(index=False, border=0, na_rep="-", escape=True)
    return re.sub("<td>", lambda _: f'<td data-label="{next(columns)}">', text)


def _numbers_section(numbers: Mapping[str, str]) -> Section:
    table = pd.DataFrame({"": list(numbers), "value": list(numbers.values())})
    return Section("All numbers", "", html=f'<div class="wide">{table_html(table)}</div>')


def _template(name: str) -> Any:
    environment = Environment(loader=PackageLoader("grok_interp.plots", "."), autoescape=select_autoescape(["jinja"]))
    environment.filters |= {"css_dashes": DASH_ARRAYS.get, "gradient": _gradient}
    return environment.get_template(name)


def _gradient(scale: ColorScale) -> str:
    return f"linear-gradient(to right, {', '.join(color for _, color in colorscale(scale.colors))})"


def _packaged(name: str) -> str:
    return (files("grok_interp.plots") / name).read_text(encoding="utf-8")


def _settings_in_words(settings: Mapping[str, Any]) -> dict[str, str]:
    """With the versions; a mapping in it has a row for each of its names, as `model.n_layers`. None where none are."""
    return {name: _in_words(value) for name, value in flatten({**settings, **_versions()}).items()} if settings else {}


def _in_words(value: Any) -> str:
    if value is None or value in ((), []):
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _versions() -> dict[str, str]:
    packages = ("grok-interp", "torch", "transformer-lens")
    return {"versions": ", ".join(f"{name} {version(name)}" for name in packages)}
