"""A model hub on the loopback: folders of revisions, served in the layout that huggingface_hub reads."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass
class LocalHub:
    """Repositories under a folder: `folder/owner/name/revision/file`. What was asked is noted."""

    folder: Path
    address: str = ""
    busy: int = 0  # so many of the next requests get 503
    requests: list[str] = field(default_factory=list)

    def revision(self, repository: str, revision: str) -> Path:
        return self.folder / repository / revision

    def downloads(self) -> list[str]:
        return [request for request in self.requests if request.startswith("GET") and "/resolve/" in request]


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def commit_of(folder: Path) -> str:
    names = [f"{file.name} {sha(file.read_bytes())}" for file in sorted(folder.iterdir())]
    return hashlib.sha1(f"{folder.name} {names}".encode()).hexdigest()


def sibling(file: Path) -> dict:
    content = file.read_bytes()
    found = {"rfilename": file.name, "size": len(content), "blobId": hashlib.sha1(content).hexdigest()}
    if file.suffix in (".safetensors", ".bin"):
        found["lfs"] = {"sha256": sha(content), "size": len(content), "pointerSize": 130}
    return found


class Handler(BaseHTTPRequestHandler):
    hub: LocalHub

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        self.hub.requests.append(f"{self.command} {path}")
        if self.hub.busy > 0:
            self.hub.busy -= 1
            self.send(503, b"busy", {}, body=body)
        elif path.startswith("api/models/"):
            self.of_api(path.removeprefix("api/models/").split("/"), body=body)
        else:
            self.of_file(path, body=body)

    def of_api(self, parts: list[str], *, body: bool) -> None:
        repository, what = self.hub.folder / parts[0] / parts[1], parts[2:]
        if not repository.is_dir():
            self.refuse("RepoNotFound", body=body)
        elif what == ["refs"]:
            branches = [
                {"name": each.name, "ref": f"refs/heads/{each.name}", "targetCommit": commit_of(each)}
                for each in sorted(repository.iterdir())
            ]
            self.send_json({"branches": branches, "tags": [], "converts": []}, body=body)
        else:
            revision = repository / (what[1] if what else "main")
            if not revision.is_dir():
                self.refuse("RevisionNotFound", body=body)
                return
            siblings = [sibling(file) for file in sorted(revision.iterdir())]
            facts = {"id": "/".join(parts[:2]), "sha": commit_of(revision), "siblings": siblings, "tags": []}
            self.send_json(facts, body=body)

    def of_file(self, path: str, *, body: bool) -> None:
        repository, _, rest = path.partition("/resolve/")
        commit, _, name = rest.partition("/")
        revisions = (self.hub.folder / repository).iterdir()
        file = next((each / name for each in revisions if commit_of(each) == commit), None)
        if file is None or not file.is_file():
            self.refuse("EntryNotFound", body=body)
            return
        content = file.read_bytes()
        self.send(200, content, {"ETag": f'"{sha(content)}"', "X-Repo-Commit": commit}, body=body)

    def refuse(self, code: str, *, body: bool) -> None:
        self.send(404, b"{}", {"X-Error-Code": code}, body=body)

    def send_json(self, facts: dict, *, body: bool) -> None:
        self.send(200, json.dumps(facts).encode(), {"Content-Type": "application/json"}, body=body)

    def send(self, status: int, content: bytes, headers: dict[str, str], *, body: bool) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        pass


@contextmanager
def serving(folder: Path) -> Iterator[LocalHub]:
    """A hub that is served while the context is open."""
    hub = LocalHub(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OfThisHub", (Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
