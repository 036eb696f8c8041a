"""HTML around a view: templates, scripts and style sheet are files beside this one; circuitsvis' bundle is its wheel's.

circuitsvis' `_repr_html_` contacts a host to choose a source and its `str()` shows nothing offline, so its component is
mounted here by scripts of ours. A page holds all scripts once, however many views it has.
"""

from __future__ import annotations

import base64
import html
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from grok_interp.plots.attention.quantized import ERROR

SCRIPTS = ("patterns.js", "chart.js", "export.js", "view.js")  # share one scope
SHOW_VIEW = "AttentionViews.show(document.currentScript.parentElement)"  # beside each view
FRAME = '<iframe title="{title}" srcdoc="{page}" style="width: 100%; height: 900px; border: 0"></iframe>'


def attention_assets() -> str:
    """Style and scripts of all attention views of a page, to be inlined once before them."""
    ours = "\n".join(_text(name) for name in SCRIPTS)
    bundle = _without_source_map((files("circuitsvis") / "dist" / "cdn" / "iife.js").read_text(encoding="utf-8"))
    scripts = (bundle, f'"use strict";\nconst AttentionViews = (() => {{\n{ours}\nreturn {{ show }};\n}})();')
    return f"<style>\n{_text('attention.css')}</style>\n" + "".join(map(_script, scripts))


def render(template: str, **values: Any) -> str:
    environment = Environment(
        loader=PackageLoader("grok_interp.plots.attention", "."),
        autoescape=select_autoescape(["jinja"]),
        undefined=StrictUndefined,
    )
    return environment.get_template(template).render(assets=attention_assets, error=ERROR, show=SHOW_VIEW, **values)


def notebook_html(page: str, png: bytes, title: str) -> str:
    """A picture, and a frame with the page that hides the picture when its scripts run and takes the height it needs.

    An output needs no other output's script this way, and an untrusted notebook, in which none runs, shows the picture.
    """
    picture = base64.b64encode(png).decode()
    title = html.escape(title)
    page = page.replace("&", "&amp;").replace('"', "&quot;")  # all that an attribute needs
    return (
        f'<div><img alt="{title}" src="data:image/png;base64,{picture}" style="max-width: 100%">'
        f"{FRAME.format(title=title, page=page)}</div>"
    )


def _script(code: str) -> str:
    return "<script>" + code.replace("</script", "<\\/script") + "</script>\n"


def _text(name: str) -> str:
    return (files("grok_interp.plots.attention") / name).read_text(encoding="utf-8")


def _without_source_map(code: str) -> str:
    """A browser's developer tools would look for the map."""
    return code.rsplit("\n//# sourceMappingURL=", 1)[0]
