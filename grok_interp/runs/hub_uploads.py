"""A repository of a model hub that is written to: made, committed to, branched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from grok_interp.runs.hub_files import HubRepository, endpoint, hub_client, hub_library

WEIGHTS = "model.safetensors"
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
