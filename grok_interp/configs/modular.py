"""In-context modular arithmetic: which tasks, and which inputs are trained on (papers' B.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from grok_interp.configs.checks import negative, outside_unit_interval
from grok_interp.configs.data import DataConfig

if TYPE_CHECKING:
    from grok_interp.configs.training import TrainConfig

LARGEST_P = 2_000  # p^2 tasks and inputs are listed in memory


def is_prime(p: int) -> bool:
    return p > 1 and all(p % divisor for divisor in range(2, int(p**0.5) + 1))


@dataclass(frozen=True, kw_only=True)
class ModularConfig(DataConfig):
    """Sequences x1 y1 z1 x2 y2 z2 ... with z = a x + b y (mod p), one task (a, b) per sequence; z is predicted.

    `n_id` of the p^2 tasks are trained on. By the rectangular rule they are sets of four, (a, b), (x, b), (a, y) and
    (x, y), with bases (a, b) drawn from range(1, p) as in the paper's runs. The published rule draws exactly the tasks
    and inputs of the published code, with bases from range(0, p). For p = 7 both have room for few tasks; the random
    rule draws each task on its own.

    The paper trains on uniform contexts: every example is drawn independently. A curriculum makes contexts easier at
    first. Each example after the first is, with `repeat_probability`, an exact repeat of an earlier one and, with
    `line_probability`, another training input c (x, y) mod p on the line of an earlier (x, y), so that Ratio Matching
    has something to match. Both probabilities fall linearly to 0 over `curriculum_steps`. Evaluation is always uniform.

    Example:
        >>> ModularConfig(p=29, n_id=512, alpha=0.8).n_train_inputs
        672
    """

    kind: ClassVar[str] = "modular"

    p: int  # a prime
    n_id: int  # tasks trained on (the paper's n_id)
    alpha: float  # fraction of the p^2 inputs (x, y) that are trained on, the same for every task
    rule: Literal["rectangular", "random", "published"] = "rectangular"  # how the tasks are chosen
    task_seed: int = 1  # draws the tasks
    input_seed: int = 0  # draws the split of the inputs
    repeat_probability: float = 0.0  # curriculum: an example is an exact repeat of an earlier one of its context
    line_probability: float = 0.0  # curriculum: an example is on the line through the origin of an earlier one
    curriculum_steps: tuple[int, int] = (0, 0)  # training steps: full strength up to the first, gone from the second on

    def reasons(self) -> Iterator[str]:
        if self.p > LARGEST_P:
            yield f"p must be at most {LARGEST_P:,}, got {self.p:,}"
        elif not is_prime(self.p) or self.p < 3:
            yield f"p must be a prime of 3 or more, got {self.p}"
        if not 1 <= self.n_id < self.p**2:
            yield f"n_id must leave tasks untrained: within 1..{self.p**2 - 1} for p = {self.p}, got {self.n_id}"
        if self.rule not in ("rectangular", "random", "published"):
            yield f"rule must be rectangular, random or published, got {self.rule!r}"
        if self.rule in ("rectangular", "published") and self.n_id % 4:
            yield f"n_id must be a multiple of 4 under the {self.rule} rule, got {self.n_id}"
        yield from self._curriculum_reasons()
        yield from negative(self, "task_seed", "input_seed")
        if not 0 < self.alpha < 1 or not 1 <= self.n_train_inputs < self.p**2:
            yield f"alpha must leave at least one training and one test input of {self.p**2}, got {self.alpha}"

    def _curriculum_reasons(self) -> Iterator[str]:
        yield from outside_unit_interval(self, "repeat_probability", "line_probability")
        if self.repeat_probability + self.line_probability > 1:
            yield (
                "repeat_probability and line_probability must sum to at most 1, got "
                f"{self.repeat_probability} and {self.line_probability}"
            )
        first, last = self.curriculum_steps
        if not 0 <= first <= last:
            yield f"curriculum_steps must be 0 <= first <= last, got {self.curriculum_steps}"
        if self.has_curriculum and last == 0:
            yield "a curriculum needs curriculum_steps: the last step at full strength and the first without it"

    def misfits(self, run: TrainConfig) -> Iterator[str]:
        if run.model.d_vocab < self.p:
            yield f"d_vocab must hold the {self.p} numbers of Z_p, got {run.model.d_vocab}"
        if run.model.n_ctx % 3:
            yield f"n_ctx must be a multiple of 3, an example being x y z, got {run.model.n_ctx}"
        if run.batch_size % self.n_id:
            yield f"batch_size must be a multiple of n_id {self.n_id}, as many of each, got {run.batch_size}"

    @property
    def has_curriculum(self) -> bool:
        return self.repeat_probability + self.line_probability > 0

    def curriculum_strength(self, step: int) -> float:
        """By what the two probabilities are multiplied at a training step, between 1 and 0.

        Args:
            step: updates before it.
        """
        first, last = self.curriculum_steps
        if step < first:
            return 1.0
        return max(0.0, (last - step) / (last - first)) if step < last else 0.0

    @property
    def n_train_inputs(self) -> int:
        if self.rule == "published":
            return round(self.alpha * self.p**2)
        return int(self.alpha * self.p**2 + 1e-9)  # k / p^2 is k inputs
