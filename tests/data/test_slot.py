"""The slot that runs over all pairs, read by eye, and discrete logarithms against the laws of logarithms."""

from collections.abc import Callable
from math import gcd

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from grok_interp.data.discrete_log import discrete_log, is_primitive_root, primitive_root, primitive_roots
from grok_interp.data.slot import slot_position, slot_sequences, slot_task

PRIMES = st.sampled_from([2, 3, 5, 7, 11, 13])


# The slot


def test_row_p_x_plus_y_holds_x_y_and_its_answer() -> None:
    tokens = slot_sequences((2, 6), 7, slot=1, n_examples=3, seed=0)
    assert tokens.shape == (49, 9)
    assert tokens[7 * 1 + 3, 3:6].tolist() == [1, 3, 6]  # 2 * 1 + 6 * 3 = 20 = 6 (mod 7)
    assert [slot_position(1, position) for position in ("x", "y", "z")] == [3, 4, 5]


@st.composite
def slot_options(draw: st.DrawFn) -> dict:
    p, n_examples = draw(PRIMES), draw(st.integers(1, 5))
    task = draw(st.tuples(st.integers(0, p - 1), st.integers(0, p - 1)))
    return dict(task=task, p=p, slot=draw(st.integers(0, n_examples - 1)), n_examples=n_examples)


@settings(deadline=None, max_examples=50)
@given(options=slot_options(), seed=st.integers(0, 99))
def test_only_the_slot_differs_and_every_answer_is_the_tasks(options: dict, seed: int) -> None:
    tokens = slot_sequences(**options, seed=seed)
    (a, b), p, slot = options["task"], options["p"], options["slot"]
    x, y, z = tokens.unflatten(1, (-1, 3)).unbind(dim=-1)
    assert torch.equal((a * x + b * y) % p, z)
    assert torch.equal(p * x[:, slot] + y[:, slot], torch.arange(p * p))
    others = [example for example in range(options["n_examples"]) if example != slot]
    assert (x[:, others] == x[:1, others]).all() and (y[:, others] == y[:1, others]).all()
    assert slot_task(tokens, p, slot) == (a, b)


def test_the_other_slots_hold_the_same_whichever_slot_runs() -> None:
    early, late = (slot_sequences((2, 6), 7, slot=slot, n_examples=5, seed=3) for slot in (1, 4))
    assert torch.equal(early[0, [0, 1, 2, 6, 7, 8]], late[0, [0, 1, 2, 6, 7, 8]])
    again, other = (slot_sequences((2, 6), 7, slot=1, n_examples=5, seed=seed) for seed in (3, 4))
    assert torch.equal(early, again) and not torch.equal(early, other)


@pytest.mark.parametrize("task", [(7, 0), (0, 7), (-1, 3)])
def test_a_task_outside_z_p_is_refused(task: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"outside Z_7: both parts must be within 0..6"):
        slot_sequences(task, 7, slot=0, n_examples=3, seed=0)


def test_an_example_is_three_tokens() -> None:
    assert [slot_position(2, position) for position in ("x", "y", "z")] == [6, 7, 8]
    tokens = slot_sequences((1, 1), 7, slot=0, n_examples=3, seed=0)
    with pytest.raises(ValueError, match="slot 2 is outside sequences of 8 tokens, three an example"):
        slot_task(tokens[:, :8], 7, 2)


@pytest.mark.parametrize("slot", [-1, 3])
def test_a_slot_outside_the_sequence_is_refused(slot: int) -> None:
    with pytest.raises(ValueError, match=rf"slot {slot} is outside a sequence of 3 examples: take 0..2"):
        slot_sequences((1, 1), 7, slot=slot, n_examples=3, seed=0)
    tokens = slot_sequences((1, 1), 7, slot=0, n_examples=3, seed=0)
    with pytest.raises(ValueError, match=rf"slot {slot} is outside sequences of 9 tokens"):
        slot_task(tokens, 7, slot)


def one_row_missing(tokens: Tensor) -> Tensor:
    return tokens[1:]


def two_rows_swapped(tokens: Tensor) -> Tensor:
    return torch.cat([tokens[1:2], tokens[:1], tokens[2:]])


def rows_of_one_x_swapped(tokens: Tensor) -> Tensor:
    """(0, 2) and (0, 3), each with its answer: the order alone is wrong."""
    return torch.cat([tokens[:2], tokens[3:4], tokens[2:3], tokens[4:]])


def one_wrong_answer(tokens: Tensor) -> Tensor:
    changed = tokens.clone()
    changed[8, 5] = (changed[8, 5] + 1) % 5
    return changed


def another_slot_runs(tokens: Tensor) -> Tensor:
    return tokens.roll(3, dims=1)


@pytest.mark.parametrize(
    "spoil", [one_row_missing, two_rows_swapped, rows_of_one_x_swapped, one_wrong_answer, another_slot_runs]
)
def test_tokens_of_no_slot_are_refused(spoil: Callable[[Tensor], Tensor]) -> None:
    tokens = spoil(slot_sequences((2, 3), 5, slot=1, n_examples=3, seed=0))
    with pytest.raises(ValueError, match=r"slot 1 of the 2\d sequences does not run over the 25 pairs of one task"):
        slot_task(tokens, 5, 1)


# Discrete logarithms


def test_logarithms_read_by_eye() -> None:
    """Powers of 3 modulo 7: 1 3 2 6 4 5."""
    assert discrete_log(7, 3).tolist() == [0, 0, 2, 1, 4, 5, 3]
    assert discrete_log(7, 3).dtype == torch.int64, "they are indices"
    assert primitive_roots(7) == (3, 5) and primitive_root(7) == 3
    assert primitive_root(2) == 1 and primitive_root(29) == 2
    assert is_primitive_root(27, 29), "the paper's root"


@given(p=PRIMES, data=st.data())
def test_a_product_has_the_sum_of_the_logarithms(p: int, data: st.DataObject) -> None:
    logs = discrete_log(p, data.draw(st.sampled_from(primitive_roots(p))))
    x, y = data.draw(st.integers(1, p - 1)), data.draw(st.integers(1, p - 1))
    assert logs[x * y % p] == (logs[x] + logs[y]) % (p - 1)
    assert sorted(logs[1:].tolist()) == list(range(p - 1)) and logs[0] == 0


@given(p=PRIMES, data=st.data())
def test_two_roots_differ_by_a_factor_prime_to_p_minus_one(p: int, data: st.DataObject) -> None:
    one, other = (data.draw(st.sampled_from(primitive_roots(p))) for _ in range(2))
    factor = int(discrete_log(p, other)[one])
    assert gcd(factor, p - 1) == 1
    assert torch.equal(discrete_log(p, other)[1:], discrete_log(p, one)[1:] * factor % (p - 1))
    assert len(primitive_roots(p)) == sum(gcd(number, p - 1) == 1 for number in range(1, p))


@pytest.mark.parametrize("root", [0, 1, 2, 6, 7, -1])
def test_what_is_no_primitive_root_is_refused_with_those_that_are(root: int) -> None:
    with pytest.raises(ValueError, match=rf"{root} is no primitive root of 7; these are: 3, 5"):
        discrete_log(7, root)


@pytest.mark.parametrize("p", [-3, 0, 1, 4, 9])
def test_a_modulus_that_is_no_prime_is_refused(p: int) -> None:
    for function in (primitive_root, primitive_roots, lambda p: discrete_log(p, 1)):
        with pytest.raises(ValueError, match=f"discrete logarithms need a prime, got p = {p}"):
            function(p)
