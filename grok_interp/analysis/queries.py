"""What it takes to answer a query (x, y) after k examples of its task: one of four kinds.

    repeated    it stands among the examples: looking it up is enough
    ratio       Ratio Matching solves it, and it is no repeat
    regression  Modular Regression solves it, Ratio Matching does not
    unsolved    neither solves it: only who knows the task can answer

Ratio Matching is correct on `ratio` and at chance on `regression`; Modular Regression is correct on both. A
small p makes repeats common, so accuracies are also given over `new queries`, all but the repeated.

Inputs are *context x example x 2 numbers of Z_p: a tensor, an array, or nested lists or tuples. What is outside Z_p is
refused with a ValueError.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from grok_interp.analysis.algorithms import modular_regression, ratio_matching
from grok_interp.data.modular import numbers_of

KINDS = ("repeated", "ratio", "regression", "unsolved")
QUERIES = ("all", "new", *KINDS)


def repeated_queries(inputs: object) -> Bool[Tensor, "*context example"]:
    """Does each example, as a query after those before it, stand among them?

    Args:
        inputs: (x, y) of each example, in Z_p.
    """
    inputs = torch.as_tensor(inputs)
    same = (inputs.unsqueeze(-3) == inputs.unsqueeze(-2)).all(dim=-1)  # *context query example
    return same.tril(diagonal=-1).any(dim=-1)


def solved_queries(inputs: object, p: int) -> Bool[Tensor, "2 *context example"]:
    """Is each example, as a query after those before it, solved by Ratio Matching, and by Modular Regression?

    Args:
        inputs: (x, y) of each example, in Z_p.
        p: the modulus.
    """
    inputs = numbers_of(inputs, p, width=2, name="inputs")
    examples = torch.cat([inputs, torch.zeros_like(inputs[..., :1])], dim=-1)  # what is solved depends on no answer
    cell = inputs[..., 0] * p + inputs[..., 1]
    n_before = torch.arange(inputs.shape[-2])
    return torch.stack(
        [
            algorithm(examples, p).needed.flatten(-2).gather(-1, cell) <= n_before
            for algorithm in (ratio_matching, modular_regression)
        ]
    )


def query_kinds(inputs: object, p: int) -> Bool[Tensor, "queries *context example"]:
    """Which examples, as queries after those before them, are counted under each of QUERIES.

    Args:
        inputs: (x, y) of each example in Z_p, ... x example x 2: a tensor, an array or lists.
        p: the modulus.
    """
    inputs = numbers_of(inputs, p, width=2, name="inputs")
    repeated = repeated_queries(inputs)
    by_ratio, by_regression = solved_queries(inputs, p)
    kinds = [repeated, by_ratio & ~repeated, by_regression & ~by_ratio, ~by_regression & ~by_ratio]
    return torch.stack([torch.ones_like(repeated), ~repeated, *kinds])
