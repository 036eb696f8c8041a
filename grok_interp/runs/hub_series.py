"""The revisions of a repository on a model hub as a series of checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from grok_interp.arguments import checked, text
from grok_interp.places import cache_directory, user_path
from grok_interp.runs.foreign_series import require_step
from grok_interp.runs.hub_files import HubRepository
from grok_interp.runs.huggingface_folders import TOKENIZER, HuggingFaceFolders, read_huggingface
from grok_interp.runs.revision_names import TrainingPoint, named_points, training_point
from grok_interp.runs.step_patterns import by_step

GB = 10**9


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

    def checksum(self, step: int) -> str:
        """By the hashes that the hub has: nothing is downloaded."""
        require_step(step, self.steps, self.paths.hub.repository)
        return self.paths.hub.checksum(self.paths.revisions[step])

    def config_file(self, step: int) -> Path:
        """config.json of a step, downloaded without its weights."""
        require_step(step, self.steps, self.paths.hub.repository)
        return self.paths.hub.config_file(self.paths.revisions[step])

    def tokens(self, step: int) -> int | None:
        """Tokens trained on, where the revision's name or its suite says it."""
        require_step(step, self.steps, self.paths.hub.repository)
        return self.points[step].tokens if self.points else None

    @property
    def tokens_per_step(self) -> int | None:
        """Where all names agree in it; names with rounded tokens do not."""
        each = {point.tokens / point.step for point in (self.points or {}).values() if point.step and point.tokens}
        return int(each.pop()) if len(each) == 1 else None

    def tokenizer_file(self) -> Path | None:
        """tokenizer.json of the last revision, downloaded with its weights."""
        return self.paths.hub.beside_weights(TOKENIZER, self.paths.revisions[self.steps[-1]])


@checked
def hub_series(
    repository: str,
    *,
    revisions: Sequence[str] | str | None = None,
    every: int = 1,
    cache: str | Path | None = None,
    max_gb: float = 20.0,
) -> HubSeries:
    """See `CheckpointSeries.from_hub`."""
    if every < 1 or max_gb <= 0:
        raise ValueError(f"every must be 1 or more and max_gb above 0, got every {every} and max_gb {max_gb}")
    folder = user_path(cache) if cache else cache_directory() / "hub"
    text(repository, "repository", "EleutherAI/pythia-70m")
    hub = HubRepository(repository, folder, int(max_gb * GB))
    points = _points(hub, revisions)
    names = by_step((point.step, name) for name, point in points.items())
    chosen = {step: names[step] for step in list(names)[::every]}
    return HubSeries(Downloads(hub, chosen), read_huggingface, points={step: points[chosen[step]] for step in chosen})


def _points(hub: HubRepository, revisions: Sequence[str] | str | None) -> dict[str, TrainingPoint]:
    """Revision -> step and tokens."""
    there = hub.revisions()
    if revisions is None or isinstance(revisions, str):
        points = named_points(there, pattern=revisions, repository=hub.repository)
        if not points:
            raise ValueError(
                f"no revision of {hub.repository} is named like a checkpoint, it has {there[:8]}: give a "
                "pattern with {step} (revisions=, --revisions), or from Python a list of names"
            )
        return points
    if missing := [name for name in revisions if name not in there]:
        raise ValueError(
            f"{hub.repository} has no revision {', '.join(map(repr, missing))}; it has {len(there)}, among them "
            f"{there[:8]}: give names that it has"
        )
    return {name: training_point(name, repository=hub.repository) for name in revisions}
