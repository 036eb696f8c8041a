"""The report of a run while it trains: served to this machine only, made anew when there are new checkpoints.

    /           the page, or one that says what it waits for
    /version    changes with the page, which asks for it and reloads itself

Nothing else is served. A request must name this machine as its host: a page elsewhere that has its own name resolved to
127.0.0.1 (DNS rebinding) gets no answer.
"""

from __future__ import annotations

import errno
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

from grok_interp.plots.page import Page
from grok_interp.runs.run import Run
from grok_interp.runs.series_run import SeriesRun
from grok_interp.studies.catalog import study_of

HOST = "127.0.0.1"
CONNECTION_SECONDS = 10.0  # a client that is silent for as long is given up
SECONDS = 2.0  # between two looks at the run's checkpoints


@dataclass
class Shown:
    """What the server answers; the version is another for each page and each server."""

    page: bytes = b""
    version: str = ""
    _versions: Iterator[str] = field(default_factory=lambda: map(f"{secrets.token_hex(4)}-{{}}".format, count()))

    def show(self, page: Page) -> None:
        version = next(self._versions)
        self.page, self.version = page.html(version=version).encode(), version


class Handler(BaseHTTPRequestHandler):
    """Answers GET of the two addresses."""

    server_version, sys_version = "grok-interp", ""
    timeout = CONNECTION_SECONDS

    def __init__(self, shown: Shown, *request: object) -> None:
        self.shown = shown
        super().__init__(*request)  # pyright: ignore[reportArgumentType]

    def do_GET(self) -> None:
        port = self.connection.getsockname()[1]
        answers = {
            "/": (self.shown.page, "text/html; charset=utf-8"),
            "/version": (self.shown.version.encode(), "text/plain; charset=utf-8"),
        }
        if self.headers.get("Host") not in (f"{HOST}:{port}", f"localhost:{port}"):
            self.send_error(HTTPStatus.FORBIDDEN, "This page is for its own machine")
        elif self.path not in answers:
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            self._answer(*answers[self.path])

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it)
        """Requests are not printed."""


@contextmanager
def serving(shown: Shown, port: int) -> Iterator[str]:
    """The address of a server in a thread of its own. Raises ValueError for a port that cannot be had."""
    if not 0 <= port <= 65535:
        raise ValueError(f"--port must be from 0 to 65535, got {port}: 0 takes one that is free")
    try:
        server = ThreadingHTTPServer((HOST, port), partial(Handler, shown))
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        why = "is in use" if error.errno == errno.EADDRINUSE else "may not be used"
        raise ValueError(f"port {port} {why}: give another one, or --port 0 for one that is free") from None
    server.socket.settimeout(CONNECTION_SECONDS)  # a client may leave between its announcement and its acceptance
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def watch_run(
    run: Run,
    *,
    port: int,
    device: str = "cpu",
    on_start: Callable[[str], None] | None = None,
    on_page: Callable[[int], None] | None = None,
    seconds: float = SECONDS,
) -> None:
    """Serve a run's report until an exception, Ctrl-C's among them, ends it; what was analyzed is kept.

    `on_start` is told the address, `on_page` the last step that a new page shows. The analysis runs in this thread and
    on one core, to leave the others to the training. Raises ValueError for a port that cannot be had, and for a run
    that can no longer be read.
    """
    import torch

    shown = Shown()
    torch.set_num_threads(1)
    shown.show(_waiting(run))
    with serving(shown, port) as address:
        if on_start:
            on_start(address)
        steps: tuple[int, ...] = ()
        while True:
            if run.steps != steps:
                steps = run.steps
                shown.show(report_of(run, device) if steps else _waiting(run))
                if on_page and steps:
                    on_page(steps[-1])
            time.sleep(seconds)


def report_of(run: Run, device: str) -> Page:
    """The page that `grok-interp report` writes, after the analysis of what is new. Writes results, and no report."""
    return study_of(run).report_page(run, device=device)


def _waiting(run: Run) -> Page:
    text = (
        f"{run} has {len(run)} checkpoints, none of them analyzed yet. The page comes by itself."
        if run.steps
        else f"{run} has no checkpoint yet. The page comes by itself when there is one."
    )
    settings = {} if isinstance(run, SeriesRun) else run.config.flattened()
    return Page("Waiting for the run", text, [], [], settings)
