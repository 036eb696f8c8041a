"""`CheckpointSeries`: the checkpoints of a run, as (step, model) pairs, one at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from grok_interp.checkpoints.store import load_weights, save_weights, write_text
from grok_interp.configs import TrainConfig
from grok_interp.models.transformer import Transformer
from grok_interp.models.weights import canonical_views, load_canonical

STEP_FILE = re.compile(r"step_(\d+)\.safetensors")


@dataclass(frozen=True)
class CheckpointSeries:
    """A run directory's `checkpoints/step_00000128.safetensors`: weights only, under HookedTransformer's names.

    Iterating loads one model at a time, in eval mode; nothing is held after it was passed on. Every load checks the
    file's checksum.
    """

    directory: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "directory", Path(self.directory))
        if not (self.directory / "config.json").is_file():
            raise ValueError(f"no run at {self.directory}: it has no config.json; `grok-interp list` shows the runs")

    @classmethod
    def write(cls, directory: Path, config: TrainConfig, checkpoints: Iterable[tuple[int, Transformer]]) -> Self:
        """Keep what `train(config)` yields. To resume after an interruption, use `run_training`."""
        write_config(Path(directory), config)
        series = cls(Path(directory))
        for step, model in checkpoints:
            series.save(step, model)
        return series

    @property
    def config(self) -> TrainConfig:
        return TrainConfig.from_dict(json.loads((self.directory / "config.json").read_text())["train"])

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps on disk, sorted."""
        names = (STEP_FILE.fullmatch(file.name) for file in (self.directory / "checkpoints").glob("step_*"))
        return tuple(sorted(int(match[1]) for match in names if match))

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[tuple[int, Transformer]]:
        return self.at(self.steps)

    def at(self, steps: Iterable[int], *, device: str = "cpu") -> Iterator[tuple[int, Transformer]]:
        """(step, model) of the steps given, each model on `device`, a torch device."""
        return ((step, self.load(step).to(device)) for step in steps)

    def path(self, step: int) -> Path:
        return self.directory / "checkpoints" / f"step_{step:08d}.safetensors"

    def save(self, step: int, model: Transformer) -> None:
        save_weights(self.path(step), canonical_views(model), {"step": str(step)})

    def load(self, step: int) -> Transformer:
        """The model at a step, in eval mode.

        Raises ValueError for a step that was not saved, and for a file that is damaged or belongs elsewhere.
        """
        if not self.path(step).is_file():
            raise ValueError(f"no step {step} in {self.directory}, saved steps: {self.steps}")
        weights, metadata = load_weights(self.path(step))
        if metadata.get("step") != str(step):
            raise ValueError(f"{self.path(step)} holds step {metadata.get('step')}: the file was renamed")
        model = Transformer(self.config.model, initialize=False)
        load_canonical(model, weights)
        return model.eval()


def write_config(directory: Path, config: TrainConfig, **provenance: object) -> None:
    """config.json: the training config, and what else decides or describes the run."""
    write_text(directory / "config.json", json.dumps({"train": config.to_dict(), **provenance}, indent=1) + "\n")
