"""A notebook in a real JupyterLab, on the loopback: what its reader sees before and after trusting it."""

import importlib.util
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import nbformat
import pytest
from browser import Tab, browser, needs_a_browser
from nbclient import NotebookClient
from nbformat.sign import NotebookNotary

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "07_your_own_model.ipynb"
SETTING = "@jupyterlab/notebook-extension/tracker.jupyterlab-settings"
ALL_CELLS = '{"windowingMode": "none"}'  # not only those in sight
SHOWN = "document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden)')"
LINES = f"[...{SHOWN}.querySelectorAll('.jp-OutputArea-output')].map((output) => output.textContent.trim())"
PICTURE = f"{SHOWN}.querySelector('.jp-OutputArea-output img[alt^=\"Attention of\"]')"
FRAME = f"{SHOWN}.querySelector('iframe.attention-frame')"
VIEW = f"{FRAME}?.contentDocument"

needs_jupyterlab = pytest.mark.skipif(
    importlib.util.find_spec("jupyterlab") is None and not os.environ.get("CI"),
    reason="needs jupyterlab (pip install 'grok-interp[notebook]')",
)


@contextmanager
def jupyterlab(folder: Path, home: Path) -> Iterator[str]:
    """The address of a server on a folder, and its token; both go when it ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex()
    options = {"ip": "127.0.0.1", "port": port, "port_retries": 0, "root_dir": folder, "open_browser": False}
    server = [f"--ServerApp.{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "jupyterlab", "--allow-root", *server, f"--IdentityProvider.token={token}"]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, env=own_environment(home), stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}/lab/tree"
        wait_for(address, process, home / "log")
        yield f"{address}/{{}}?reset&token={token}"
    finally:
        process.terminate()
        process.wait()


def own_environment(home: Path) -> dict[str, str]:
    """Neither reads nor changes what the user has set."""
    folders = {f"JUPYTER_{name}_DIR": str(home / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    setting = home / "settings" / SETTING
    setting.parent.mkdir(parents=True, exist_ok=True)
    setting.write_text(ALL_CELLS)
    return {**os.environ, **folders, "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"), "HOME": str(home)}


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    while process.poll() is None:
        try:
            urlopen(address).close()
            return
        except URLError:
            time.sleep(0.2)
    raise AssertionError(f"jupyterlab ended: {log.read_text()}")


def executed(home: Path, monkeypatch: pytest.MonkeyPatch) -> nbformat.NotebookNode:
    monkeypatch.setenv("GROK_INTERP_NOTEBOOK_PRESET", "copier-tiny")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    return NotebookClient(notebook, resources={"metadata": {"path": str(home)}}).execute()


def open_notebook(tab: Tab, address: str) -> None:
    """With the picture of a view, and progress as one line without escape codes."""
    tab.open(address, until=f"{SHOWN} && {PICTURE} && {LINES}.some((line) => line.startsWith('training'))")
    (line,) = [line for line in tab.ask(LINES) if line.startswith("training")]
    assert re.fullmatch(r"training: 20 of 20 after \d+ s", line)


def keep_screenshot(tab: Tab, what: str, name: str) -> None:
    """For a person to look at, where GROK_INTERP_SCREENSHOTS says."""
    if where := os.environ.get("GROK_INTERP_SCREENSHOTS"):
        tab.ask(f"{what}.scrollIntoView()")
        tab.ask("new Promise((resolve) => setTimeout(resolve, 2000))")
        tab.screenshot(Path(where) / name, whole=False)


@needs_a_browser
@needs_jupyterlab
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # jupyter's own
def test_a_notebook_in_jupyterlab(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, home = tmp_path / "notebooks", tmp_path / "home"
    folder.mkdir()
    (home / "DATA").mkdir(parents=True)
    notebook = executed(folder, monkeypatch)
    nbformat.write(notebook, folder / "trusted.ipynb")
    NotebookNotary(data_dir=str(home / "DATA")).sign(nbformat.read(folder / "trusted.ipynb", as_version=4))
    notebook.cells.append(nbformat.v4.new_markdown_cell("What is signed has another content."))
    nbformat.write(notebook, folder / "untrusted.ipynb")
    with jupyterlab(folder, home) as address, browser(tmp_path / "profile") as tab:
        open_notebook(tab, address.format("untrusted.ipynb"))
        tab.wait_for(f"{PICTURE}.naturalWidth > 100 && {PICTURE}.getBoundingClientRect().height > 100")
        assert not tab.ask(f"Boolean({VIEW})"), "no frame, no script"
        keep_screenshot(tab, PICTURE, "untrusted.png")
        open_notebook(tab, address.format("trusted.ipynb"))
        tab.wait_for(f"{VIEW}?.querySelector('.av-ready')")
        tab.wait_for(f"{VIEW}.querySelector('.av-chart iframe')?.contentDocument.querySelector('canvas')")
        assert tab.ask(f"{PICTURE}.getBoundingClientRect().height") == 0, "the view has taken its place"
        assert tab.ask(f"{VIEW}.querySelectorAll('.av-heads button').length") == 8
        height, content = tab.ask(f"[{VIEW}.defaultView.innerHeight, {VIEW}.body.offsetHeight]")
        assert height >= content
        keep_screenshot(tab, FRAME, "trusted.png")
