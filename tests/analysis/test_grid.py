"""Figure 5 of solvers: who follows an algorithm differs from it nowhere."""

import numpy as np
import pytest
import torch
from solvers import P, Solver, always, by

from grok_interp.analysis.algorithms import modular_regression, ratio_matching
from grok_interp.analysis.grid import grid_comparison

INPUTS = torch.tensor([[1, 2], [3, 6], [5, 1]])  # the second lies on the line of the first


@pytest.mark.parametrize(("k", "ratio", "regression"), [(1, P, P), (2, P, P), (3, 2 * P - 1, P * P)])
def test_a_ratio_matcher_is_right_exactly_on_the_lines_of_its_examples(k: int, ratio: int, regression: int) -> None:
    grid = grid_comparison(Solver(by(ratio_matching)), (2, 3), INPUTS[:k], P)
    assert grid.counts() == {
        "model": ratio,
        "ratio matching": ratio,
        "modular regression": regression,
        "only the model": 0,
        "only ratio matching": 0,
    }
    assert not grid.model_minus().any()


def test_a_regressor_is_right_everywhere_once_two_examples_are_not_parallel() -> None:
    grid = grid_comparison(Solver(by(modular_regression)), (2, 3), INPUTS, P)
    assert grid.counts()["only the model"] == P * P - (2 * P - 1)
    assert not grid.model_minus("modular regression").any()


def test_every_cell_is_its_own_query() -> None:
    grid = grid_comparison(Solver(always(4)), (2, 3), INPUTS, P)
    x, y = np.meshgrid(np.arange(P), np.arange(P), indexing="ij")
    np.testing.assert_array_equal(grid.array.sel(who="model"), (2 * x + 3 * y) % P == 4)


def test_no_examples_leave_the_origin() -> None:
    grid = grid_comparison(Solver(always(0)), (2, 3), INPUTS[:0], P)
    assert grid.counts()["model"] == P  # the line 2 x + 3 y = 0
    assert grid.counts()["ratio matching"] == 0


def test_what_cannot_be_asked_is_refused_with_the_numbers() -> None:
    with pytest.raises(ValueError, match=r"task \(2, 7\) is outside Z_7: both parts must be within 0..6"):
        grid_comparison(Solver(always(0)), (2, 7), INPUTS, P)
    with pytest.raises(ValueError, match="5 examples and a query are 17 tokens, the context holds 15"):
        grid_comparison(Solver(always(0)), (2, 3), INPUTS[[0, 1, 2, 0, 1]], P)
