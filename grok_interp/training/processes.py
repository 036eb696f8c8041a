"""One run on several processes: `torchrun --nproc-per-node 2 -m -- grok_interp.cli train ...`.

Every process draws the whole batch of a step and trains on its own rows of it, so that the data are those of one
process. torch's DistributedDataParallel averages the gradients, and all processes make the same update; or each keeps
and updates a part of the weights (sharding.py). The first process alone reads and writes the run: its files do not tell
how many processes there were.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any, cast

import torch
from torch import Tensor, distributed, nn
from torch.optim import Optimizer

from grok_interp.configs import TrainConfig
from grok_interp.models.transformer import Transformer
from grok_interp.training.rendezvous import (
    STORES,
    LostProcessError,
    ended_ranks,
    note_leaving,
    note_process,
    takes_the_word,
    torchruns_store,
)
from grok_interp.training.sharding import divided, outline, require_shardable, shard, whole, whole_model

JOIN_TIMEOUT = timedelta(minutes=10)
RUNS = count()
LOST = ("peer", "gloo", "nccl", "connection", "socket", "timeout")  # in what torch says of a process that has ended
SECONDS_TO_END = 2.0  # a process closes its connections before it has ended


@dataclass(frozen=True)
class Processes:
    """This process among those that train a run.

    Args:
        rank: 0 for the first, which writes the run.
        number: of all.
        sharded: each keeps a part of the weights, gradients and moments, instead of all.
    """

    rank: int = 0
    number: int = 1
    sharded: bool = False

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def require_fit(self, batch_size: int, *, dropout: float) -> None:
        """Raises ValueError for a batch that cannot be divided, and for dropout, whose masks would be others."""
        if batch_size % self.number:
            raise ValueError(
                f"a batch of {batch_size} sequences cannot be divided among {self.number} processes: give --batch-size "
                f"a multiple of {self.number}, or another number of processes"
            )
        if self.number > 1 and dropout > 0:
            raise ValueError("attention dropout draws its masks within a process: train this run on one process")

    def part(self, batch: Tensor) -> Tensor:
        """The rows of this process."""
        return batch[self.rank :: self.number]

    def wrapped(self, model: nn.Module, config: TrainConfig, *, own_optimizer: bool = False) -> nn.Module:
        """The model, with gradients that are averaged over all processes; divided, its parameters are new ones.

        Raises ValueError for what a sharded model cannot be trained with.
        """
        if self.sharded:
            require_shardable(config, own_optimizer=own_optimizer)
            shard(model)
        return nn.parallel.DistributedDataParallel(model) if self.number > 1 and not self.sharded else model

    def exchange(self, wrapped: nn.Module, *, now: bool) -> AbstractContextManager[Any]:
        """Inside, a backward pass averages the gradients, if not `now` then only adds its own to them.

        Sharded gradients are averaged at once: before that they are whole on every process.
        """
        return nullcontext() if now or self.number == 1 or self.sharded else cast(Any, wrapped).no_sync()

    def total(self, value: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.number > 1:
            distributed.all_reduce(value)
        return value

    def full(self, value: Tensor) -> Tensor:
        """A number of which each process may have a part."""
        return cast(Any, value).full_tensor() if self.sharded else value

    def whole(self, state: dict[str, Any]) -> dict[str, Any]:
        """A state as on one process; of a sharded one the first process alone has the tensors."""
        return whole(state, keep=self.is_first) if self.sharded else state

    def divided(self, state: dict[str, Any], model: nn.Module, optimizers: list[Optimizer]) -> dict[str, Any]:
        """What this process loads of a whole state, which the others of a sharded run may have in outline."""
        return divided(state, model, optimizers) if self.sharded else state

    def whole_model(self, config: TrainConfig, model: Transformer) -> Transformer:
        """The model as on one process; of a sharded one the others get what they gave."""
        copied = whole_model(config, model, keep=self.is_first) if self.sharded else None
        return copied or model

    def share_state(self, state: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """The state that the first process has read, None without one; of a sharded run the others get its outline."""
        given = self.from_first(outline(state) if self.sharded else state)
        return state if self.is_first else given

    def keeps(self, now: bool = False) -> bool:
        """Does the first process keep the state now? Of a sharded one all must give their parts then.

        Args:
            now: what the first process does.
        """
        return self.sharded and self.from_first(now)

    def from_first(self, value: Any) -> Any:
        """What the first process has; the others give None."""
        if self.number == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values)
        return values[0]

    def wait(self) -> None:
        """Until all processes are here."""
        if self.number > 1:
            distributed.barrier()

    @contextmanager
    def naming_lost(self) -> Iterator[None]:
        """Raises LostProcessError where an exchange fails because another process has ended."""
        try:
            yield
        except RuntimeError as error:
            if self.number == 1 or not any(word in str(error).lower() for word in LOST):
                raise
            raise self.loss(ended_ranks(self.number, seconds=SECONDS_TO_END)) from error

    def loss(self, ranks: Sequence[int]) -> LostProcessError:
        """What is said where others have ended.

        Args:
            ranks: theirs, as far as they are known.
        """
        which = f" (rank {', '.join(map(str, ranks))})" if ranks else ""
        return LostProcessError(
            f"one of the {self.number} processes of this training has ended{which}: the same command resumes from the "
            "last resume point"
        )


ALONE = Processes()


@contextmanager
def joined(device: str, *, sharded: bool = False) -> Iterator[tuple[Processes, str]]:
    """The processes that torchrun started, and the device of this one; this process alone without torchrun.

    Args:
        device: a torch device; `cuda` becomes the GPU of this process.
        sharded: weights, gradients and moments are divided among the processes.

    Raises:
        ValueError: for `sharded` on one process.
    """
    number = int(os.environ.get("WORLD_SIZE", "1"))
    if number == 1:
        if sharded:
            raise ValueError(
                "sharded training divides a model among several processes, and this is one: start it with "
                "`torchrun --standalone --nproc-per-node 2 -m -- grok_interp.cli train ... --sharded`"
            )
        yield ALONE, device
        return
    on_gpu = device.startswith("cuda")
    if on_gpu:
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    rank, backend = int(os.environ["RANK"]), "nccl" if on_gpu else "gloo"
    if store := torchruns_store(
        JOIN_TIMEOUT
    ):  # a part of it for each run, so that one process may train several in turn
        own_part = STORES.PrefixStore(f"run{next(RUNS)}", store)
        distributed.init_process_group(backend, store=own_part, rank=rank, world_size=number)
    else:
        distributed.init_process_group(backend)
    processes = Processes(rank, number, sharded)
    note_process(rank)
    try:
        yield processes, device
    except LostProcessError:
        raise
    except BaseException as error:
        lost = ended_ranks(number, without_a_word=True) if isinstance(error, KeyboardInterrupt) else []
        if lost:  # torchrun has seen it first, and interrupts the others
            raise processes.loss(lost) from error
        note_leaving(rank)
        if processes.is_first:
            takes_the_word()  # before the others notice that it ends
        raise
    finally:
        distributed.destroy_process_group()
