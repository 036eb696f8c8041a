"""In-context modular arithmetic (B.1 of "Learning to grok"): tasks, inputs, and sequences made on the device.

A sequence is x1 y1 z1 ... xn yn zn, one token a number, z = a x + b y (mod p). A task (a, b) is trained on or not (i.d.
or o.o.d.), an input (x, y) is trained on or not (train or test): four splits. The examples of a sequence all come from
one set of inputs. Batches are balanced and aligned: as many sequences of every task, all tasks on the same inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from grok_interp.configs.modular import ModularConfig
from grok_interp.data.task_rules import Pair, draw_tasks, pairs

Split = Literal["id_train", "id_test", "ood_train", "ood_test"]
SPLITS: tuple[Split, ...] = ("id_train", "id_test", "ood_train", "ood_test")
MAX_OOD_TASKS = 256


@dataclass(frozen=True)
class ModularTasks:
    """The tasks and inputs of a config; the same for the same config.

    Args:
        p: the modulus; numbers are within 0 .. p - 1.
        id_tasks: (a, b) of the tasks that are trained on.
        ood_tasks: (a, b) of tasks that are not, at most 256.
        train_inputs: (x, y) of the inputs that are trained on.
        test_inputs: all other (x, y).

    Example:
        >>> tasks = ModularTasks.draw(ModularConfig(p=5, n_id=8, alpha=0.6, rule="random"))
        >>> len(tasks.id_tasks), len(tasks.ood_tasks), len(tasks.train_inputs)
        (8, 17, 15)
    """

    p: int
    id_tasks: Int64[Tensor, "id_task 2"]
    ood_tasks: Int64[Tensor, "ood_task 2"]
    train_inputs: Int64[Tensor, "train_pair 2"]
    test_inputs: Int64[Tensor, "test_pair 2"]

    @classmethod
    def draw(cls, config: ModularConfig) -> ModularTasks:
        """The tasks and inputs of a config.

        Args:
            config: the modulus, the numbers of tasks and inputs, the rule and the seeds.

        Returns:
            `n_id` tasks, at most 256 of the others, and the two sets of inputs.

        Raises:
            ValueError: if the rule finds no room for `n_id` tasks.

        Example:
            >>> tasks = ModularTasks.draw(ModularConfig(p=29, n_id=512, alpha=0.8, rule="published"))
            >>> len(tasks.id_tasks), len(tasks.ood_tasks), len(tasks.train_inputs)
            (512, 256, 673)
        """
        chosen, others = draw_tasks(config)
        inputs = _shuffled_inputs(config)
        train, test = inputs[: config.n_train_inputs], inputs[config.n_train_inputs :]
        return cls(config.p, *map(_tensor, (chosen, others[:MAX_OOD_TASKS], train, test)))

    def of(self, split: Split) -> tuple[Int64[Tensor, "task 2"], Int64[Tensor, "pair 2"]]:
        """(tasks, inputs) of one of the four splits.

        Args:
            split: id_train, id_test, ood_train or ood_test.
        """
        tasks, inputs = split.split("_")
        return getattr(self, f"{tasks}_tasks"), getattr(self, f"{inputs}_inputs")

    def n_all_tasks(self, split: Split) -> int:
        """How many tasks a split has; of the o.o.d. ones at most 256 are kept.

        Args:
            split: id_train, id_test, ood_train or ood_test.
        """
        n_id = len(self.id_tasks)
        return n_id if split.startswith("id") else max(len(self.ood_tasks), self.p**2 - n_id)

    def to(self, device: torch.device | str) -> ModularTasks:
        """The same with tensors on another device.

        Args:
            device: a torch device.
        """
        tensors = (self.id_tasks, self.ood_tasks, self.train_inputs, self.test_inputs)
        return ModularTasks(self.p, *(tensor.to(device) for tensor in tensors))


def _shuffled_inputs(config: ModularConfig) -> np.ndarray:
    """All (x, y); under the published rule in the order of the published code, from NumPy's legacy generator."""
    legacy = config.rule == "published"
    generator = np.random.RandomState(config.input_seed) if legacy else np.random.default_rng(config.input_seed)
    return generator.permutation(np.array(pairs(range(config.p))))


def _tensor(values: list[Pair] | np.ndarray) -> Int64[Tensor, "pair 2"]:
    return torch.as_tensor(np.asarray(values), dtype=torch.int64)


def require_task(task: tuple[int, int], p: int) -> None:
    """Raises ValueError for a task outside Z_p.

    Args:
        task: (a, b).
        p: the modulus.
    """
    if not all(0 <= part < p for part in task):
        raise ValueError(f"task {tuple(task)} is outside Z_{p}: both parts must be within 0..{p - 1}")


def numbers_of(values: object, p: int, *, width: int, name: str) -> Int64[Tensor, "*rows column"]:
    """Numbers of Z_p as a tensor of integers.

    Args:
        values: a tensor, an array, or nested lists or tuples of whole numbers in 0 .. p - 1, such as `[(1, 27, 14)]`.
        p: the modulus.
        width: the size that the last axis must have: 2 for inputs (x, y), 3 for examples (x, y, z).
        name: of the argument, for the error.

    Returns:
        The numbers in int64, on the device of a tensor.

    Raises:
        ValueError: for fewer than two axes, another last axis, fractions, and numbers outside Z_p.

    Example:
        >>> numbers_of([(1, 27, 14)], 29, width=3, name="examples").shape
        torch.Size([1, 3])
    """
    try:
        numbers = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError):
        try:
            numbers = torch.as_tensor(np.asarray(values))  # lists of arrays or of tensors
        except (TypeError, ValueError):
            raise ValueError(f"{name} must be rows of {width} whole numbers, got {values!r}") from None
    if numbers.ndim < 2 or numbers.shape[-1] != width:
        raise ValueError(
            f"{name} must be rows of {width} numbers, got the shape {tuple(numbers.shape)} ({type(values).__name__})"
        )
    whole = numbers.to(torch.int64)
    if not torch.equal(whole.to(numbers.dtype), numbers):
        raise ValueError(f"{name} must be whole numbers, got {numbers.dtype} with fractions")
    if whole.numel() and not (int(whole.min()) >= 0 and int(whole.max()) < p):
        raise ValueError(f"{name} must be within 0..{p - 1}, got {int(whole.min())}..{int(whole.max())}")
    return whole


def answers(
    tasks: Int64[Tensor, "task 2"], inputs: Int64[Tensor, "*rows context example 2"], p: int
) -> Int64[Tensor, "task context example"]:
    """z = a x + b y (mod p) of every task on every input, or on the inputs of this task.

    Args:
        tasks: (a, b) of each.
        inputs: (x, y) of each example.
        p: the modulus.
    """
    return (tasks[:, None, None] * inputs).sum(dim=-1) % p


def sequences(
    tasks: Int64[Tensor, "task 2"], inputs: Int64[Tensor, "*rows context example 2"], p: int
) -> Int64[Tensor, "task context pos"]:
    """x1 y1 z1 x2 y2 z2 ... of every task on the same inputs, or each on inputs of its own.

    Args:
        tasks: (a, b) of each.
        inputs: (x, y) of each example.
        p: the modulus.
    """
    z = answers(tasks, inputs, p).unsqueeze(-1)
    xy = inputs.expand(len(tasks), *inputs.shape[-3:])
    return torch.cat([xy, z], dim=-1).flatten(2)


def draw_inputs(
    inputs: Int64[Tensor, "pair 2"], *, n_contexts: int, n_examples: int, seed: tuple[int, ...]
) -> Int64[Tensor, "context example 2"]:
    """Examples drawn with replacement, on the inputs' device; a function of the seed and the kind of device.

    Args:
        inputs: the pairs (x, y) to draw from.
        n_contexts: number of rows.
        n_examples: of each row.
        seed: numbers that draw them.
    """
    generator = seeded_generator(seed, inputs.device)
    index = torch.randint(len(inputs), (n_contexts, n_examples), generator=generator, device=inputs.device)
    return inputs[index]


def seeded_generator(seed: tuple[int, ...], device: torch.device) -> torch.Generator:
    """A generator on `device`, seeded by all numbers of `seed`.

    Args:
        seed: non-negative integers.
        device: where numbers are drawn.
    """
    state = int(np.random.SeedSequence(seed).generate_state(1)[0])  # torch's CPU generator reads 32 bits of a seed
    return torch.Generator(device).manual_seed(state)
