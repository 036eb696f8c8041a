"""In-context modular arithmetic (B.1 of "Learning to grok"): tasks, inputs, and sequences made on the device.

A sequence is x1 y1 z1 ... xn yn zn, one token a number, z = a x + b y (mod p). A task (a, b) is trained on or not (i.d.
or o.o.d.), an input (x, y) is trained on or not (train or test): four splits. The examples of a sequence all come from
one set of inputs. Batches are balanced and aligned: as many sequences of every task, all tasks on the same inputs.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from grok_interp.configs.modular import ModularConfig

Split = Literal["id_train", "id_test", "ood_train", "ood_test"]
SPLITS: tuple[Split, ...] = ("id_train", "id_test", "ood_train", "ood_test")
MAX_OOD_TASKS = 256
MAX_DRAWS = 100_000
Pair = tuple[int, int]


@dataclass(frozen=True)
class ModularTasks:
    """The tasks and inputs of a config; the same for the same config."""

    p: int
    id_tasks: Int64[Tensor, "id_task 2"]
    ood_tasks: Int64[Tensor, "ood_task 2"]
    train_inputs: Int64[Tensor, "train_pair 2"]
    test_inputs: Int64[Tensor, "test_pair 2"]

    @classmethod
    def draw(cls, config: ModularConfig) -> ModularTasks:
        """Raises ValueError when the rectangular rule finds no room for as many tasks."""
        everything = _pairs(range(config.p))
        chosen = _rectangular_tasks(config) if config.rule == "rectangular" else _random_tasks(config, everything)
        remaining = sorted(set(everything) - set(chosen))
        random.Random(config.task_seed).shuffle(remaining)
        inputs = np.random.default_rng(config.input_seed).permutation(np.array(everything))
        train, test = inputs[: config.n_train_inputs], inputs[config.n_train_inputs :]
        return cls(config.p, *map(_tensor, (chosen, remaining[:MAX_OOD_TASKS], train, test)))

    def of(self, split: Split) -> tuple[Int64[Tensor, "task 2"], Int64[Tensor, "pair 2"]]:
        """(tasks, inputs) of one of the four splits."""
        tasks, inputs = split.split("_")
        return getattr(self, f"{tasks}_tasks"), getattr(self, f"{inputs}_inputs")

    def to(self, device: torch.device | str) -> ModularTasks:
        tensors = (self.id_tasks, self.ood_tasks, self.train_inputs, self.test_inputs)
        return ModularTasks(self.p, *(tensor.to(device) for tensor in tensors))


def _pairs(span: range) -> list[Pair]:
    return [(a, b) for a in span for b in span]


def rectangular_bases(config: ModularConfig) -> list[Pair]:
    """The base vectors of the rectangular rule, n_id / 4 of them."""
    span = range(1 if config.base_range == "paper" else 0, config.p)
    candidates = _pairs(span)
    return random.Random(config.task_seed).sample(candidates, config.n_id // 4)


def _rectangular_tasks(config: ModularConfig) -> list[Pair]:
    """Each base (a, b) with (a, y), (x, b) and (x, y), for the first x, y drawn that make all three new."""
    bases, generator = rectangular_bases(config), random.Random(config.task_seed + 1)
    taken = dict.fromkeys(bases)
    for a, b in bases:
        taken.update(dict.fromkeys(_rectangle(a, b, config, taken, generator)))
    return list(taken)


def _rectangle(a: int, b: int, config: ModularConfig, taken: dict, generator: random.Random) -> list[Pair]:
    first = 1 if config.base_range == "paper" else 0
    for _ in range(MAX_DRAWS):
        x, y = generator.randrange(first, config.p), generator.randrange(first, config.p)
        others = [(a, y), (x, b), (x, y)]
        if x not in (a, b) and y not in (a, b, x) and not any(pair in taken for pair in others):
            return others
    raise ValueError(
        f"the rectangular rule found no room for {config.n_id} tasks with p = {config.p}, base_range "
        f"{config.base_range!r} and task_seed {config.task_seed}: lower n_id, change the seed, or take rule 'random'"
    )


def _random_tasks(config: ModularConfig, everything: list[Pair]) -> list[Pair]:
    return random.Random(config.task_seed).sample(everything, config.n_id)


def _tensor(pairs: list[Pair] | np.ndarray) -> Int64[Tensor, "pair 2"]:
    return torch.as_tensor(np.asarray(pairs), dtype=torch.int64)


def require_task(task: tuple[int, int], p: int) -> None:
    """Raises ValueError for a task outside Z_p."""
    if not all(0 <= part < p for part in task):
        raise ValueError(f"task {tuple(task)} is outside Z_{p}: both parts must be within 0..{p - 1}")


def answers(
    tasks: Int64[Tensor, "task 2"], inputs: Int64[Tensor, "context example 2"], p: int
) -> Int64[Tensor, "task context example"]:
    """z = a x + b y (mod p) of every task on every input."""
    return (tasks[:, None, None] * inputs).sum(dim=-1) % p


def sequences(
    tasks: Int64[Tensor, "task 2"], inputs: Int64[Tensor, "context example 2"], p: int
) -> Int64[Tensor, "task context pos"]:
    """x1 y1 z1 x2 y2 z2 ... of every task on the same inputs."""
    z = answers(tasks, inputs, p).unsqueeze(-1)
    xy = inputs.expand(len(tasks), *inputs.shape)
    return torch.cat([xy, z], dim=-1).flatten(2)


def draw_inputs(
    inputs: Int64[Tensor, "pair 2"], *, n_contexts: int, n_examples: int, seed: tuple[int, ...]
) -> Int64[Tensor, "context example 2"]:
    """Examples drawn with replacement, on the inputs' device; a function of the seed and the kind of device."""
    generator = seeded_generator(seed, inputs.device)
    index = torch.randint(len(inputs), (n_contexts, n_examples), generator=generator, device=inputs.device)
    return inputs[index]


def seeded_generator(seed: tuple[int, ...], device: torch.device) -> torch.Generator:
    """A generator on `device`, seeded by all numbers of `seed`."""
    state = int(np.random.SeedSequence(seed).generate_state(1)[0])  # torch's CPU generator reads 32 bits of a seed
    return torch.Generator(device).manual_seed(state)
