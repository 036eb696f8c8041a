"""Chromium, without a network, driven through its own protocol: what a reader of a page sees and does.

The protocol is JSON messages, each ended by a zero byte, on two pipes that the browser finds as files 3 and 4.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
needs_a_browser = pytest.mark.skipif(
    BROWSER is None and not os.environ.get("CI"), reason="needs chromium (apt install chromium)"
)
QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
OFFLINE = ["--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"]
MOST_ASKED = 3_000
CHART = "document.querySelector('.av-chart iframe')?.contentDocument.querySelector('canvas')"
SLIDER = "document.getElementById('step')"
DRAWN = "document.documentElement?.dataset.drawn === 'yes'"


class Refused(Exception):
    """The browser could not do what it was asked."""


class Tab:
    """One page. What the browser logs as an error, or a script does not catch, is in `errors`."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read = write, os.fdopen(read, "rb")
        self._sent, self._session, self._buffer = 0, "", b""
        self.errors: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._sent:
            self._note(answer)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["result"]

    def open(
        self, address: str, *, width: int = 1400, height: int = 900, scheme: str = "light", until: str = DRAWN
    ) -> None:
        """Load a page, and wait until a JavaScript condition holds: that the graphs of a report are drawn."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.show_as(scheme=scheme)
        self.call("Page.navigate", url=address)
        self.wait_for(until)

    def show_as(self, *, media: str = "screen", scheme: str = "light") -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression, as JSON gives it; promises are waited for."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Until a JavaScript condition holds, on this page or on the one that replaces it.

        Asked so many times, and not for so long: on a busy machine each time takes longer.
        """
        for _ in range(MOST_ASKED):
            with suppress(Refused):  # between two pages there is none to ask
                if self.ask(f"Boolean({condition})"):
                    return
            time.sleep(0.1)
        raise AssertionError(f"not true, asked {MOST_ASKED} times: {condition}")

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        found = self.call("Page.captureScreenshot", captureBeyondViewport=whole, **self._clip(whole))
        path.write_bytes(base64.b64decode(found["data"]))

    def _clip(self, whole: bool) -> dict[str, Any]:
        if not whole:
            return {}
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            chunk = self._read.read1(1 << 20)
            assert chunk, "the browser ended"
            self._buffer += chunk
        text, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(text)

    def _note(self, event: dict[str, Any]) -> None:
        details = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(details["exceptionDetails"]))
        if event.get("method") == "Log.entryAdded" and details["entry"]["level"] == "error":
            self.errors.append(details["entry"]["text"])
        if event.get("method") == "Page.javascriptDialogOpening":
            self.errors.append(f"alert {details['message']}")  # the page stands still: what waits for it fails, too
        if event.get("method") == "Runtime.consoleAPICalled" and details["type"] == "error":
            self.errors.append(json.dumps(details["args"]))


@contextmanager
def browser(profile: Path) -> Iterator[Tab]:
    assert BROWSER, "CI must have a browser"
    (their_read, write), (read, their_write) = os.pipe(), os.pipe()
    # the shell gives the pipes the numbers that the browser expects, whatever they are here
    script = f'exec "$@" 3<&{their_read} 4>&{their_write}'
    command = [BROWSER, *QUIET, *OFFLINE, f"--user-data-dir={profile}", "--remote-debugging-pipe"]
    process = subprocess.Popen(
        ["bash", "-c", script, "browser", *command],
        pass_fds=(their_read, their_write),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(their_read)
    os.close(their_write)
    tab = Tab(write, read)
    try:
        yield tab
    finally:
        tab._session = ""
        tab.call("Browser.close")
        process.wait()
        tab._read.close()
        os.close(write)


def move_slider(tab: Tab, place: int) -> None:
    """Of a report."""
    tab.ask(f"(() => {{ const s = {SLIDER}; s.value = {place}; s.dispatchEvent(new Event('input')); }})()")
    tab.ask("new Promise(requestAnimationFrame)")


def require_attention(tab: Tab) -> None:
    """Of the report of a tiny run: thumbnails of the four heads and circuitsvis' chart in its frame."""
    tab.wait_for("document.querySelector('.attention-view.av-ready')")
    view = tab.ask("document.querySelector('.attention-view').outerHTML")
    assert all(f"L{layer}H{head}" in view for layer in range(2) for head in range(2))
    assert view.count("<canvas") == 4 and "Training step" in view
    tab.wait_for(CHART)


def outcome_of(page: Path, script: str, tab: Tab, *, expected: str = "nothing") -> Any:
    """What the body of an async function returns on a page; `await wait(ms)` lets it draw.

    Fails for anything that the browser logs as an error but what matches `expected`.
    """
    wait = "const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));"
    tab.open(page.as_uri(), until=f"location.href === '{page.as_uri()}' && document.readyState === 'complete'")
    found = tab.ask(f"(async () => {{ {wait} {script} }})()")
    errors = [error for error in tab.errors if not re.match(expected, error)]
    assert not errors, errors
    return found
