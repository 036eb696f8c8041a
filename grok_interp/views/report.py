"""A page that opens offline: pictures and JavaScript inlined, every text escaped by jinja."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, select_autoescape
from matplotlib.figure import Figure

from grok_interp.checkpoints.store import write_text
from grok_interp.views.attention import attention_assets
from grok_interp.views.heads import plotly_javascript


@dataclass(frozen=True)
class Headline:
    """One number of the page's head."""

    value: str
    label: str


@dataclass(frozen=True)
class Section:
    """A picture with a title, a text above and a caption below; `picture` is HTML that a view of ours made."""

    title: str
    text: str
    picture: str
    caption: str = ""


@dataclass(frozen=True)
class Page:
    title: str
    summary: str
    headlines: Sequence[Headline]
    sections: Sequence[Section]
    settings: Mapping[str, Any]
    warnings: Sequence[str] = ()

    def html(self) -> str:
        environment = Environment(
            loader=PackageLoader("grok_interp.views", "."), autoescape=select_autoescape(["jinja"])
        )
        return environment.get_template("report.html.jinja").render(
            title=self.title,
            summary=self.summary,
            headlines=self.headlines,
            sections=self.sections,
            warnings=self.warnings,
            settings={**self.settings, **_versions()}.items(),
            plotly=plotly_javascript(),
            attention=attention_assets(),
        )

    def write(self, path: Path) -> Path:
        write_text(path, self.html())
        return path


def table_html(table: pd.DataFrame) -> str:
    """A table as HTML, every cell escaped."""
    return table.to_html(index=False, border=0, na_rep="-", escape=True)


def inline_svg(figure: Figure) -> str:
    """The figure as an SVG element to stand in a page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    return svg[svg.index("<svg") :]


def _versions() -> dict[str, str]:
    packages = ("grok-interp", "torch", "transformer-lens")
    return {"versions": ", ".join(f"{name} {version(name)}" for name in packages)}
