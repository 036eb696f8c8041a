"""A page in a real browser: headless chromium without a network, whose console must stay empty."""

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
needs_a_browser = pytest.mark.skipif(
    BROWSER is None and not os.environ.get("CI"), reason="needs chromium (apt install chromium)"
)
QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
OFFLINE = ["--proxy-server=127.0.0.1:9", "--host-resolver-rules=MAP * ~NOTFOUND"]  # nothing listens there
REPORTED = re.compile(r':CONSOLE.*?\] "(.*?)", source', re.DOTALL)  # errors, uncaught ones too, warnings and messages
PROBE = """<script>(async () => {
const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const outcome = await (async () => { %s })();
const element = document.createElement("pre");
element.id = "outcome";
element.textContent = JSON.stringify(outcome);
document.body.append(element);
})();</script>"""


def document_of(page: Path, profile: Path, *, expected: str = "nothing") -> str:
    """The document after its scripts have run; fails for anything on the console but what matches `expected`."""
    assert BROWSER, "CI must have a browser"
    command = [BROWSER, *QUIET, *OFFLINE, f"--user-data-dir={profile}", "--enable-logging=stderr"]
    command += ["--virtual-time-budget=20000", "--dump-dom", page.as_uri()]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    reported = [message for message in REPORTED.findall(found.stderr) if not re.match(expected, message)]
    assert not reported, reported
    return found.stdout


def outcome_of(page: Path, script: str, profile: Path, **options: Any) -> Any:
    """What the body of an async function returns that runs at the end of the page; `await wait(ms)` lets it draw."""
    probed = page.with_name(f"probed-{page.name}")
    before, end, after = page.read_text(encoding="utf-8").rpartition("</body>")
    assert end, "the page has no end of its body"
    probed.write_text(before + PROBE % script + end + after, encoding="utf-8")
    found = re.search(r'<pre id="outcome">(.*?)</pre>', document_of(probed, profile, **options), re.DOTALL)
    assert found, "the script did not come to its end"
    return json.loads(html.unescape(found[1]))
