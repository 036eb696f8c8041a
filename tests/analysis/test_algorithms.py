"""Ratio Matching and Modular Regression against brute force, and against the numbers of the paper's Figure 5."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from grok_interp.analysis.algorithms import modular_regression, ratio_matching


def of_task(inputs: Tensor, task: tuple[int, int], p: int) -> Tensor:
    """Examples (x, y, z) of a task."""
    z = (inputs * torch.tensor(task)).sum(-1, keepdim=True) % p
    return torch.cat([inputs, z], dim=-1)


def every_context(p: int, k: int) -> Tensor:
    """All ordered choices of k inputs, as examples of task (1, p - 1): context k 3."""
    cells = list(itertools.product(range(p), repeat=2))
    contexts = list(itertools.product(cells, repeat=k))
    return of_task(torch.tensor(contexts).reshape(len(contexts), k, 2), (1, p - 1), p)


def multiples(examples: Tensor, p: int) -> set[tuple[int, int]]:
    """Brute force of Ratio Matching."""
    return {(c * x % p, c * y % p) for x, y, _ in examples.tolist() for c in range(p)}


def span(examples: Tensor, p: int) -> set[tuple[int, int]]:
    """Brute force of Modular Regression: add multiples of one example after the other."""
    reached = {(0, 0)}
    for x, y, _ in examples.tolist():
        reached = {((u + c * x) % p, (v + c * y) % p) for u, v in reached for c in range(p)}
    return reached


@pytest.mark.parametrize(("p", "k"), [(2, 1), (2, 2), (2, 3), (3, 1), (3, 2), (3, 3), (5, 1), (5, 2), (7, 1), (7, 2)])
def test_all_contexts_are_solved_as_by_brute_force_and_answered_rightly(p: int, k: int) -> None:
    contexts = every_context(p, k)
    right = torch.tensor([[(x - y) % p for y in range(p)] for x in range(p)])
    for algorithm, brute_force in ((ratio_matching, multiples), (modular_regression, span)):
        found = algorithm(contexts, p)
        for context, solved in zip(contexts, found.solved, strict=True):
            assert {(x, y) for x, y in solved.nonzero().tolist()} == brute_force(context, p)
        assert torch.equal(found.answer, torch.where(found.solved, right, 0))


@settings(deadline=None, max_examples=60)
@given(p=st.sampled_from([2, 3, 5, 7, 11]), k=st.integers(0, 8), seed=st.integers(0, 999))
def test_random_contexts_of_any_length(p: int, k: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randint(p, (2,), generator=generator).tolist()
    examples = of_task(torch.randint(p, (k, 2), generator=generator), (a, b), p)
    for algorithm, brute_force in ((ratio_matching, multiples), (modular_regression, span)):
        found = algorithm(examples, p)
        cells = {(x, y) for x, y in found.solved.nonzero().tolist()}
        assert cells == brute_force(examples, p)
        assert all(int(found.answer[x, y]) == (a * x + b * y) % p for x, y in cells)


@settings(deadline=None, max_examples=60)
@given(p=st.sampled_from([2, 3, 5, 7]), n_examples=st.integers(0, 7), seed=st.integers(0, 999))
def test_what_a_query_needs_tells_what_the_first_examples_solve(p: int, n_examples: int, seed: int) -> None:
    """Of examples that may contradict each other."""
    examples = torch.randint(p, (3, n_examples, 3), generator=torch.Generator().manual_seed(seed))
    for algorithm in (ratio_matching, modular_regression):
        found = algorithm(examples, p)
        assert found.needed.min() >= 0 and found.needed.max() <= n_examples + 1
        for k in range(n_examples + 1):
            of_first = algorithm(examples[:, :k], p)
            assert torch.equal(found.after(k), of_first.solved)
            assert torch.equal(torch.where(found.after(k), found.answer, 0), of_first.answer)


@pytest.mark.parametrize(("n_lines", "cells"), [(1, 29), (2, 57), (9, 253), (19, 533)])
def test_ratio_matching_solves_what_figure_5_shows(n_lines: int, cells: int) -> None:
    """p = 29, by the number of distinct lines that the examples lie on."""
    inputs = torch.tensor([[1, slope] for slope in range(n_lines)])
    found = ratio_matching(of_task(inputs, (6, 6), 29), 29)
    assert int(found.solved.sum()) == cells == 1 + 28 * n_lines


def test_zero_cases() -> None:
    origin = torch.tensor([[0, 0, 0]])
    on_x_axis = torch.tensor([[0, 0, 0], [3, 0, 4]])
    for algorithm in (ratio_matching, modular_regression):
        assert algorithm(origin, 7).solved.nonzero().tolist() == [[0, 0]]
        assert algorithm(on_x_axis, 7).solved.nonzero().tolist() == [[x, 0] for x in range(7)]
    nothing = torch.empty(0, 3, dtype=torch.int64)
    assert not ratio_matching(nothing, 7).solved.any()
    assert modular_regression(nothing, 7).solved.nonzero().tolist() == [[0, 0]], "the empty sum"


def test_contradicting_examples_are_answered_by_the_earliest() -> None:
    examples = torch.tensor([[1, 2, 3], [2, 4, 0], [0, 1, 1], [0, 1, 5]])
    assert int(ratio_matching(examples, 7).answer[2, 4]) == 6
    assert int(ratio_matching(examples, 7).answer[0, 2]) == 2
    assert int(modular_regression(examples, 7).answer[1, 0]) == (3 - 2 * 1) % 7


def test_contexts_and_tasks_are_batched_and_nothing_is_changed() -> None:
    inputs = torch.randint(11, (3, 5, 2, 2), generator=torch.Generator().manual_seed(0))
    examples = of_task(inputs, (2, 6), 11)
    before = examples.clone()
    for algorithm in (ratio_matching, modular_regression):
        found = algorithm(examples, 11)
        assert found.solved.shape == found.answer.shape == (3, 5, 11, 11)
        alone = algorithm(examples[2, 3], 11)
        assert torch.equal(found.solved[2, 3], alone.solved) and torch.equal(found.answer[2, 3], alone.answer)
    assert torch.equal(examples, before)


@pytest.mark.parametrize("algorithm", [ratio_matching, modular_regression])
def test_composites_and_numbers_outside_are_refused(algorithm) -> None:
    with pytest.raises(ValueError, match="p must be prime, got 9"):
        algorithm(torch.tensor([[1, 2, 3]]), 9)
    with pytest.raises(ValueError, match=r"within 0\.\.6, got 1\.\.7"):
        algorithm(torch.tensor([[1, 2, 7]]), 7)


@pytest.mark.parametrize("algorithm", [ratio_matching, modular_regression])
@pytest.mark.parametrize(
    "made", [list, tuple, np.array, lambda rows: np.array(rows, dtype=np.int32), lambda rows: [torch.tensor(rows[0])]]
)
def test_examples_are_lists_tuples_arrays_or_tensors(algorithm, made) -> None:
    expected = algorithm(torch.tensor([[1, 27, 14]]), 29)
    found = algorithm(made([(1, 27, 14)]), 29)
    assert torch.equal(found.answer, expected.answer) and torch.equal(found.needed, expected.needed)
    assert int(found.answer[2, 25]) == 28


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ((1, 27, 14), r"examples must be rows of 3 numbers, got the shape \(3,\)"),
        ([(1, 27)], r"examples must be rows of 3 numbers, got the shape \(1, 2\)"),
        ([(1, 27, 14), (1, 2)], "examples must be rows of 3 whole numbers, got"),
        ([("a", "b", "c")], "examples must be rows of 3 whole numbers, got"),
        ([(1, 2.5, 3)], "examples must be whole numbers, got torch.float32 with fractions"),
    ],
)
def test_what_is_no_list_of_examples_is_refused(examples, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ratio_matching(examples, 29)
