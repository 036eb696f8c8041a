"""A repository of a model hub that is written to: made, committed to, branched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from grok_interp.runs.hub_files import HubRepository, endpoint, hub_client, hub_library

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class HubUploads(HubRepository):
    """A repository to write to.

    Args:
        repository: `"OWNER/NAME"`.
    """

    folder: Path = field(default=Path(), init=False)  # nothing is downloaded
    max_bytes: int = field(default=0, init=False)

    def weights(self) -> dict[str, str | None]:
        """Revision -> SHA-256 of its weights, None for one without; empty where there is no repository."""
        if not self.ask(lambda: hub_client().repo_exists(self.repository)):
            return {}
        return {name: self._sha256(name) for name in self.revisions()}

    def _sha256(self, revision: str) -> str | None:
        siblings = self.ask(
            lambda: hub_client().model_info(self.repository, revision=revision, files_metadata=True), revision
        ).siblings
        return next((file.lfs.sha256 for file in siblings if file.rfilename == WEIGHTS and file.lfs), None)

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
