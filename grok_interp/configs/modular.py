"""In-context modular arithmetic: which tasks, and which inputs are trained on (papers' B.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from grok_interp.configs.checks import refuse_if_any


def is_prime(p: int) -> bool:
    return p > 1 and all(p % divisor for divisor in range(2, int(p**0.5) + 1))


@dataclass(frozen=True, kw_only=True)
class ModularConfig:
    """Sequences x1 y1 z1 x2 y2 z2 ... with z = a x + b y (mod p), one task (a, b) a sequence; z is predicted.

    `n_id` of the p^2 tasks are trained on. By the rectangular rule they are sets of four, (a, b), (x, b), (a, y) and
    (x, y), with bases (a, b) drawn from range(1, p) as in the paper's runs. The published rule draws exactly the tasks
    and inputs of the published code, with bases from range(0, p). For p = 7 both have room for few tasks; the random
    rule draws each task on its own.
    """

    p: int  # a prime
    n_id: int  # tasks trained on (the paper's n_id)
    alpha: float  # share of the p^2 inputs (x, y) that are trained on, the same for every task
    rule: Literal["rectangular", "random", "published"] = "rectangular"  # how the tasks are chosen
    task_seed: int = 1  # draws the tasks
    input_seed: int = 0  # draws the split of the inputs

    def __post_init__(self) -> None:
        refuse_if_any(self, self._reasons())

    def _reasons(self) -> Iterator[str]:
        if not is_prime(self.p) or self.p < 3:
            yield f"p must be a prime of 3 or more, got {self.p}"
        if not 1 <= self.n_id < self.p**2:
            yield f"n_id must leave tasks untrained: within 1..{self.p**2 - 1} for p = {self.p}, got {self.n_id}"
        if self.rule not in ("rectangular", "random", "published"):
            yield f"rule must be rectangular, random or published, got {self.rule!r}"
        if self.rule in ("rectangular", "published") and self.n_id % 4:
            yield f"n_id must be a multiple of 4 under the {self.rule} rule, got {self.n_id}"
        if not 0 < self.alpha < 1 or not 1 <= self.n_train_inputs < self.p**2:
            yield f"alpha must leave at least one training and one test input of {self.p**2}, got {self.alpha}"

    @property
    def n_train_inputs(self) -> int:
        if self.rule == "published":
            return round(self.alpha * self.p**2)
        return int(self.alpha * self.p**2 + 1e-9)  # k / p^2 is k inputs
