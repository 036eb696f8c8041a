"""HTML around a view: templates, scripts and style sheet are files beside this one; circuitsvis' bundle is its wheel's.

circuitsvis' `_repr_html_` contacts a host to choose a source and its `str()` shows nothing offline, so its component is
mounted here by scripts of ours, in a frame for each chart (see chart.js). A page holds all scripts once, however many
views it has.
"""

from __future__ import annotations

import base64
import html
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from grok_interp.plots.attention.quantized import ERROR

SCRIPTS = ("patterns.js", "chart.js", "canvas.js", "export.js", "view.js")  # share one scope
SHOW_VIEW = "AttentionViews.show(document.currentScript.parentElement)"  # beside each view
FRAME = '<iframe class="attention-frame" title="{title}" srcdoc="{page}" style="{style}"></iframe>'
FRAME_STYLE = "width: 100%; height: 1px; border: 0"


def attention_assets(*, circuitsvis: bool = True) -> str:
    """Style and scripts of all attention views of a page, to be inlined once before them.

    Args:
        circuitsvis: whether they draw with it; a view of many tokens does not.
    """
    ours = "\n".join(_text(name) for name in SCRIPTS)
    bundle = f'<script type="text/plain" class="av-circuitsvis">{chart_script()}</script>\n' if circuitsvis else ""
    script = _escaped(f'"use strict";\nconst AttentionViews = (() => {{\n{ours}\nreturn {{ show }};\n}})();')
    return f"<style>\n{_text('attention.css')}</style>\n{bundle}<script>{script}</script>\n"


@cache
def chart_script() -> str:
    """What runs in the frame of a chart: circuitsvis, and what mounts its component."""
    bundle = _without_source_map((files("circuitsvis") / "dist" / "cdn" / "iife.js").read_text(encoding="utf-8"))
    return _escaped(f"{bundle}\n{_text('frame.js')}")


def render(template: str, **values: Any) -> str:
    environment = Environment(
        loader=PackageLoader("grok_interp.plots.attention", "."),
        autoescape=select_autoescape(["jinja"]),
        undefined=StrictUndefined,
    )
    return environment.get_template(template).render(assets=attention_assets, error=ERROR, show=SHOW_VIEW, **values)


def notebook_html(page: str, png: bytes, title: str) -> str:
    """A picture, and a frame with the page, which takes the picture's place when its scripts run (see notebook.js).

    An output needs no other output's script this way, and an untrusted notebook, in which none runs, shows the picture.
    The frame tells its height in a message, so it may be in a sandbox without an origin.
    """
    picture = base64.b64encode(png).decode()
    title = html.escape(title)
    page = page.replace("&", "&amp;").replace('"', "&quot;")  # all that an attribute needs
    frame = FRAME.format(title=title, page=page, style=FRAME_STYLE)
    return (
        f'<div><img alt="{title}" src="data:image/png;base64,{picture}" style="max-width: 100%">'
        f"{frame}<script>{_escaped(_text('notebook.js'))}</script></div>"
    )


def _escaped(code: str) -> str:
    """JavaScript that does not end the element that it is in."""
    return code.replace("</script", "<\\/script")


def _text(name: str) -> str:
    return (files("grok_interp.plots.attention") / name).read_text(encoding="utf-8")


def _without_source_map(code: str) -> str:
    """A browser's developer tools would look for the map."""
    return code.rsplit("\n//# sourceMappingURL=", 1)[0]
