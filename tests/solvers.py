"""Solvers of in-context modular arithmetic, whose answers are known because an algorithm gives them; curves by hand."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from grok_interp.analysis.algorithms import Solution
from grok_interp.analysis.queries import QUERIES
from grok_interp.analysis.shots import ShotCurves

P, N_EXAMPLES = 7, 5
DONT_KNOW = P  # a token that is never right
Guess = Callable[[Tensor, Tensor], Tensor]


class Solver(nn.Module):
    """Answers each z by `guess(examples before it, its query)`, all but surely; a model as analyzers know it."""

    def __init__(self, guess: Guess, *, n_examples: int = N_EXAMPLES) -> None:
        super().__init__()
        self.cfg = SimpleNamespace(n_ctx=3 * n_examples, d_vocab=P + 1)
        self.guess = guess
        self.sharpness = nn.Parameter(torch.tensor(50.0))
        self.shown: list[Tensor] = []

    def forward(self, tokens: Tensor) -> Tensor:
        self.shown.append(tokens)
        scores = torch.zeros(*tokens.shape, P + 1)
        for k in range((tokens.shape[1] + 1) // 3):
            examples = tokens[:, : 3 * k].reshape(len(tokens), k, 3)
            answer = self.guess(examples, tokens[:, 3 * k : 3 * k + 2])
            scores[:, 3 * k + 1] = self.sharpness * nn.functional.one_hot(answer, P + 1)
        return scores

    def run_with_hooks(self, *args: Any, **kwargs: Any) -> Tensor:
        raise AssertionError("shot curves need logits alone")


def by(algorithm: Callable[[Tensor, int], Solution]) -> Guess:
    """What the algorithm says; DONT_KNOW where it says nothing."""

    def guess(examples: Tensor, query: Tensor) -> Tensor:
        found = algorithm(examples, P)
        cell = torch.arange(len(query)), query[:, 0], query[:, 1]
        return torch.where(found.solved[cell], found.answer[cell], DONT_KNOW)

    return guess


def look_up(examples: Tensor, query: Tensor) -> Tensor:
    """The answer of the first example that is the query; DONT_KNOW without one."""
    answer = torch.full((len(query),), DONT_KNOW)
    for example in examples.flip(1).unbind(1):
        x, y, z = example.unbind(-1)
        answer = torch.where((query[:, 0] == x) & (query[:, 1] == y), z, answer)
    return answer


def always(answer: int) -> Guess:
    return lambda _, query: torch.full((len(query),), answer)


def curves_by_hand(
    last_shots: Mapping[Any, list[float]], steps: list[int], *, error: float = 1e-4, n_contexts: int = 1000
) -> ShotCurves:
    """The last-shot accuracies given, each with this standard error; every other one is 0.9, every loss 9."""
    coords = dict(checkpoint=steps, split=list(last_shots), queries=list(QUERIES), shot=range(3))
    shape = tuple(len(labels) for labels in coords.values())
    values = {"accuracy": 0.9, "accuracy_se": error, "loss": 9.0, "loss_se": 9.0, "fraction": 1.0}
    arrays = {name: np.full(shape, value) for name, value in values.items()}
    for number, accuracies in enumerate(last_shots.values()):
        arrays["accuracy"][:, number, QUERIES.index("all"), 2] = accuracies
    sampling = {"n_contexts": n_contexts, "n_tasks": 5, "n_all_tasks": 5}
    sampled = {name: ("split", [n] * len(last_shots)) for name, n in sampling.items()}
    return ShotCurves.of_arrays(arrays, coords | sampled)
