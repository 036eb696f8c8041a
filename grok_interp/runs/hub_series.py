"""The revisions of a repository on a model hub as a series of checkpoints."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grok_interp.arguments import checked
from grok_interp.places import cache_directory, user_path
from grok_interp.runs.foreign_series import require_step
from grok_interp.runs.hub_files import HubRepository
from grok_interp.runs.huggingface_folders import CONFIG, TOKENIZER, HuggingFaceFolders, read_huggingface
from grok_interp.runs.refused import OtherArchitectureError, RefusedCheckpointError
from grok_interp.runs.revision_names import TrainingPoint, named_points, training_point
from grok_interp.runs.step_patterns import by_step, chosen_steps

if TYPE_CHECKING:
    from torch import Tensor

GB = 10**9
CACHE_GB = 20.0  # of downloads, where nothing else is said
UNLIMITED = 1e9  # GB, more than any disk has: a product beyond would be infinite


@dataclass(frozen=True)
class Keywords:
    """What arguments are called, in messages."""

    revisions: str = "revisions="
    skip: str = "skip=[{}]"
    other_folder: str = "give cache=, a folder on another disk"


IN_PYTHON = Keywords()
ON_THE_COMMAND_LINE = Keywords(
    "--revisions", "--skip {}", "name a folder on another disk by GROK_INTERP_CACHE in the environment"
)


@dataclass(frozen=True)
class Downloads(Mapping[int, Path]):
    """Step -> folder with the files of its revision, downloaded when it is asked for."""

    hub: HubRepository
    revisions: Mapping[int, str]

    def __getitem__(self, step: int) -> Path:
        return self.hub.download(self.revisions[step])

    def __iter__(self) -> Iterator[int]:
        return iter(self.revisions)

    def __len__(self) -> int:
        return len(self.revisions)


@dataclass(frozen=True)
class HubSeries(HuggingFaceFolders):
    """Revisions of a repository; see `CheckpointSeries.from_hub`."""

    paths: Downloads
    points: Mapping[int, TrainingPoint] | None = None
    keywords: Keywords = IN_PYTHON

    def load(self, step: int) -> Any:
        with self._named(step):
            return super().load(step)

    def weights(self, step: int) -> dict[str, Tensor]:
        with self._named(step):
            return super().weights(step)

    def checksum(self, step: int) -> str:
        """By the hashes that the hub has: nothing is downloaded."""
        with self._named(step):
            return self.paths.hub.checksum(self.paths.revisions[step])

    def config_fields(self, step: int) -> dict[str, Any]:
        with self._named(step):
            return super().config_fields(step)

    def config_file(self, step: int) -> Path:
        """config.json of a step, downloaded without its weights."""
        if found := self.beside_weights(CONFIG, step):
            return found
        raise RefusedCheckpointError("it", f"has no {CONFIG}", "leave it out")

    def beside_weights(self, name: str, step: int) -> Path | None:
        """A further file of a step, downloaded alone; None where there is none."""
        with self._named(step):
            return self.paths.hub.further_file(name, self.paths.revisions[step])

    @contextmanager
    def _named(self, step: int) -> Iterator[None]:
        """Raises RefusedCheckpointError with the step and the revision, whatever folder it was downloaded to."""
        hub = self.paths.hub
        require_step(step, self.steps, hub.repository)
        try:
            yield
        except RefusedCheckpointError as error:
            raise type(error)(
                f"step {step}, {hub.place(self.paths.revisions[step])},",
                re.sub(rf"{re.escape(str(hub.folder))}/[^/]+/\w+/?", "", error.reason),  # where it was downloaded to
                error.remedy
                if isinstance(error, OtherArchitectureError)
                else f"leave it out with {self.keywords.skip.format(step)}",
            ) from error

    def tokens(self, step: int) -> int | None:
        """Tokens trained on, where the revision's name or its suite says it."""
        require_step(step, self.steps, self.paths.hub.repository)
        return self.points[step].tokens if self.points else None

    @property
    def tokens_per_step(self) -> int | None:
        """Where the suite tells it: tokens in names are rounded."""
        exact = [point for point in (self.points or {}).values() if point.tokens and not point.is_rounded]
        return exact[0].tokens // exact[0].step if exact and exact[0].tokens else None

    def tokenizer_file(self) -> Path | None:
        """tokenizer.json of the last revision, downloaded alone."""
        return self.beside_weights(TOKENIZER, self.steps[-1])


@checked
def hub_series(
    repository: str,
    *,
    revisions: Sequence[str] | str | None = None,
    every: int = 1,
    skip: Collection[int] = (),
    cache: str | Path | None = None,
    max_gb: float = CACHE_GB,
    keywords: Keywords = IN_PYTHON,
) -> HubSeries:
    """See `CheckpointSeries.from_hub`; `keywords` are the names of these arguments in messages."""
    if every < 1 or max_gb <= 0:
        raise ValueError(f"every must be 1 or more and max_gb above 0, got every {every} and max_gb {max_gb}")
    folder = user_path(cache) if cache else cache_directory() / "hub"
    _require_folder(folder, keywords)
    hub = HubRepository(repository, folder, int(min(max_gb, UNLIMITED) * GB), keywords.other_folder)
    points = _points(hub, revisions, keywords)
    names = by_step((point.step, name) for name, point in points.items())
    chosen = chosen_steps(names, every=every, skip=skip, keyword=keywords.skip)
    return HubSeries(
        Downloads(hub, chosen),
        read_huggingface,
        there=tuple(names) if revisions is None or isinstance(revisions, str) else (),  # nothing is missing in a list
        points={step: points[name] for step, name in chosen.items()},
        keywords=keywords,
    )


def _require_folder(folder: Path, keywords: Keywords) -> None:
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not there.is_dir():
        raise ValueError(f"cache must be a folder, and {there} is a file: {keywords.other_folder}")


def _points(hub: HubRepository, revisions: Sequence[str] | str | None, keywords: Keywords) -> dict[str, TrainingPoint]:
    """Revision -> step and tokens."""
    there = hub.revisions()
    if revisions is None or isinstance(revisions, str):
        points = named_points(there, pattern=revisions, repository=hub.repository)
        if not points:
            raise ValueError(
                f"no revision of {hub.repository} is named like a checkpoint, it has {there[:8]}: give "
                f"{keywords.revisions}, a pattern with {{step}} or a list of names"
            )
        return points
    if missing := [name for name in revisions if name not in there]:
        raise ValueError(
            f"{hub.repository} has no revision {', '.join(map(repr, missing))}; it has {len(there)}, among them "
            f"{there[:8]}: give {keywords.revisions} names that it has"
        )
    return {name: training_point(name, repository=hub.repository) for name in revisions}
