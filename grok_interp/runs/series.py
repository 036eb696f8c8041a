"""`CheckpointSeries`: checkpoints in the order of their steps, as (step, model) pairs, one at a time."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grok_interp.configs import ModelConfig

if TYPE_CHECKING:
    from grok_interp.models.transformer import Transformer

STEP_FILE = re.compile(r"step_(\d+)\.safetensors")


class CheckpointSeries(ABC):
    """Any ordered series of (step, model), from wherever it comes; every analyzer takes one.

    Iterating loads one model at a time, in eval mode; nothing is held after it was passed on.
    """

    @property
    @abstractmethod
    def steps(self) -> tuple[int, ...]:
        """The steps that there are now, sorted."""

    @abstractmethod
    def load(self, step: int) -> Any:
        """The model at a step, in eval mode. Raises ValueError for a step that is not there."""

    @abstractmethod
    def checksum(self, step: int) -> str:
        """Names the weights at a step: results are stored under it, and another checksum is evaluated anew."""

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        return self.at(self.steps)

    def at(self, steps: Iterable[int], *, device: str = "cpu") -> Iterator[tuple[int, Any]]:
        """(step, model) of the steps given, each model on `device`, a torch device."""
        return ((step, self.load(step).to(device)) for step in steps)


@dataclass(frozen=True)
class SavedCheckpoints(CheckpointSeries):
    """`step_00000128.safetensors` in one folder: weights only, under HookedTransformer's names. It may be growing.

    Every load checks the file's checksum.

    Args:
        folder: holds the files.
        model: the configuration of every model.
    """

    folder: Path
    model: ModelConfig

    @property
    def steps(self) -> tuple[int, ...]:
        names = (STEP_FILE.fullmatch(file.name) for file in self.folder.glob("step_*"))
        return tuple(sorted(int(match[1]) for match in names if match))

    def path(self, step: int) -> Path:
        return self.folder / f"step_{step:08d}.safetensors"

    def save(self, step: int, model: Transformer) -> None:
        from grok_interp.models.weights import canonical_views
        from grok_interp.runs.checkpoint_files import save_weights

        save_weights(self.path(step), canonical_views(model), {"step": str(step), "model": self.model.hash})

    def load(self, step: int) -> Transformer:
        """The model at a step, in eval mode.

        Raises ValueError for a step that was not saved, and for a file that is damaged or belongs elsewhere.
        """
        from grok_interp.models.transformer import Transformer
        from grok_interp.models.weights import load_canonical, require_size
        from grok_interp.runs.checkpoint_files import load_weights

        if not self.path(step).is_file():
            raise ValueError(f"no step {step} in {self.folder}, saved steps: {self.steps}")
        weights, metadata = load_weights(self.path(step))
        if metadata.get("step") != str(step):
            raise ValueError(f"{self.path(step)} holds step {metadata.get('step')}: the file was renamed")
        if metadata.get("model", self.model.hash) != self.model.hash:
            raise ValueError(
                f"{self.path(step)} belongs to another model config: config.json was edited, or the file is from "
                "another run; restore it"
            )
        require_size(self.model, weights, self.path(step))
        model = Transformer(self.model, initialize=False)
        load_canonical(model, weights)
        return model.eval()

    def checksum(self, step: int) -> str:
        from grok_interp.runs.checkpoint_files import weights_checksum

        return weights_checksum(self.path(step))
