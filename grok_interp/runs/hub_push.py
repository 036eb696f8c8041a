"""`push`: a run as a repository on a model hub, in the layout of Pythia: one revision for each checkpoint.

    main, step0, step1, ..., step4000       main is the checkpoint of the newest step
        config.json, model.safetensors      Hugging Face's layout, float32
        tokenizer.json                      of a run on text
        grok_interp.json                    the run's configuration, the step and the checksum of its weights
        README.md                           the model card

Each checkpoint is one commit on main, from which its revision is branched: a revision is there whole or not at all.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from grok_interp.arguments import checked
from grok_interp.arguments.strings import text
from grok_interp.checksums import file_sha256
from grok_interp.configs import TextConfig
from grok_interp.data.foreign_vocabulary import NumberedVocabulary
from grok_interp.data.vocabulary import ByteVocabulary
from grok_interp.models.interchange import to_huggingface
from grok_interp.runs.hub_uploads import WEIGHTS, HubUploads
from grok_interp.runs.huggingface_folders import TOKENIZER
from grok_interp.runs.model_card import model_card, published_record
from grok_interp.runs.revision_names import SUITES
from grok_interp.runs.run import Run
from grok_interp.runs.same_training import RECORD, other_training
from grok_interp.training.batches import TextBatches

BYTES = ByteVocabulary()
MAIN, CARD = "main", "README.md"
OWN_NAME = re.compile(r"step(\d+)")  # of a revision
REMEDY = "Nothing was uploaded: push into another repository"


@dataclass(frozen=True)
class Push:
    """What was uploaded, or would be.

    Attributes:
        repository: on the hub.
        uploaded: steps whose revisions were not there.
        skipped: steps whose revisions were there with the same weights.
        n_bytes: of the files of the uploaded revisions.
        is_dry: nothing was written.
    """

    repository: str
    uploaded: tuple[int, ...]
    skipped: tuple[int, ...]
    n_bytes: int
    is_dry: bool

    def __str__(self) -> str:
        verb = "to upload" if self.is_dry else "uploaded"
        return (
            f"{self.repository}: {len(self.uploaded)} revisions {verb} ({self.n_bytes / 1e6:,.1f} MB), "
            f"{len(self.skipped)} there already"
        )


@checked
def push(
    run: Run,
    repository: str,
    *,
    private: bool = False,
    dry_run: bool = False,
    on_checkpoint: Callable[[int, int], object] | None = None,
) -> Push:
    """Upload the checkpoints of a run, so that `CheckpointSeries.from_hub(repository)` gives the same models.

    Interrupted, the same call resumes: existing revisions with the same weights are skipped. Needs the extra
    `hub`, and a token that may write (`hf auth login`, or HF_TOKEN).

    Args:
        run: trained here; its models have a counterpart in Hugging Face's library (see `to_huggingface`).
        repository: `"OWNER/NAME"`; created if it does not exist.
        private: a repository that is created is visible only to its owner; an existing one is not changed.
        dry_run: say what would be uploaded and write nothing; a hub that cannot be reached is asked only once.
        on_checkpoint: called with (checkpoints done, checkpoints to do).

    Returns:
        The steps uploaded and skipped, and the bytes.

    Raises:
        ValueError: for a run without checkpoints or with checkpoints from elsewhere, for a model without counterpart,
            for a hub that cannot be reached or refuses to be written to, and, before anything is written, for a
            repository with a model or revisions that are not of this training, with other weights at a step, or with
            later steps than the run if it has checkpoints to upload.

    Example:
        >>> from grok_interp import load_reference
        >>> push(load_reference("copier-mini"), "copier-mini")
        Traceback (most recent call last):
            ...
        ValueError: a repository is named OWNER/NAME, got 'copier-mini': put your user name or organization before it
    """
    if text(repository, "repository", "OWNER/NAME").count("/") != 1 or not all(repository.split("/")):
        raise ValueError(
            f"a repository is named OWNER/NAME, got {repository!r}: put your user name or organization before it"
        )
    revisions = Revisions.of(run, repository, is_dry=dry_run)
    there = revisions.hub.weights()
    revisions.require_own(there)
    same = [step for step in run.steps if f"step{step}" in there]
    for number, step in enumerate(same, start=1):
        revisions.require_same(step, there)
        if on_checkpoint:
            on_checkpoint(number, len(run.steps))
    missing = [step for step in run.steps if step not in same]
    is_newest = revisions.require_newest(missing, there)
    if not dry_run:
        revisions.hub.create(private=private)
    uploaded: dict[int, int] = {}
    for number, step in enumerate(missing, start=len(same) + 1):
        uploaded[step] = revisions.upload(step, is_new=True, dry_run=dry_run)
        if on_checkpoint:
            on_checkpoint(number, len(run.steps))
    last = run.steps[-1]
    if is_newest and last in same and (uploaded or there.get(MAIN) != there[f"step{last}"]):
        uploaded[last] = revisions.upload(last, is_new=False, dry_run=dry_run)
    skipped = tuple(step for step in run.steps if step not in uploaded)
    return Push(repository, tuple(uploaded), skipped, sum(uploaded.values()), dry_run)


@dataclass(frozen=True)
class Revisions:
    """The revisions of a run.

    Args:
        run: that is pushed.
        hub: where to.
        record: of the run, for programs.
        card: README.md.
    """

    run: Run
    hub: HubUploads
    record: Mapping[str, Any]
    card: str

    @classmethod
    def of(cls, run: Run, repository: str, *, is_dry: bool = False) -> Revisions:
        """Raises ValueError for a run without checkpoints, or with checkpoints from elsewhere."""
        record = published_record(run)
        if not run.steps:
            raise ValueError(f"{run} has no checkpoints yet: train it first, with the same directory")
        return cls(run, HubUploads(repository, is_dry=is_dry), record, model_card(run, repository))

    def require_own(self, there: Iterable[str]) -> None:
        """Raises ValueError for main, or a step that the run does not have, that is not of the run's training.

        Steps that the run has are compared by their weights.

        Args:
            there: the names of the revisions.
        """
        own = {f"step{step}" for step in self.run.steps}
        for name in sorted(there):
            is_of_a_series = name == MAIN or (name not in own and any(suite.read(name) for suite in SUITES))
            files = self.hub.files_of_a_model(name) if is_of_a_series else ()
            if files and (other := other_training(self.record, self.hub.content(RECORD, name))):
                listed = ", ".join(files[:5])
                raise ValueError(
                    f"{self.hub.repository} holds a model that is not of {self.run}: {name} has {listed}, and {other}. "
                    f"{REMEDY}"
                )

    def require_same(self, step: int, there: Mapping[str, str | None]) -> None:
        """Raises ValueError for a revision that is there with other weights."""
        name = f"step{step}"
        with tempfile.TemporaryDirectory() as scratch:
            own = file_sha256(self.write(step, Path(scratch))[WEIGHTS])
        if there[name] != own:
            raise ValueError(
                f"revision {name} of {self.hub.repository} has other weights than {self.run}. {REMEDY}, or delete that "
                "revision first"
            )

    def require_newest(self, missing: Sequence[int], there: Iterable[str]) -> bool:
        """Whether no revision is of a later step than the run's last, so that main is that one.

        Raises ValueError if one is and a step is missing: each upload is a commit on main.
        """
        last, later = self.run.steps[-1], [int(found[1]) for found in map(OWN_NAME.fullmatch, there) if found]
        if (newest := max(later, default=last)) <= last:
            return True
        if missing:
            raise ValueError(
                f"{self.hub.repository} has step {newest} of this training, and {self.run}, which ends at step {last}, "
                f"has step {missing[0]}, which is not there: uploading it would set main back. Nothing was uploaded: "
                f"push a copy of the run that has step {newest} too"
            )
        return False

    def upload(self, step: int, *, is_new: bool, dry_run: bool) -> int:
        """The bytes of a step that was uploaded to main, or would be, and of which a revision is made if it is new."""
        with tempfile.TemporaryDirectory() as scratch:
            files = self.write(step, Path(scratch))
            if not dry_run:
                commit = self.hub.commit(files, f"Checkpoint at step {step:,}")
                if is_new:
                    self.hub.branch(f"step{step}", commit)
            return sum(file.stat().st_size for file in files.values())

    def write(self, step: int, folder: Path) -> dict[str, Path]:
        """Name -> file of all files of a revision, written into a folder."""
        _save(to_huggingface(self.run.load(step)), folder)
        checksum = self.run.checkpoints.checksum(step)
        (folder / RECORD).write_text(json.dumps({**self.record, "step": step, "weights": checksum}, indent=1) + "\n")
        (folder / CARD).write_text(self.card)
        data = self.run.config.data
        if isinstance(data, TextConfig):
            vocabulary = cast(TextBatches, self.run.data).corpus.vocabulary if not data.tokens_are_bytes else BYTES
            if not isinstance(vocabulary, NumberedVocabulary):
                vocabulary.save(folder / TOKENIZER)
        return {file.name: file for file in sorted(folder.iterdir())}


def _save(model: Any, folder: Path) -> None:
    """As `save_pretrained`, without its progress bar, and with nothing for the generation of text."""
    from safetensors.torch import save_file

    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    tied = {"lm_head.weight"} if model.config.tie_word_embeddings else set()
    weights = {name: weight.contiguous() for name, weight in model.state_dict().items() if name not in tied}
    save_file(weights, folder / WEIGHTS, {"format": "pt"})
