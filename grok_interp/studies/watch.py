"""The report of a run while it trains: served to this machine only, made anew when there are new checkpoints.

    /           the page, or one that says what it waits for
    /version    changes with the page, which asks for it and reloads itself

Nothing else is served. A request must name this machine as its host, once: a page elsewhere that has its own name
resolved to 127.0.0.1 (DNS rebinding) gets no answer. The page runs the package's scripts alone (see
`plots.content_security_policy`).
Connections are bounded in number and in time, so that no client keeps the others out.
"""

from __future__ import annotations

import errno
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from socket import SHUT_RDWR, socket
from typing import Any

from grok_interp.counted import counted
from grok_interp.device import threads
from grok_interp.plots.content_security_policy import content_security_policy
from grok_interp.plots.page import Page
from grok_interp.runs.run import Run
from grok_interp.studies.catalog import study_of

HOST = "127.0.0.1"
SILENT_SECONDS = 10.0  # a client that is silent for as long is given up
CONNECTION_SECONDS = 60.0  # whatever it sends: one request and its answer
MOST_CONNECTIONS = 32  # at a time; a browser opens six
FULL = b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n"
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


class Server(ThreadingHTTPServer):
    """Answers each request in a thread of its own, as long as there are not too many."""

    daemon_threads = True  # the command ends with its main thread, whatever a client does

    def __init__(self, port: int, shown: Shown) -> None:
        self.places = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__((HOST, port), partial(Handler, shown))

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self.places.acquire(blocking=False):
            with suppress(OSError):
                request.sendall(FULL)
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        end = threading.Timer(CONNECTION_SECONDS, _cut, [request])
        end.daemon = True
        end.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            end.cancel()
            self.places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has left is no error of ours."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def _cut(connection: socket) -> None:
    with suppress(OSError):  # it has ended meanwhile
        connection.shutdown(SHUT_RDWR)


class Handler(BaseHTTPRequestHandler):
    """Answers GET of the two addresses."""

    server_version, sys_version = "grok-interp", ""
    timeout = SILENT_SECONDS

    def __init__(self, shown: Shown, *request: object) -> None:
        self.shown = shown
        super().__init__(*request)  # pyright: ignore[reportArgumentType]

    def do_GET(self) -> None:
        port, hosts = self.connection.getsockname()[1], self.headers.get_all("Host", [])
        answers = {
            "/": (self.shown.page, "text/html; charset=utf-8"),
            "/version": (self.shown.version.encode(), "text/plain; charset=utf-8"),
        }
        if len(hosts) != 1:
            self.send_error(HTTPStatus.BAD_REQUEST, "A request has one Host header")
        elif hosts[0] not in (f"{HOST}:{port}", f"localhost:{port}"):
            self.send_error(HTTPStatus.FORBIDDEN, "This page is for its own machine")
        elif self.path not in answers:
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            self._answer(*answers[self.path])

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def end_headers(self) -> None:
        """Of answers and of errors alike."""
        self.send_header("Content-Security-Policy", content_security_policy())
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it)
        """Requests are not printed."""


@contextmanager
def serving(shown: Shown, port: int) -> Iterator[str]:
    """The address of a server in a thread of its own. Raises ValueError for a port that cannot be had."""
    if not 0 <= port <= 65535:
        raise ValueError(f"--port must be from 0 to 65535, got {port}: 0 takes one that is free")
    try:
        server = Server(port, shown)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        why = "is in use" if error.errno == errno.EADDRINUSE else "may not be used"
        raise ValueError(f"port {port} {why}: give another one, or --port 0 for one that is free") from None
    server.socket.settimeout(SILENT_SECONDS)  # a client may leave between its announcement and its acceptance
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

    `on_start` is called with the address, `on_page` with the last step that a new page shows. The analysis runs in this
    thread and on one core, to leave the others to the training. Raises ValueError for a port that is not available,
    and for a run that can no longer be read.
    """
    shown = Shown()
    shown.show(_waiting(run))
    with threads(1), serving(shown, port) as address:
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
        f"{run} has {counted(len(run), 'checkpoint')}, none analyzed yet. The page opens by itself."
        if run.steps
        else f"{run} has no checkpoint yet. The page opens by itself when there is one."
    )
    settings = run.trained.flattened() if run.trained else {}
    return Page("Waiting for the run", text, [], [], settings)
