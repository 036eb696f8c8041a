"""Schedules: tuples read by eye, and what every schedule has whatever its numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grok_interp.configs.schedules import (
    dense_steps,
    join_steps,
    linear_steps,
    logarithmic_steps,
    spread_steps,
    token_steps,
)

lengths = st.integers(1, 5_000)


def is_sorted_and_distinct(steps: tuple[int, ...]) -> bool:
    return list(steps) == sorted(set(steps))


@pytest.mark.parametrize(
    ("n_steps", "every", "steps"),
    [(10, 3, (0, 3, 6, 9, 10)), (10, 5, (0, 5, 10)), (3, 7, (0, 3)), (1, 1, (0, 1)), (4, 1, (0, 1, 2, 3, 4))],
)
def test_linear_steps_read_by_eye(n_steps: int, every: int, steps: tuple[int, ...]) -> None:
    assert linear_steps(n_steps, every=every) == steps


@pytest.mark.parametrize(
    ("n_steps", "per_decade", "steps"),
    [
        (1_000, 1, (0, 1, 10, 100, 1_000)),
        (100, 2, (0, 1, 3, 10, 32, 100)),
        (250, 1, (0, 1, 10, 100, 250)),
        (1, 3, (0, 1)),
        (2, 8, (0, 1, 2)),
    ],
)
def test_logarithmic_steps_read_by_eye(n_steps: int, per_decade: int, steps: tuple[int, ...]) -> None:
    assert logarithmic_steps(n_steps, per_decade=per_decade) == steps


def test_dense_steps_read_by_eye() -> None:
    assert dense_steps(center=40, width=4, every=2) == (36, 38, 40, 42, 44)
    assert dense_steps(center=4, width=7, every=3) == (1, 4, 7, 10), "no step before the first"


def test_joined_steps_are_the_sorted_union() -> None:
    assert join_steps((5, 9), (0, 9, 30), ()) == (0, 5, 9, 30)
    assert join_steps() == ()


@given(n_steps=lengths, every=lengths)
def test_linear_steps_are_sorted_contain_both_ends_and_leave_no_wider_gap(n_steps: int, every: int) -> None:
    steps = linear_steps(n_steps, every=every)
    assert is_sorted_and_distinct(steps)
    assert (steps[0], steps[-1]) == (0, n_steps)
    assert max(after - before for before, after in zip(steps, steps[1:], strict=False)) <= every


@given(n_steps=lengths, per_decade=st.integers(1, 40))
def test_logarithmic_steps_are_sorted_and_contain_zero_one_and_the_end(n_steps: int, per_decade: int) -> None:
    steps = logarithmic_steps(n_steps, per_decade=per_decade)
    assert is_sorted_and_distinct(steps)
    assert {0, 1, n_steps} <= set(steps)
    assert (steps[0], steps[-1]) == (0, n_steps)


@given(per_decade=st.integers(1, 12), decades=st.integers(1, 5))
def test_logarithmic_steps_contain_every_power_of_ten(per_decade: int, decades: int) -> None:
    steps = logarithmic_steps(10**decades, per_decade=per_decade)
    assert {10**exponent for exponent in range(decades + 1)} <= set(steps)


@given(center=lengths, width=lengths, every=lengths)
def test_dense_steps_are_sorted_and_stay_within_the_width(center: int, width: int, every: int) -> None:
    steps = dense_steps(center=center, width=width, every=every)
    assert is_sorted_and_distinct(steps)
    assert center in steps
    assert all(step >= 0 and abs(step - center) <= width for step in steps)
    assert {after - before for before, after in zip(steps, steps[1:], strict=False)} <= {every}


@given(st.lists(st.lists(st.integers(0, 99)).map(tuple)))
def test_joining_loses_and_invents_nothing(schedules: list[tuple[int, ...]]) -> None:
    steps = join_steps(*schedules)
    assert is_sorted_and_distinct(steps)
    assert set(steps) == {step for schedule in schedules for step in schedule}


def test_numbers_below_one_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="n_steps must be at least 1, got 0"):
        linear_steps(0, every=1)
    with pytest.raises(ValueError, match="every must be at least 1, got -2"):
        linear_steps(5, every=-2)
    with pytest.raises(ValueError, match="per_decade must be at least 1, got 0"):
        logarithmic_steps(5, per_decade=0)
    with pytest.raises(ValueError, match="width must be at least 1, got 0"):
        dense_steps(center=5, width=0, every=1)


@pytest.mark.parametrize(
    ("n_steps", "tokens_per_step", "every", "steps"),
    [
        (5, 100, 100, (0, 1, 2, 3, 4, 5)),
        (10, 100, 250, (0, 3, 5, 8, 10)),  # 250 and 750 lie halfway between two steps: the later one
        (10, 100, 240, (0, 2, 5, 7, 10)),
        (10, 100, 330, (0, 3, 7, 10)),  # 990 tokens are nearest to the last step
        (3, 100, 10_000, (0, 3)),
    ],
)
def test_token_steps_read_by_eye(n_steps: int, tokens_per_step: int, every: int, steps: tuple[int, ...]) -> None:
    assert token_steps(n_steps, tokens_per_step=tokens_per_step, every=every) == steps


@given(n_steps=lengths, tokens_per_step=lengths, more=st.integers(0, 10**6))
def test_token_steps_are_the_nearest_to_their_multiples(n_steps: int, tokens_per_step: int, more: int) -> None:
    every = tokens_per_step + more
    steps = token_steps(n_steps, tokens_per_step=tokens_per_step, every=every)
    assert is_sorted_and_distinct(steps)
    assert (steps[0], steps[-1]) == (0, n_steps)
    for number, step in enumerate(steps[:-1]):
        assert 2 * abs(step * tokens_per_step - number * every) <= tokens_per_step
    assert 2 * (n_steps * tokens_per_step - len(steps[:-1]) * every) <= tokens_per_step, "no multiple is left out"


def test_checkpoints_closer_than_a_step_are_refused() -> None:
    with pytest.raises(
        ValueError, match="every 999 tokens was asked for, but a step trains on 1,000: ask for 1,000 or"
    ):
        token_steps(5, tokens_per_step=1_000, every=999)


def test_steps_are_spread_and_the_last_is_always_among_them() -> None:
    assert spread_steps((0, 1, 2, 5, 10, 20, 40), 3) == [0, 5, 40]
    assert spread_steps((0, 7), 12) == [0, 7]
    assert spread_steps((0, 7, 9), 1) == [9]
    assert spread_steps((), 3) == []
    with pytest.raises(ValueError, match="n_steps must be at least 1, got 0"):
        spread_steps((0, 7), 0)
