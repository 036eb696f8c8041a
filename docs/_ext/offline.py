"""Pages must open without a network: what they would load from one is an error of the build."""

from __future__ import annotations

import re
from pathlib import Path

LOADED = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=[\"']?((?:https?:)?//[^\"'\s>]+)")
BY_SCRIPT = re.compile(r"[\"'](https?://(?:cdn\.|cdnjs\.|unpkg\.)[^\"'\s]+)")


def remote_resources(html: str) -> list[str]:
    """Addresses that a page loads when it is opened; links to follow are none."""
    return LOADED.findall(html) + BY_SCRIPT.findall(html)


def refuse_remote_resources(app, exception: Exception | None) -> None:
    """Raises ExtensionError for a built page that would ask another host for anything."""
    from sphinx.errors import ExtensionError

    pages = [] if exception else sorted(Path(app.outdir).rglob("*.html"))
    found = {page: remote_resources(page.read_text()) for page in pages}
    if asking := [f"{page.relative_to(app.outdir)}: {resources[0]}" for page, resources in found.items() if resources]:
        raise ExtensionError(f"pages must open offline, these load from the network: {'; '.join(asking)}")
