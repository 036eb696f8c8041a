"""What a run will take, before it begins: parameters, updates, memory, time and disk. Nothing is written.

Memory is counted with the loop's own functions, on tensors that have shapes and no contents. What a micro-batch keeps
for its backward pass is linear in its sequences: some is kept once (rotary tables, bfloat16 copies of the weights).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.benchmark import Timer

from grok_interp.configs import TextConfig, TrainConfig
from grok_interp.configs.intervention import unreached
from grok_interp.counted import duration, size, three_digits
from grok_interp.data.sources import text_files
from grok_interp.device import memory_of
from grok_interp.models.transformer import Transformer
from grok_interp.training.batches import next_token_loss, open_batches
from grok_interp.training.execution import Execution
from grok_interp.training.loop import add_gradient, loss_part
from grok_interp.training.optimizer import take_step
from grok_interp.training.state import TrainingState

CPU_OPERATIONS = 1e11  # of the sequences timed on a CPU: seconds on a slow one
USABLE = 0.8  # of the free memory, for the sequences that are timed

opened_batches = lru_cache(maxsize=2)(open_batches)  # of data other than text, which may be large and far away


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """Bytes and seconds. The time is that of the updates: reading text and saving come on top."""

    config: TrainConfig
    data: str  # what is known of it
    device: str
    device_memory: int
    directory: Path
    free_disk: int
    weights: int  # gradients take as much, and so does a checkpoint
    optimizer: int  # a resume point holds it and the weights
    kept_once: int  # for the backward pass of a micro-batch
    kept_per_sequence: int
    logits_per_sequence: int  # where forward turns into backward: the logits in float32, and their gradient
    seconds_per_sequence: float = torch.nan  # forward and backward
    seconds_per_update: float = torch.nan  # the optimizer
    n_timed: int = 0  # sequences that were timed together

    def memory(self, n_sequences: int | None = None) -> int:
        """The peak memory of training with micro-batches of `n_sequences`, by default those of the config."""
        n_kept = (n_sequences or self.config.sequences_at_once) * (self.kept_per_sequence + self.logits_per_sequence)
        return 2 * self.weights + self.optimizer + self.kept_once + n_kept

    @property
    def seconds(self) -> float:
        return self.config.n_steps * (self.config.batch_size * self.seconds_per_sequence + self.seconds_per_update)

    @property
    def disk(self) -> int:
        """Two resume points are kept, and a third is there while it is written."""
        return len(self.config.kept_steps) * self.weights + 3 * (self.weights + self.optimizer)

    def warnings(self) -> Iterator[str]:
        """What will not fit or has no effect, and what helps."""
        yield from unreached(self.config.intervene, self.config.n_steps)
        if self.memory() > self.device_memory:
            smaller = (n for n in range(self.config.sequences_at_once, 0, -1) if self.config.batch_size % n == 0)
            fits = next((n for n in smaller if self.memory(n) <= self.device_memory), None)
            helps = f"--micro-batch-size {fits} needs" if fits else "even one sequence needs"
            helps = f"{helps} {size(self.memory(fits or 1))}{'' if fits else ', take a smaller model'}"
            yield f"{size(self.memory())} of memory are needed, there are {size(self.device_memory)}: {helps}"
        if self.disk > self.free_disk:
            free = f"{size(self.disk)} of disk are needed, {size(self.free_disk)} are free"
            yield f"{free}: keep fewer checkpoints with --checkpoint-tokens, or choose another --run"

    def facts(self) -> dict[str, str]:
        """Label -> what is said of it, for a reader."""
        config, n_ctx, micro = self.config, self.config.model.n_ctx, self.config.sequences_at_once
        tokens, update, weights = config.tokens_per_step, self.seconds / config.n_steps, size(self.weights)
        speed = f"{duration(update)} an update: {tokens / update:,.0f} tokens/s, measured on {self.n_timed * n_ctx:,}"
        time = f"{duration(self.seconds)}, {speed} tokens; reading text and saving come on top"
        batches = f"{config.batch_size // micro:,} micro-batch{'es' * (config.batch_size > micro)} of {micro:,}"
        parts = f"weights {weights}, gradients {weights}, optimizer {size(self.optimizer)}, a micro-batch"
        kept = size(self.memory() - 2 * self.weights - self.optimizer)
        return {
            "parameters": f"{config.model.n_params:,}",
            "tokens": f"{config.n_steps * tokens:,} in {config.n_steps:,} updates of {tokens:,}",
            "data": self.data,
            "an update": f"{config.batch_size:,} sequences of {n_ctx:,} tokens, in {batches}",
            "device": self.device,
            "memory": f"{size(self.memory())} of {size(self.device_memory)}: {parts} {kept}",
            "time": time if self.n_timed else "not measured: training on one sequence does not fit the free memory",
            "checkpoints": f"{len(config.kept_steps):,} of {weights}",
            "resume points": f"2 of {size(self.weights + self.optimizer)}, and a third while it is written",
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
        plan = TrainingPlan(
            config=config,
            data=data,
            device=f"{torch.device(device)}, {name}",
            device_memory=total,
            directory=directory,
            free_disk=shutil.disk_usage(next(f for f in (directory.absolute() / "x").parents if f.exists())).free,
            **bytes_of_training(config, device),
        )
        return plan if plan.memory(1) > USABLE * free else _timed(plan, device, execution, USABLE * free)


def bytes_of_training(config: TrainConfig, device: str) -> dict[str, int]:
    """Of weights and moments, and what a micro-batch keeps for its backward pass, as `TrainingPlan` names them."""
    batches = [random_batch(config, n_sequences) for n_sequences in (1, 2)]
    with FakeTensorMode(allow_non_fake_inputs=True), torch.device(device):
        state = TrainingState(config, device=device, model=Transformer(config.model, initialize=False))
        one, two = (kept_bytes(state, batch) for batch in batches)
        for parameter in state.model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        take_step(state.optimizers)
        weights = sum(parameter.nbytes for parameter in state.model.parameters())
        moments = [moment.nbytes for of in state.optimizers for own in of.state.values() for moment in own.values()]
    kept = dict(kept_once=2 * one - two, kept_per_sequence=two - one)
    logits = 2 * 4 * config.model.n_ctx * config.model.d_vocab
    return dict(weights=weights, optimizer=sum(moments), logits_per_sequence=logits, **kept)


def kept_bytes(state: TrainingState, batch: Int64[Tensor, "batch pos"]) -> int:
    """What the loss of a micro-batch keeps for its backward pass, besides parameters; shared storages count once."""
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        loss_part(state, batch.to(state.device), loss_of(state.config))
    storages = {tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in kept}
    parameters = {parameter.untyped_storage()._cdata for parameter in state.model.parameters()}
    return sum(n_bytes for storage, n_bytes in storages.items() if storage not in parameters)


def random_batch(config: TrainConfig, n_sequences: int) -> Int64[Tensor, "batch pos"]:
    """Of the shape that is trained on: of text, the token after the context is predicted too."""
    of_text = isinstance(config.data, TextConfig)
    n_tokens = config.model.n_ctx + 1 if of_text else opened_batches(config).batch(0, torch.device("cpu")).shape[1]
    return torch.randint(config.model.d_vocab, (n_sequences, n_tokens), generator=torch.Generator().manual_seed(0))


def loss_of(config: TrainConfig) -> Callable:
    return next_token_loss if isinstance(config.data, TextConfig) else opened_batches(config).loss


def _timed(plan: TrainingPlan, device: str, execution: Execution, usable: float) -> TrainingPlan:
    """With the time of as many sequences as show the speed of a whole micro-batch, and as memory and patience allow."""
    operations = 6 * plan.config.model.n_params * plan.config.model.n_ctx  # 6 per parameter and token
    fit = 1 + (usable - plan.memory(1)) / (plan.memory(2) - plan.memory(1))
    n = max(1, int(min(plan.config.sequences_at_once, fit, CPU_OPERATIONS / operations if device == "cpu" else fit)))
    state = TrainingState(plan.config, device=device, precision=execution.precision, n_parts=execution.n_parts)
    batch, loss = random_batch(plan.config, n).to(device), loss_of(plan.config)
    loss = torch.compile(loss) if execution.compiled else loss
    calls = (lambda: add_gradient(state, batch, loss), lambda: [optimizer.step() for optimizer in state.optimizers])
    timers = [Timer("call()", globals={"call": call}, num_threads=torch.get_num_threads()) for call in calls]
    passes, update = (timer.blocked_autorange(min_run_time=1.0).mean for timer in timers)  # the first call compiles
    return replace(plan, seconds_per_sequence=passes / n, seconds_per_update=update, n_timed=n)


def _data(config: TrainConfig) -> str:
    """What is known of it. A token is one byte, or of a BPE vocabulary several: then the text is read more often."""
    data = config.data
    if not isinstance(data, TextConfig):
        return opened_batches(config).description
    if data.source.startswith("hub:"):
        return f"{data.source}, not looked at: a dry run downloads nothing"
    sizes = [file.stat().st_size for file in text_files(data.source)[1]]
    times = config.n_steps * config.tokens_per_step / max(1, sum(sizes) * (1 - data.validation_fraction))
    at_least = "" if data.tokens_are_bytes else "at least "
    return f"{data.source}: {size(sum(sizes))} in {len(sizes):,} files, read {at_least}{three_digits(times)} times"
