"""One repository of a model hub: its revisions, and the weights of one revision at a time in a bounded folder on disk.

Files are found by commit, so a revision that has moved is downloaded again. What was used longest ago is deleted first.
Nothing that is downloaded is executed: safetensors where a revision has them, else `torch.load(weights_only=True)`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, TypeVar

from grok_interp.runs.hub_failures import (
    NOT_ALLOWED,
    NOT_THERE,
    http_code,
    is_of_http,
    is_of_xet,
    is_worth_another_attempt,
)
from grok_interp.runs.refused import RefusedCheckpointError

Found = TypeVar("Found")

WAITS = (2.0, 8.0, 30.0)  # seconds before the second, third and fourth attempt
COMPLETE = ".complete"  # its time is that of the last use
CONFIG = "config.json"
SETTINGS = (CONFIG, "*.index.json")
WEIGHTS = ("model*.safetensors", "pytorch_model*.bin")  # the first kind that a revision has


@dataclass(frozen=True)
class HubRepository:
    """A repository of models.

    Args:
        repository: `"EleutherAI/pythia-70m"`.
        folder: where revisions are kept.
        max_bytes: of all revisions in `folder` together; one revision is kept however large it is.
        other_folder: how another folder is given.
    """

    repository: str
    folder: Path
    max_bytes: int
    other_folder: str = "give cache=, a folder on another disk"
    _infos: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def waits(self) -> tuple[float, ...]:
        """Seconds before each further attempt to reach the hub."""
        return WAITS

    def revisions(self) -> list[str]:
        """Branches and tags."""
        refs = self.ask(lambda: hub_client().list_repo_refs(self.repository))
        return [ref.name for ref in (*refs.branches, *refs.tags)]

    def checksum(self, revision: str) -> str:
        """Of the weights, by the hashes that the hub has: nothing is downloaded."""
        digest = hashlib.sha256()
        for file in self._weights(revision):
            digest.update(f"{file.lfs.sha256 if file.lfs else file.blob_id}\n".encode())
        return digest.hexdigest()

    def download(self, revision: str) -> Path:
        """The folder with config.json and the weights of a revision, downloaded if it is not there."""
        import filelock

        target = self.target(revision)
        self.folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(self.folder / ".lock"):
            if not (target / COMPLETE).exists():
                files = self._files(revision)
                self._make_room(sum(file.size or 0 for file in files), keep=target)
                for file in files:
                    self._download_file(file.rfilename, revision, target)
            (target / COMPLETE).touch()
        return target

    def further_file(self, name: str, revision: str) -> Path | None:
        """Another file of a revision, downloaded alone if it is not there; None where the revision has no such file."""
        if all(file.rfilename != name for file in self._info(revision).siblings):
            return None
        target = self.target(revision)
        if not (target / name).exists():
            self._download_file(name, revision, target)
        return target / name

    def target(self, revision: str) -> Path:
        """The folder of a revision."""
        return self.folder / self.repository.replace("/", "--") / self._info(revision).sha

    def _download_file(self, name: str, revision: str, target: Path) -> None:
        commit = self._info(revision).sha
        self.ask(
            lambda: hub_library().hf_hub_download(
                self.repository, name, revision=commit, local_dir=target, endpoint=endpoint()
            ),
            revision,
        )

    def _files(self, revision: str) -> list[Any]:
        siblings = self._info(revision).siblings
        return [file for file in siblings if _fits(file, SETTINGS)] + self._weights(revision)

    def _weights(self, revision: str) -> list[Any]:
        siblings = sorted(self._info(revision).siblings, key=lambda file: file.rfilename)
        kinds = ([file for file in siblings if _fits(file, [kind])] for kind in WEIGHTS)
        found = next((kind for kind in kinds if kind), [])
        if not found:
            raise RefusedCheckpointError(
                self.place(revision),
                f"is no checkpoint (no {' or '.join(WEIGHTS)}, only {[file.rfilename for file in siblings][:5]})",
                "leave it out",
            )
        return found

    def place(self, revision: str) -> str:
        """A revision, in a message."""
        return f"revision {revision!r} of {self.repository}"

    def _info(self, revision: str) -> Any:
        if revision not in self._infos:
            self._infos[revision] = self.ask(
                lambda: hub_client().model_info(self.repository, revision=revision, files_metadata=True), revision
            )
        return self._infos[revision]

    def _make_room(self, needed: int, *, keep: Path) -> None:
        """Deletes what was used longest ago until `needed` bytes fit."""
        complete = self.folder.glob(f"*/*/{COMPLETE}")
        kept = sorted((file for file in complete if file.parent != keep), key=lambda file: file.stat().st_mtime_ns)
        total = sum(_size(file.parent) for file in kept)
        for file in kept:
            if total + needed <= self.max_bytes:
                break
            total -= _size(file.parent)
            shutil.rmtree(file.parent)
        if (free := shutil.disk_usage(self.folder).free) < needed:
            raise ValueError(
                f"{needed / 1e9:.1f} GB are needed in {self.folder} and {free / 1e9:.1f} GB are free: make room, or "
                f"{self.other_folder}"
            )

    def ask(self, question: Callable[[], Found], revision: str | None = None) -> Found:
        """The hub's answer; where it is busy or cannot be reached, after waiting."""
        hub_library()  # its absence is no failure of the hub
        for wait in (*self.waits, None):
            try:
                return question()
            except Exception as raised:
                error = (
                    raised.__cause__ if type(raised) is RuntimeError and raised.__cause__ else raised
                )  # of an upload
                if wait is None or not is_worth_another_attempt(error):
                    raise self._explained(error, revision) from raised
            time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _explained(self, error: BaseException, revision: str | None) -> BaseException:
        from huggingface_hub import errors

        where = f"{self.repository} at {endpoint() or 'the hub'}"
        reason = (str(error) or type(error).__name__).splitlines()[0]
        if isinstance(error, errors.RevisionNotFoundError):
            return RefusedCheckpointError(
                self.place(revision or "?"),
                f"is not at {endpoint() or 'the hub'}",
                "was it deleted or renamed? Repeat it",
            )
        if isinstance(error, errors.RepositoryNotFoundError):
            return ValueError(
                f"no repository {where}, or it is private or gated: check the name, or log in with `hf auth login`"
            )
        if http_code(error) in NOT_ALLOWED or isinstance(error, PermissionError) and is_of_xet(error):
            return ValueError(
                f"{where} refuses it ({reason}): log in with `hf auth login`, or set HF_TOKEN, with a token that may "
                "write if you push; what was uploaded is kept"
            )
        if isinstance(error, errors.HFValidationError):
            return ValueError(f"repository must be owner/name, as EleutherAI/pythia-70m, got {self.repository!r}")
        if isinstance(error, errors.OfflineModeIsEnabled):
            return ValueError(f"{where} is not read while HF_HUB_OFFLINE is set: unset it")
        if is_of_xet(error):
            trouble, remedy = (
                ("has no", "") if http_code(error) in NOT_THERE else ("fails at", "check the network, or ")
            )
            return ValueError(
                f"{where} {trouble} Xet, the protocol by which huggingface_hub transfers files ({reason}): {remedy}set "
                "HF_HUB_DISABLE_XET=1 in the environment to do without it; the same command then resumes"
            )
        if isinstance(error, OSError) or is_of_http(error):
            return ValueError(
                f"{where} cannot be reached ({reason}): check the network and HF_ENDPOINT, and try again later; what "
                f"was downloaded and evaluated is kept"
            )
        return error


def _fits(file: Any, patterns: Sequence[str]) -> bool:
    return any(fnmatch(file.rfilename, pattern) for pattern in patterns)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def endpoint() -> str | None:
    """Read at each use: the library reads it once, when it is imported."""
    return os.environ.get("HF_ENDPOINT")


def hub_client() -> Any:
    return hub_library().HfApi(endpoint=endpoint())


def hub_library() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise ValueError(
            "checkpoints on a hub need the huggingface-hub library: pip install 'grok-interp[hub]'"
        ) from error
    return huggingface_hub
