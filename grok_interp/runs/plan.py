"""What a run will take, before it begins: parameters, updates, memory, time and disk. Nothing is written.

print(training_plan(training_preset("copier-paper"), directory=Path("runs/paper"), device="cuda"))
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from grok_interp.runs.sizes import state_file_bytes, weights_file_bytes
from grok_interp.configs import TextConfig, TrainConfig
from grok_interp.data.sources import text_files
from grok_interp.models.weights import canonical_views
from grok_interp.training.batches import ModularBatches
from grok_interp.training.costs import TrainingCosts, training_costs
from grok_interp.training.execution import Execution
from grok_interp.training.loop import TrainingState
from grok_interp.units import duration, size, three_digits

RESUME_POINTS = 3  # two are kept, and a third is there while it is written


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """Bytes and seconds. The time is that of the updates: reading text and saving come on top."""

    config: TrainConfig
    costs: TrainingCosts
    data: str  # what is known of it
    device: str
    device_memory: int
    directory: Path
    free_disk: int
    checkpoint_file: int  # the size of one
    resume_file: int

    @property
    def micro_batch_size(self) -> int:
        return self.config.micro_batch_size or self.config.batch_size

    @property
    def n_micro_batches(self) -> int:
        return self.config.batch_size // self.micro_batch_size

    @property
    def n_tokens(self) -> int:
        return self.config.n_steps * self.config.tokens_per_step

    @property
    def n_checkpoints(self) -> int:
        return len(self.config.kept_steps)

    @property
    def memory(self) -> int:
        return self.costs.memory(self.micro_batch_size)

    @property
    def seconds_per_update(self) -> float:
        return self.config.batch_size * self.costs.seconds_per_sequence + self.costs.seconds_per_update

    @property
    def seconds(self) -> float:
        return self.config.n_steps * self.seconds_per_update

    @property
    def disk(self) -> int:
        return self.n_checkpoints * self.checkpoint_file + RESUME_POINTS * self.resume_file

    def warnings(self) -> Iterator[str]:
        """What will not fit, and what helps."""
        if self.memory > self.device_memory:
            there = f"{size(self.memory)} of memory are needed, there are {size(self.device_memory)}"
            yield f"{there}: {self._what_fits()}"
        if self.disk > self.free_disk:
            yield (
                f"{size(self.disk)} of disk are needed, {size(self.free_disk)} are free: keep fewer checkpoints "
                "with --checkpoint-tokens, or choose another --run"
            )

    def _what_fits(self) -> str:
        for n_sequences in range(self.micro_batch_size, 0, -1):
            if self.config.batch_size % n_sequences == 0 and self.costs.memory(n_sequences) <= self.device_memory:
                return f"--micro-batch-size {n_sequences} needs {size(self.costs.memory(n_sequences))}"
        return f"even one sequence needs {size(self.costs.memory(1))}, take a smaller model"

    def facts(self) -> dict[str, str]:
        """Label -> what is said of it, for a reader."""
        return _rows(self)

    def __str__(self) -> str:
        rows = self.facts()
        width = max(map(len, rows))
        lines = [f"{label:{width}}  {text}" for label, text in rows.items()]
        return "\n".join([*lines, *(f"WARNING: {warning}" for warning in self.warnings())])


def training_plan(config: TrainConfig, *, directory: Path, device: str = "cpu", compiled: bool = False) -> TrainingPlan:
    """What training `config` into `directory` will take; memory and speed are measured, on random tokens.

    Raises ValueError for local text that is missing, and for tasks that cannot be drawn; a data set of the hub is not
    looked for.
    """
    data = _data(config)
    state = TrainingState(config, device=device)
    with Execution.resolve(config, device=device, compiled=compiled).threads():
        costs, name = training_costs(state, compiled=compiled), _device_name(state.device)
    return TrainingPlan(
        config=config,
        costs=costs,
        data=data,
        device=name,
        device_memory=_device_memory(state.device),
        directory=directory,
        free_disk=_free_disk(directory),
        checkpoint_file=weights_file_bytes(canonical_views(state.model), {"step": str(config.n_steps)}),
        resume_file=state_file_bytes({**state.state_dict(), "seconds": 0.0}),
    )


def _rows(plan: TrainingPlan) -> dict[str, str]:
    config, costs, micro = plan.config, plan.costs, plan.micro_batch_size
    n_ctx, update = config.model.n_ctx, plan.seconds_per_update
    parts = {"weights": costs.weights, "gradients": costs.gradients, "optimizer": costs.optimizer}
    parts |= {"a micro-batch": costs.activations(micro)}
    return {
        "parameters": f"{config.model.n_params:,}",
        "tokens": f"{plan.n_tokens:,} in {config.n_steps:,} updates of {config.tokens_per_step:,}",
        "data": plan.data,
        "an update": f"{config.batch_size:,} sequences of {n_ctx:,} tokens, "
        f"in {plan.n_micro_batches:,} micro-batch{'es' * (plan.n_micro_batches > 1)} of {micro:,}",
        "device": plan.device,
        "memory": f"{size(plan.memory)} of {size(plan.device_memory)}: "
        + ", ".join(f"{name} {size(n_bytes)}" for name, n_bytes in parts.items()),
        "time": f"{duration(plan.seconds)}, {duration(update)} an update: {config.tokens_per_step / update:,.0f} "
        f"tokens/s, measured on {costs.n_timed * n_ctx:,} tokens; reading text and saving come on top",
        "checkpoints": f"{plan.n_checkpoints:,} of {size(plan.checkpoint_file)}",
        "resume points": f"2 of {size(plan.resume_file)}, and a third while it is written",
        "disk": f"{size(plan.disk)} of {size(plan.free_disk)} free at {plan.directory}",
    }


def _data(config: TrainConfig) -> str:
    if not isinstance(config.data, TextConfig):
        return ModularBatches(config).description
    if config.data.source.startswith("hub:"):
        return f"{config.data.source}, not looked at: a dry run downloads nothing"
    return _local_text(config, config.data)


def _local_text(config: TrainConfig, data: TextConfig) -> str:
    """A token is one byte, or of a BPE vocabulary several: then the text is read more often."""
    _, files = text_files(data.source)
    n_bytes = sum(file.stat().st_size for file in files)
    times = three_digits(config.n_steps * config.tokens_per_step / max(1, n_bytes * (1 - data.validation_fraction)))
    at_least = "at least " if data.vocabulary == "bpe" else ""
    return f"{data.source}: {size(n_bytes)} in {len(files):,} files, read {at_least}{times} times"


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device}, {torch.cuda.get_device_name(device)}"
    n_threads = torch.get_num_threads()
    return f"{device}, {n_threads} thread{'s' * (n_threads > 1)}"


def _device_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _free_disk(directory: Path) -> int:
    absolute = Path(directory).absolute()
    return shutil.disk_usage(next(folder for folder in (absolute, *absolute.parents) if folder.exists())).free
