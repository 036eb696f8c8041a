"""A run is watched while it trains: the real server, on a port that the system chooses."""

import http.client
import re
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from browser import browser, needs_a_browser
from hidden_checkpoints import run_up_to_step_5, uncover

from grok_interp.configs import TrainConfig
from grok_interp.models.transformer import Transformer
from grok_interp.plots import attention_view
from grok_interp.plots.page import Page, Section
from grok_interp.runs.run import Run
from grok_interp.runs.saved_checkpoints import SavedCheckpoints
from grok_interp.studies import watch
from grok_interp.studies.watch import Shown, serving, watch_run


@pytest.fixture
def run(tiny: TrainConfig, tmp_path: Path) -> Run:
    return run_up_to_step_5(tiny, tmp_path)


def answer(address: str, path: str = "/", *, host: str | None = None, method: str = "GET") -> tuple[int, str]:
    """(status, body); `host` is what the request says that it is for."""
    place = urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port)
    try:
        connection.request(method, path, headers={"Host": host} if host else {})
        found = connection.getresponse()
        return found.status, found.read().decode()
    finally:
        connection.close()


def test_only_the_page_is_served_and_only_to_this_machine(tmp_path: Path) -> None:
    shown = Shown()
    shown.show(Page("A page", "", [], [], {}))
    with serving(shown, 0) as address:
        port = urlsplit(address).port
        status, page = answer(address)
        assert status == 200 and "<h1>A page</h1>" in page
        assert f'data-version="{answer(address, "/version")[1]}"' in page
        assert answer(address, host=f"localhost:{port}")[0] == 200
        for foreign in ("example.org", f"example.org:{port}", "127.0.0.1", f"127.0.0.1:{port}.example.org"):
            assert answer(address, host=foreign)[0] == 403, foreign
            assert answer(address, "/version", host=foreign)[0] == 403, foreign
        for path in ("/config.json", "/results", "/..", "/../etc/passwd", "/?version"):
            assert answer(address, path)[0] == 404, path
        assert answer(address, method="POST")[0] == 501
    with pytest.raises(ConnectionRefusedError):
        answer(address)


def raw(address: str, request: bytes) -> bytes:
    """All that the server answers to these bytes."""
    place = urlsplit(address)
    with socket.create_connection((place.hostname, place.port)) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


@pytest.mark.parametrize(
    ("hosts", "status"),
    [
        (["127.0.0.1:{port}"], 200),
        (["127.0.0.1:{port}"] * 2, 400),
        (["127.0.0.1:{port}", "example.org"], 400),
        ([], 400),
    ],
)
def test_a_request_has_one_host(hosts: list[str], status: int) -> None:
    shown = Shown()
    shown.show(Page("", "", [], [], {}))
    with serving(shown, 0) as address:
        named = "".join(f"Host: {host}\r\n".format(port=urlsplit(address).port) for host in hosts)
        assert raw(address, f"GET /version HTTP/1.1\r\n{named}\r\n".encode()).startswith(f"HTTP/1.0 {status} ".encode())


def test_answers_and_errors_have_a_policy_of_hashes() -> None:
    with serving(Shown(), 0) as address:
        for request in (
            f"GET / HTTP/1.1\r\nHost: {urlsplit(address).netloc}\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
        ):
            head = raw(address, request.encode()).decode().split("\r\n\r\n")[0]
            assert (policy := re.search(r"Content-Security-Policy: (.*)\r\n", head)), head
            assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
            scripts = policy[1].split("; ")[1].split()[1:]
            assert len(scripts) == 6 and all(re.fullmatch(r"'sha256-[\w+/]{43}='", each) for each in scripts)


@needs_a_browser
def test_a_script_that_is_not_the_packages_does_not_run(tmp_path: Path) -> None:
    """As if the escaping of a run's name had failed."""
    shown, attack = Shown(), "document.title = 'taken'"
    shown.show(Page("A page", "", [], [], {}))
    shown.page = shown.page.replace(
        b"</h1>", f'</h1><script>{attack}</script><img src="data:," onerror="{attack}">'.encode()
    )
    with serving(shown, 0) as address, browser(tmp_path / "profile") as tab:
        tab.open(address)  # waits for a script of ours
        assert tab.ask("document.title") == "A page"
        assert sum("violates the following Content Security Policy" in error for error in tab.errors) == 2, tab.errors


@needs_a_browser
def test_the_policy_lets_an_attention_view_draw(tmp_path: Path) -> None:
    """Its chart is in a frame, which has the policy of the page."""
    shown, view = Shown(), attention_view(np.eye(5)[None], layer=0)
    shown.show(Page("A page", "", [], [Section("Attention", "", html=view.html())], {}))
    with serving(shown, 0) as address, browser(tmp_path / "profile") as tab:
        tab.open(address, until="document.querySelector('.av-ready')")
        tab.wait_for("document.querySelector('.av-chart iframe')?.contentDocument.querySelector('canvas')")
        assert tab.errors == []


def test_a_client_that_sends_its_request_forever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Shown(), 0) as address:
        place = urlsplit(address)
        with monkeypatch.context() as limited:  # not the last request, which takes longer on a busy machine
            limited.setattr(watch, "CONNECTION_SECONDS", 0.3)
            with (
                socket.create_connection((place.hostname, place.port)) as connection,
                pytest.raises(OSError),  # without the limit this goes on for half an hour
            ):
                connection.sendall(b"GET / HTTP/1.1\r\n")
                while True:
                    connection.sendall(b"X: ")  # one header that does not end
                    time.sleep(0.1)
        assert answer(address, "/version") == (200, "")


def test_connections_are_bounded_and_a_place_is_free_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MOST_CONNECTIONS", 3)
    shown = Shown()
    shown.show(Page("", "", [], [], {}))
    with serving(shown, 0) as address:
        place = urlsplit(address)
        silent = [socket.create_connection((place.hostname, place.port)) for _ in range(3)]
        try:
            assert raw(address, b"").startswith(b"HTTP/1.0 503 ")
        finally:
            for each in silent:
                each.close()
        while (found := answer(address, "/version")[0]) == 503:
            time.sleep(0.05)
        assert found == 200


def test_each_page_has_another_version() -> None:
    first, second = Shown(), Shown()
    versions = []
    for shown in (first, first, second):
        shown.show(Page("", "", [], [], {}))
        versions.append(shown.version)
    assert len(set(versions)) == 3, "another server's pages are others too"


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(ValueError, match=f"port {port} is in use: give another one, or --port 0"),
            serving(Shown(), port),
        ):
            pass
    with pytest.raises(ValueError, match="--port must be from 0 to 65535, got 70000"), serving(Shown(), 70_000):
        pass


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="it has no config.json"):
        watch_run(Run.open(tmp_path), port=0)


def test_new_checkpoints_become_a_new_page_and_none_is_evaluated_twice(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: list[str] = []
    loaded: list[int] = []
    address = ""
    load = SavedCheckpoints.load

    def noted(series: SavedCheckpoints, step: int) -> Transformer:
        loaded.append(step)
        return load(series, step)

    def started(found: str) -> None:
        nonlocal address
        address = found
        assert "has 2 checkpoints, none analyzed yet" in answer(address)[1]

    def shown(step: int) -> None:
        pages.append(answer(address)[1])
        if len(pages) == 2:
            raise KeyboardInterrupt
        uncover(run, 10)

    monkeypatch.setattr(SavedCheckpoints, "load", noted)
    with pytest.raises(KeyboardInterrupt):
        watch_run(run, port=0, on_start=started, on_page=shown, seconds=0)
    assert "analyzed up to step 5 of 20" in pages[0] and "analyzed up to step 10 of 20" in pages[1]
    assert loaded.count(0) == 2, "by the analyzers, and for the attention view"
    assert loaded.count(10) >= 1
    assert not (run.directory / "report.html").exists()
    with pytest.raises(ConnectionRefusedError):
        answer(address)
