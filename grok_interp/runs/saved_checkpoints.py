"""The checkpoints of a run: its files, and the steps at which its training keeps one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from grok_interp.arguments import checked
from grok_interp.configs import ModelConfig
from grok_interp.runs.metrics import last_step
from grok_interp.runs.series import CheckpointSeries

if TYPE_CHECKING:
    from grok_interp.models.transformer import Transformer

STEP_FILE = re.compile(r"step_(\d+)\.safetensors")


@dataclass(frozen=True)
class SavedCheckpoints(CheckpointSeries):
    """`step_00000128.safetensors` in one folder: weights only, under HookedTransformer's names. It may be growing.

    Every load checks the file's checksum.

    Args:
        folder: holds the files.
        model: the configuration of every model.
        schedule: the steps at which a checkpoint is kept; None where it is not known.
    """

    folder: Path
    model: ModelConfig
    schedule: tuple[int, ...] | None = None

    @property
    def steps(self) -> tuple[int, ...]:
        names = (STEP_FILE.fullmatch(file.name) for file in self.folder.glob("step_*"))
        return tuple(sorted(int(match[1]) for match in names if match))

    @property
    def due_steps(self) -> tuple[int, ...] | None:
        if self.schedule is None:
            return None
        reached = max((last_step(self.folder.parent / "metrics.jsonl"), *self.steps))
        return tuple(step for step in self.schedule if step < reached or step == reached == self.schedule[-1])

    def path(self, step: int) -> Path:
        return self.folder / f"step_{step:08d}.safetensors"

    def save(self, step: int, model: Transformer) -> None:
        from grok_interp.models.weights import canonical_views
        from grok_interp.runs.checkpoint_files import save_weights

        save_weights(self.path(step), canonical_views(model), {"step": str(step), "model": self.model.hash})

    @checked
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
