"""A repository of a model hub that is written to: made, committed to, branched."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from grok_interp.runs.hub_files import HubRepository, endpoint, hub_client, hub_library

WEIGHTS = "model.safetensors"
OF_A_MODEL = (
    *("config.json", "adapter_config.json", "tokenizer*.json", "*.index.json", "grok_interp.json"),
    *("*.safetensors", "*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.npz", "*.gguf", "*.onnx", "*.h5", "*.msgpack"),
)
DRY_SECONDS = 5.0  # for the first answer of the hub to a dry run


@dataclass(frozen=True)
class HubUploads(HubRepository):
    """A repository to write to.

    Args:
        repository: `"OWNER/NAME"`.
        is_dry: nothing will be written: a hub that cannot be reached is asked once, for a few seconds.
    """

    is_dry: bool = False
    folder: Path = field(default=Path(), init=False)  # nothing is downloaded
    max_bytes: int = field(default=0, init=False)

    def weights(self) -> dict[str, str | None]:
        """Revision -> SHA-256 of its weights, None for one without; empty where there is no repository."""
        if not self.ask(self._is_there):
            return {}
        return {name: self._sha256(name) for name in self.revisions()}

    @property
    def waits(self) -> tuple[float, ...]:
        return () if self.is_dry else super().waits

    def _is_there(self) -> bool:
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

        try:
            hub_client().model_info(self.repository, timeout=DRY_SECONDS if self.is_dry else None)
        except GatedRepoError:
            return True
        except RepositoryNotFoundError:
            return False
        return True

    def _sha256(self, revision: str) -> str | None:
        siblings = self._info(revision).siblings
        return next((file.lfs.sha256 for file in siblings if file.rfilename == WEIGHTS and file.lfs), None)

    def files_of_a_model(self, revision: str) -> Sequence[str]:
        """Names of the files of a revision that are of a model: not its card, its license or its pictures."""
        names = sorted(file.rfilename for file in self._info(revision).siblings)
        return [name for name in names if any(fnmatch(name, pattern) for pattern in OF_A_MODEL)]

    def content(self, name: str, revision: str) -> bytes | None:
        """Of a small file of a revision; None where the revision has none of this name."""
        if all(file.rfilename != name for file in self._info(revision).siblings):
            return None
        with tempfile.TemporaryDirectory() as scratch:
            self._download_file(name, revision, Path(scratch))
            return (Path(scratch) / name).read_bytes()

    def create(self, *, private: bool) -> None:
        """Make the repository if it is not there."""
        self.ask(lambda: hub_client().create_repo(self.repository, private=private or None, exist_ok=True))

    def commit(self, files: Mapping[str, Path], message: str) -> str:
        """The commit on main that has these files; none is made where main has them."""

        def commit() -> str:
            operations = [hub_library().CommitOperationAdd(name, str(file)) for name, file in files.items()]
            return hub_client().create_commit(self.repository, operations, commit_message=message).oid

        return self.ask(commit)

    def branch(self, name: str, commit: str) -> None:
        self.ask(lambda: hub_client().create_branch(self.repository, branch=name, revision=commit, exist_ok=True))

    def address(self) -> str:
        """For a reader."""
        return f"{endpoint() or 'the hub'}/{self.repository}"
