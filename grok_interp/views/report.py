"""A page that opens offline: pictures and JavaScript inlined, every text escaped by jinja.

A picture has up to two forms: the figure for paper and for browsers without JavaScript, and its interactive twin.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from jinja2 import Environment, PackageLoader, select_autoescape
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from grok_interp.files import write_text
from grok_interp.views.attention import attention_assets
from grok_interp.views.interactive import Twin, plotly_javascript
from grok_interp.views.theme import STYLE

MOST_CSV = 500_000  # bytes of a table that a page holds; a dozen of them leave it below 15 MB
DASH_ARRAYS = {"-": "none", "--": "8 4", ":": "2 3", "-.": "8 3 2 3"}


@dataclass(frozen=True)
class Headline:
    """One number of the page's head."""

    value: str
    label: str


@dataclass(frozen=True)
class Section:
    """A picture with a title, a text above and a caption below; `picture` is HTML that a view of ours made.

    `twin` takes its place on a screen. `table` can be downloaded as CSV, when it has less than `MOST_CSV` bytes.
    """

    title: str
    text: str
    picture: str
    caption: str = ""
    twin: Twin | None = None
    table: pd.DataFrame | None = None

    @property
    def slug(self) -> str:
        return "-".join(re.findall(r"[a-z0-9]+", self.title.lower()))

    @property
    def csv(self) -> str:
        """The table as a data: link; empty when there is none, or it is too large."""
        if self.table is None:
            return ""
        text = self.table.to_csv(index=False, float_format="%.6g").encode()
        return f"data:text/csv;base64,{base64.b64encode(text).decode()}" if len(text) <= MOST_CSV else ""


@dataclass(frozen=True)
class Page:
    """`start` is the step that the slider begins at, the last if none is named."""

    title: str
    summary: str
    headlines: Sequence[Headline]
    sections: Sequence[Section]
    settings: Mapping[str, Any]
    warnings: Sequence[str] = ()
    start: int | None = None

    def html(self, *, version: str = "") -> str:
        """`version` makes the page reload itself when its server's /version says another one."""
        environment = Environment(
            loader=PackageLoader("grok_interp.views", "."), autoescape=select_autoescape(["jinja"])
        )
        environment.filters |= {"css_colour": to_hex, "css_dashes": DASH_ARRAYS.get}
        steps = self.steps
        return environment.get_template("report.html.jinja").render(
            title=self.title,
            summary=self.summary,
            headlines=self.headlines,
            sections=self.sections,
            warnings=self.warnings,
            settings={**self.settings, **_versions()} if self.settings else {},
            steps=steps,
            start=steps.index(self.start) if self.start in steps else len(steps) - 1,
            version=version,
            style=_packaged("report.css"),
            script=_packaged("report.js"),
            plotly=plotly_javascript(),
            attention=attention_assets(),
        )

    @property
    def steps(self) -> list[int]:
        """Where the slider stops: every checkpoint of every twin."""
        return sorted({int(step) for section in self.sections if section.twin for step in section.twin.steps})

    def write(self, path: Path) -> Path:
        write_text(path, self.html())
        return path


def table_html(table: pd.DataFrame) -> str:
    """A table as HTML, every cell escaped."""
    return table.to_html(index=False, border=0, na_rep="-", escape=True)


def inline_svg(figure: Figure) -> str:
    """The figure as an SVG element to stand in a page: no background, black in the colour of the page's text.

    Its ids are its own: matplotlib gives equal parts of two figures the same one.
    """
    buffer = io.StringIO()
    with plt.rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace("#000000", "currentColor")
    mark = hashlib.sha256(svg.encode()).hexdigest()[:8]
    return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{mark}-", svg)


def _packaged(name: str) -> str:
    return (files("grok_interp.views") / name).read_text(encoding="utf-8")


def _versions() -> dict[str, str]:
    packages = ("grok-interp", "torch", "transformer-lens")
    return {"versions": ", ".join(f"{name} {version(name)}" for name in packages)}
