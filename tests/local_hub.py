"""A model hub on the loopback: folders of revisions, read and written as huggingface_hub does (the LFS protocol)."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
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
    read_only: bool = False  # writing gets 403
    fails_after: int | None = None  # so many commits are made, the next get 500
    xet: int = 404  # the status of the first request of the Xet protocol; by default there is none
    requests: list[str] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)  # SHA-256 -> an uploaded file

    def revision(self, repository: str, revision: str) -> Path:
        return self.folder / repository / revision

    def downloads(self) -> list[str]:
        return [request for request in self.requests if request.startswith("GET") and "/resolve/" in request]


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def commit_of(folder: Path) -> str:
    names = [f"{file.name} {sha(file.read_bytes())}" for file in sorted(folder.iterdir())]
    return hashlib.sha1(f"{folder.name} {names}".encode()).hexdigest()


def branches(repository: Path) -> list[Path]:
    return [each for each in sorted(repository.iterdir()) if not each.name.startswith(".")]


def preupload(revision: Path, file: dict) -> dict:
    """How a file is to be uploaded, and what is there under its name."""
    is_large, there = file["path"].endswith(".safetensors"), revision / file["path"]
    facts = {"path": file["path"], "uploadMode": "lfs" if is_large else "regular", "shouldIgnore": False}
    if not there.is_file():
        return facts
    content = there.read_bytes()
    return {**facts, "oid": sha(content) if is_large else git_blob(content)}


def git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


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

    def do_POST(self) -> None:
        content = self.content()
        path = unquote(urlsplit(self.path).path).strip("/")
        self.hub.requests.append(f"POST {path}")
        if self.hub.read_only and path != "api/validate-yaml":
            self.send(403, b'{"error": "your token may not write"}', {}, body=True)
        elif path == "api/repos/create":
            self.create(json.loads(content))
        elif path == "api/validate-yaml":
            self.send_json({"warnings": [], "errors": []}, body=True)
        elif path.endswith(".git/info/lfs/objects/batch"):
            self.accept(json.loads(content)["objects"])
        elif path.startswith("api/models/") and len(parts := path.split("/")) == 6:
            self.write(parts[2:], content)
        else:
            self.refuse("EntryNotFound", body=True)

    def do_PUT(self) -> None:
        content = self.content()
        assert sha(content) == (name := self.path.rpartition("/")[2])
        self.hub.requests.append(f"PUT {name}")
        self.hub.objects[name] = content
        self.send(200, b"", {}, body=True)

    def content(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while length := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(length))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def create(self, wanted: dict) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        main, address = self.hub.folder / name / "main", f"{self.hub.address}/{name}"
        if main.is_dir():
            self.send(409, json.dumps({"error": "it is there", "url": address}).encode(), {}, body=True)
            return
        main.mkdir(parents=True)
        (main / ".gitattributes").write_text("*.safetensors filter=lfs diff=lfs merge=lfs -text\n")
        (main.parent / ".visibility").mkdir()
        private = wanted.get("visibility") == "private" or wanted.get("private")  # a newer or an older client asks
        (main.parent / ".visibility" / ("private" if private else "public")).touch()
        self.send_json({"url": address}, body=True)

    def accept(self, objects: list[dict]) -> None:
        """Where each file is uploaded to; nowhere if it is there."""
        answers = []
        for each in objects:
            where = {"upload": {"href": f"{self.hub.address}/objects/{each['oid']}"}}
            answers.append(each if each["oid"] in self.hub.objects else {**each, "actions": where})
        self.send_json({"transfer": "basic", "objects": answers}, body=True)

    def write(self, parts: list[str], content: bytes) -> None:
        repository, (act, name) = self.hub.folder / parts[0] / parts[1], parts[2:]
        if not repository.is_dir():
            self.refuse("RepoNotFound", body=True)
        elif act not in ("preupload", "commit", "branch"):
            self.refuse("EntryNotFound", body=True)
        elif act == "preupload":
            self.send_json(
                {"files": [preupload(repository / name, file) for file in json.loads(content)["files"]]}, body=True
            )
        elif act == "commit" and self.hub.fails_after == 0:
            self.send(500, b"broken", {}, body=True)
        elif act == "commit":
            self.hub.fails_after = self.hub.fails_after and self.hub.fails_after - 1
            for line in map(json.loads, content.splitlines()):
                self.apply(line["key"], line["value"], repository / name)
            oid = commit_of(repository / name)
            facts = {"commitUrl": f"{self.hub.address}/{parts[0]}/{parts[1]}/commit/{oid}", "commitOid": oid}
            self.send_json({**facts, "success": True}, body=True)
        elif (repository / name).exists():
            self.send(409, b'{"error": "it is there"}', {}, body=True)
        else:
            start = json.loads(content)["startingPoint"]
            (from_,) = [each for each in branches(repository) if commit_of(each) == start]
            shutil.copytree(from_, repository / name)
            self.send_json({}, body=True)

    def apply(self, key: str, value: dict, revision: Path) -> None:
        if key == "file":
            (revision / value["path"]).write_bytes(base64.b64decode(value["content"]))
        elif key == "lfsFile":
            (revision / value["path"]).write_bytes(self.hub.objects[value["oid"]])
        else:
            assert key == "header"

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
        repository, what = self.hub.folder.joinpath(*parts[:2]), parts[2:]
        is_known = len(parts) >= 2 and (what in ([], ["refs"]) or (what[0] == "revision" and len(what) == 2))
        if what[:1] == ["xet-write-token"]:
            self.send(self.hub.xet, b"{}", {}, body=body)
        elif not is_known:
            self.refuse("EntryNotFound", body=body)
        elif not repository.is_dir():
            self.refuse("RepoNotFound", body=body)
        elif what == ["refs"]:
            found = [
                {"name": each.name, "ref": f"refs/heads/{each.name}", "targetCommit": commit_of(each)}
                for each in branches(repository)
            ]
            self.send_json({"branches": found, "tags": [], "converts": []}, body=body)
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
        there = self.hub.folder / repository
        revisions = branches(there) if rest and there.is_dir() else []
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
