"""The Content-Security-Policy of a page that is served: it runs the package's scripts and no other, and loads nothing.

A script is allowed by the hash of its text. The texts are taken from a page that holds nothing else, so no name, title
or text of a run can add one. Styles are not restricted: figures have them in their elements.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache

from grok_interp.plots.attention.assets import SHOW_VIEW
from grok_interp.plots.page import Page

# what runs, in the page or as text/plain in the frame of a chart; JSON for scripts has another type
SCRIPT = re.compile(r'<script(?: type="text/plain"[^>]*)?>(.*?)</script>', re.DOTALL)


@cache
def content_security_policy() -> str:
    """The value of the header for every page that `Page.html` makes."""
    scripts = [*SCRIPT.findall(Page("", "", [], [], {}).html()), SHOW_VIEW]
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(map(_source, scripts))}",
            "style-src 'unsafe-inline'",
            "img-src data: blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def _source(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
