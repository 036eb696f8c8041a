"""Figure 5 of solvers: who follows an algorithm differs from it nowhere."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ground_truth import LLAMA, MODULAR, random_model
from hypothesis import given, settings
from hypothesis import strategies as st
from solvers import P, Solver, always, by

from grok_interp.analysis.ablated_model import AblatedModel
from grok_interp.analysis.algorithms import modular_regression, ratio_matching
from grok_interp.analysis.grid import (
    _logits_after_prefix,
    _logits_of_whole_sequences,
    grid_comparison,
    grid_comparisons,
)
from grok_interp.data.modular import sequences

INPUTS = torch.tensor([[1, 2], [3, 6], [5, 1]])  # the second lies on the line of the first


@pytest.mark.parametrize(("k", "ratio", "regression"), [(1, P, P), (2, P, P), (3, 2 * P - 1, P * P)])
def test_a_ratio_matcher_is_right_exactly_on_the_lines_of_its_examples(k: int, ratio: int, regression: int) -> None:
    grid = grid_comparison(Solver(by(ratio_matching)), P, (2, 3), INPUTS[:k])
    assert grid.counts() == {
        "model": ratio,
        "ratio matching": ratio,
        "modular regression": regression,
        "only the model": 0,
        "only ratio matching": 0,
    }
    assert not grid.model_minus().any()


def test_a_regressor_is_right_everywhere_once_two_examples_are_not_parallel() -> None:
    grid = grid_comparison(Solver(by(modular_regression)), P, (2, 3), INPUTS)
    assert grid.counts()["only the model"] == P * P - (2 * P - 1)
    assert not grid.model_minus("modular regression").any()


def test_every_cell_is_its_own_query() -> None:
    grid = grid_comparison(Solver(always(4)), P, (2, 3), INPUTS)
    x, y = np.meshgrid(np.arange(P), np.arange(P), indexing="ij")
    np.testing.assert_array_equal(grid["right"].sel(who="model"), (2 * x + 3 * y) % P == 4)


def test_no_examples_leave_the_origin() -> None:
    grid = grid_comparison(Solver(always(0)), P, (2, 3), INPUTS[:0])
    assert grid.counts()["model"] == P  # the line 2 x + 3 y = 0
    assert grid.counts()["ratio matching"] == 0


def test_equal_logits_are_right_nowhere() -> None:
    model = Solver(always(0))
    model.sharpness.data.zero_()
    assert grid_comparison(model, P, (2, 3), INPUTS).counts()["model"] == 0


def test_what_cannot_be_asked_is_refused_with_the_numbers() -> None:
    with pytest.raises(ValueError, match=r"task \(2, 7\) is outside Z_7: both parts must be within 0..6"):
        grid_comparison(Solver(always(0)), P, (2, 7), INPUTS)
    with pytest.raises(ValueError, match="5 examples and a query are 17 tokens, the context holds 15"):
        grid_comparison(Solver(always(0)), P, (2, 3), INPUTS[[0, 1, 2, 0, 1]])


# All numbers of examples at once


@settings(deadline=None, max_examples=30)
@given(
    cfg=st.sampled_from([LLAMA, MODULAR]),
    p=st.sampled_from([2, 3, 5, 7]),
    n_examples=st.integers(0, 5),
    seed=st.integers(0, 99),
    batch_size=st.integers(1, 60),
    data=st.data(),
)
def test_a_shared_prefix_gives_the_logits_and_answers_of_whole_sequences(
    cfg, p: int, n_examples: int, seed: int, batch_size: int, data: st.DataObject
) -> None:
    """In any order of shots, some of them twice."""
    model, generator = random_model(cfg, seed=seed), torch.Generator().manual_seed(seed)
    shots = data.draw(st.lists(st.integers(0, n_examples), min_size=1, max_size=4))
    inputs, task = torch.randint(p, (n_examples, 2), generator=generator), (1, p - 1)
    examples = sequences(torch.tensor([task]), inputs[None], p)[0, 0].unflatten(0, (n_examples, 3))
    shared, whole = (
        list(way(model, examples, p, shots, batch_size)) for way in (_logits_after_prefix, _logits_of_whole_sequences)
    )
    for found, expected in zip(shared, whole, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        assert torch.equal(found.argmax(dim=-1), expected.argmax(dim=-1))
    together = grid_comparisons(model, p, task, inputs, shots=shots, batch_size=batch_size)
    for k, grid in zip(shots, together, strict=True):
        assert grid.dataset.identical(grid_comparison(AblatedModel(model, {}), p, task, inputs[:k]).dataset)


def test_the_examples_are_run_once_each_x_once_and_each_y_after_it() -> None:
    model, inputs, seen = random_model(MODULAR), torch.randint(5, (6, 2)), []
    with model.hooks(fwd_hooks=[("hook_embed", lambda x, hook: seen.append(x.shape[:2].numel()))]):
        grid_comparisons(model, 5, (1, 2), inputs, shots=range(7))
    assert seen == [18] + 7 * [5, 25]


def test_solvers_are_asked_after_each_number_of_examples() -> None:
    grids = grid_comparisons(Solver(by(modular_regression)), P, (2, 3), INPUTS, shots=range(4))
    assert [grid.counts()["model"] for grid in grids] == [1, P, P, P * P]
    assert [grid.counts()["ratio matching"] for grid in grids] == [0, P, P, 2 * P - 1]
    assert [grid.dataset.attrs["k"] for grid in grids] == [0, 1, 2, 3]
    assert not any(grid.model_minus("modular regression").any() for grid in grids)


def test_a_model_that_trains_is_asked_without_dropout_and_left_as_it_was() -> None:
    model = random_model(replace(MODULAR, attn_dropout=0.5)).train()
    found = grid_comparisons(model, P, (1, 2), INPUTS, shots=[3])[0]
    assert model.training and torch.is_grad_enabled()
    assert found.dataset.identical(grid_comparison(model.eval(), P, (1, 2), INPUTS).dataset)


def test_more_examples_than_are_given_are_refused() -> None:
    with pytest.raises(ValueError, match="3 examples are given: the first 4 were asked for"):
        grid_comparisons(Solver(always(0)), P, (2, 3), INPUTS, shots=[1, 4])
