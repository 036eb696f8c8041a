"""What a run will take, before it begins: parameters, updates, memory, time and disk. Nothing is written.

Memory is counted without allocating any (training/memory.py). A micro-batch of n sequences keeps a + n b bytes for its
backward pass, b per sequence and a once (rotary tables; under autocast the weights' bfloat16 copies); passes over one
and two sequences give both. Time is measured on random tokens, in as many sequences as fit the free memory.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path

import torch
from torch.utils.benchmark import Timer

from grok_interp.configs import TextConfig, TrainConfig
from grok_interp.configs.intervention import unreached
from grok_interp.data.sources import text_files
from grok_interp.device import memory_of
from grok_interp.training.execution import Execution
from grok_interp.training.loop import TrainingState, add_gradient, update_weights
from grok_interp.training.memory import batches_of, bytes_of_training, loss_of, random_batch

CPU_OPERATIONS = 1e11  # of the sequences timed on a CPU: seconds on a slow one
USABLE = 0.8  # of the free memory, for the sequences that are timed
BYTES = {"TB": 1e12, "GB": 1e9, "MB": 1e6, "kB": 1e3}
SECONDS = {"years": 365.25 * 86_400, "days": 86_400, "h": 3_600, "min": 60, "s": 1}


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """Bytes and seconds. The time is that of the updates: reading text and saving come on top."""

    config: TrainConfig
    data: str  # what is known of it
    device: str
    device_memory: int
    directory: Path
    free_disk: int
    checkpoint_file: int  # the size of one
    resume_file: int
    weights: int  # gradients take as much
    optimizer: int
    kept_once: int  # for the backward pass of a micro-batch
    kept_per_sequence: int
    logits_per_sequence: int  # where forward turns into backward: the logits in float32, and their gradient
    seconds_per_sequence: float = nan  # forward and backward
    seconds_per_update: float = nan  # clipping and the optimizer
    n_timed: int = 0  # sequences that were timed together

    @property
    def micro_batch_size(self) -> int:
        return self.config.micro_batch_size or self.config.batch_size

    def activations(self, n_sequences: int) -> int:
        return self.kept_once + n_sequences * (self.kept_per_sequence + self.logits_per_sequence)

    def memory(self, n_sequences: int | None = None) -> int:
        """The peak memory of training with micro-batches of `n_sequences`, by default those of the config."""
        return 2 * self.weights + self.optimizer + self.activations(n_sequences or self.micro_batch_size)

    @property
    def seconds(self) -> float:
        return self.config.n_steps * (self.config.batch_size * self.seconds_per_sequence + self.seconds_per_update)

    @property
    def disk(self) -> int:
        """Two resume points are kept, and a third is there while it is written."""
        return len(self.config.kept_steps) * self.checkpoint_file + 3 * self.resume_file

    def warnings(self) -> Iterator[str]:
        """What will not fit or has no effect, and what helps."""
        yield from unreached(self.config.intervene, self.config.n_steps)
        if self.memory() > self.device_memory:
            sizes = [n for n in range(self.micro_batch_size, 0, -1) if self.config.batch_size % n == 0]
            fits = next((n for n in sizes if self.memory(n) <= self.device_memory), None)
            helps = f"--micro-batch-size {fits} needs" if fits else "even one sequence needs"
            helps = f"{helps} {size(self.memory(fits or 1))}{'' if fits else ', take a smaller model'}"
            yield f"{size(self.memory())} of memory are needed, there are {size(self.device_memory)}: {helps}"
        if self.disk > self.free_disk:
            free = f"{size(self.disk)} of disk are needed, {size(self.free_disk)} are free"
            yield f"{free}: keep fewer checkpoints with --checkpoint-tokens, or choose another --run"

    def facts(self) -> dict[str, str]:
        """Label -> what is said of it, for a reader."""
        config, micro, n_ctx = self.config, self.micro_batch_size, self.config.model.n_ctx
        tokens, n_micro, update = config.tokens_per_step, config.batch_size // micro, self.seconds / config.n_steps
        weights, moments, kept = size(self.weights), size(self.optimizer), size(self.activations(micro))
        speed = f"{duration(update)} an update: {tokens / update:,.0f} tokens/s, measured on {self.n_timed * n_ctx:,}"
        time = f"{duration(self.seconds)}, {speed} tokens; reading text and saving come on top"
        batches = f"{n_micro:,} micro-batch{'es' * (n_micro > 1)} of {micro:,}"
        parts = f"weights {weights}, gradients {weights}, optimizer {moments}, a micro-batch {kept}"
        return {
            "parameters": f"{config.model.n_params:,}",
            "tokens": f"{config.n_steps * tokens:,} in {config.n_steps:,} updates of {tokens:,}",
            "data": self.data,
            "an update": f"{config.batch_size:,} sequences of {n_ctx:,} tokens, in {batches}",
            "device": self.device,
            "memory": f"{size(self.memory())} of {size(self.device_memory)}: {parts}",
            "time": time if self.n_timed else "not measured: training on one sequence does not fit the free memory",
            "checkpoints": f"{len(config.kept_steps):,} of {size(self.checkpoint_file)}",
            "resume points": f"2 of {size(self.resume_file)}, and a third while it is written",
            "disk": f"{size(self.disk)} of {size(self.free_disk)} free at {self.directory}",
        }

    def __str__(self) -> str:
        lines = [f"{label:13}  {text}" for label, text in self.facts().items()]
        return "\n".join([*lines, *(f"WARNING: {warning}" for warning in self.warnings())])


def training_plan(config: TrainConfig, *, directory: Path, device: str = "cpu", compiled: bool = False) -> TrainingPlan:
    """What training `config` into `directory` will take. The caller's random state stays as it was.

    Raises ValueError for local text that is missing, and for tasks that cannot be drawn; a data set of the hub is not
    looked for.
    """
    data, execution = _data(config), Execution.resolve(config, device=device, compiled=compiled)
    name, total, free = memory_of(device, n_threads=execution.n_threads * execution.n_parts)
    with torch.random.fork_rng(), execution.threads():  # dropout draws from the global generator
        counted = bytes_of_training(config, device)
        plan = TrainingPlan(
            config=config,
            data=data,
            device=f"{torch.device(device)}, {name}",
            device_memory=total,
            directory=directory,
            free_disk=shutil.disk_usage(next(f for f in (directory.absolute() / "x").parents if f.exists())).free,
            checkpoint_file=counted["weights"],
            resume_file=counted["weights"] + counted["optimizer"],
            **counted,
        )
        return plan if plan.memory(1) > USABLE * free else _timed(plan, device, execution, USABLE * free)


def _timed(plan: TrainingPlan, device: str, execution: Execution, usable: float) -> TrainingPlan:
    """With the time of as many sequences as show the speed of a whole micro-batch, and as memory and patience allow."""
    config = plan.config
    operations = 6 * config.model.n_params * config.model.n_ctx  # 6 per parameter and token
    fit = 1 + (usable - plan.memory(1)) / (plan.memory(2) - plan.memory(1))
    n = max(1, int(min(plan.micro_batch_size, fit, CPU_OPERATIONS / operations if device == "cpu" else fit)))
    state = TrainingState(config, device=device, precision=execution.precision, n_parts=execution.n_parts)
    batch = random_batch(config, n).to(device)
    loss = torch.compile(loss_of(config)) if execution.compiled else loss_of(config)
    passes = _seconds(lambda: add_gradient(state, batch, loss))
    gradients = [(parameter, parameter.grad) for parameter in state.model.parameters()]

    def update() -> None:  # an update drops the gradients
        for parameter, gradient in gradients:
            parameter.grad = gradient
        update_weights(state)

    return replace(plan, seconds_per_sequence=passes / n, seconds_per_update=_seconds(update), n_timed=n)


def _seconds(call: Callable[[], object]) -> float:
    """Per call, until the device has done it. The first one also compiles, or makes the optimizer's tensors."""
    timer = Timer("call()", globals={"call": call}, num_threads=torch.get_num_threads())
    return timer.blocked_autorange(min_run_time=1.0).mean


def _data(config: TrainConfig) -> str:
    """What is known of it. A token is one byte, or of a BPE vocabulary several: then the text is read more often."""
    data = config.data
    if not isinstance(data, TextConfig):
        return batches_of(config).description
    if data.source.startswith("hub:"):
        return f"{data.source}, not looked at: a dry run downloads nothing"
    _, files = text_files(data.source)
    n_bytes = sum(file.stat().st_size for file in files)
    times = three_digits(config.n_steps * config.tokens_per_step / max(1, n_bytes * (1 - data.validation_fraction)))
    at_least = "at least " if not data.tokens_are_bytes else ""
    return f"{data.source}: {size(n_bytes)} in {len(files):,} files, read {at_least}{times} times"


def size(n_bytes: float) -> str:
    """67.2 GB"""
    unit = next((unit for unit, length in BYTES.items() if n_bytes >= length), "kB")
    return f"{three_digits(n_bytes / BYTES[unit])} {unit}"


def duration(seconds: float) -> str:
    """1.5 h, but 90 min: a unit is used from two of it on."""
    unit = next((unit for unit, length in SECONDS.items() if seconds >= 2 * length), "s")
    return f"{three_digits(seconds / SECONDS[unit])} {unit}"


def three_digits(number: float) -> str:
    return f"{number:.3g}" if number < 100 else f"{number:,.0f}"
