"""Tasks, inputs and sequences of modular arithmetic, against the paper's figure and against brute force."""

import hashlib
import json
import random
import re
from dataclasses import fields, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor

from grok_interp.configs import ModularConfig
from grok_interp.data.modular import (
    MAX_OOD_TASKS,
    SPLITS,
    ModularTasks,
    answers,
    draw_inputs,
    sequences,
)
from grok_interp.data.task_rules import draw_tasks, rectangular_bases

PAPER = ModularConfig(p=29, n_id=256, alpha=0.6)
SMALL = ModularConfig(p=11, n_id=20, alpha=0.7)
RULES = pytest.mark.parametrize("rule", ["rectangular", "random", "published"])
PUBLISHED = json.loads((Path(__file__).parent / "published_tasks.json").read_text())  # drawn by the published code


def pairs(tensor: Tensor) -> list[tuple[int, int]]:
    return [(first, second) for first, second in tensor.tolist()]


def square(p: int) -> set[tuple[int, int]]:
    return set(product(range(p), range(p)))


def same(a: ModularTasks, b: ModularTasks, *names: str) -> bool:
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in names)


def some_tasks(p: int, n: int, *, seed: int = 0) -> Tensor:
    return torch.randint(p, (n, 2), generator=torch.Generator().manual_seed(seed))


def some_inputs(p: int, n_contexts: int, n_examples: int, *, seed: int = 1) -> Tensor:
    return torch.randint(p, (n_contexts, n_examples, 2), generator=torch.Generator().manual_seed(seed))


def test_the_first_bases_are_those_of_the_papers_figure_10() -> None:
    bases = rectangular_bases(PAPER)
    assert len(bases) == 64
    assert bases[:6] == [(5, 26), (21, 23), (28, 27), (3, 9), (10, 10), (5, 9)]
    assert pairs(ModularTasks.draw(PAPER).id_tasks)[:64] == bases


@pytest.mark.parametrize("key", PUBLISHED["tasks"])
def test_the_published_rule_draws_the_tasks_of_the_published_code(key: str) -> None:
    expected, (seed, n_id) = PUBLISHED["tasks"][key], map(int, re.findall(r"\d+", key))
    tasks = ModularTasks.draw(ModularConfig(p=29, n_id=n_id, alpha=0.8, rule="published", task_seed=seed))
    assert tasks.id_tasks[:64].tolist() == expected["first_64_id"]
    assert tasks.ood_tasks[:64].tolist() == expected["first_64_ood"]
    assert len(tasks.id_tasks) == expected["n_id"] and len(set(pairs(tasks.id_tasks))) == expected["distinct_id"]
    assert len(tasks.ood_tasks) == expected["n_ood"]
    assert not set(pairs(tasks.id_tasks)) & set(pairs(tasks.ood_tasks))


@pytest.mark.parametrize("key", PUBLISHED["inputs"])
@pytest.mark.parametrize("n_id", [64, 384])
def test_the_published_rule_splits_the_inputs_like_the_published_code(key: str, n_id: int) -> None:
    expected, alpha = PUBLISHED["inputs"][key], float(key.removeprefix("alpha="))
    tasks = ModularTasks.draw(ModularConfig(p=29, n_id=n_id, alpha=alpha, rule="published"))
    assert len(tasks.train_inputs) == expected["n_train"] and len(tasks.test_inputs) == 841 - expected["n_train"]
    assert tasks.train_inputs[:32].tolist() == expected["first_32_train"]
    assert tasks.test_inputs[:32].tolist() == expected["first_32_test"]


def test_the_rectangular_rule_has_other_tasks_and_inputs_than_the_published_code() -> None:
    ours = ModularTasks.draw(replace(PAPER, n_id=384, alpha=0.8))
    published = ModularTasks.draw(replace(PAPER, n_id=384, alpha=0.8, rule="published"))
    trained_there = set(pairs(published.id_tasks))
    assert len(trained_there & set(pairs(ours.id_tasks))) == 174
    assert len(trained_there & set(pairs(ours.ood_tasks))) == 117
    assert (len(ours.train_inputs), len(published.train_inputs)) == (672, 673)


@settings(deadline=None, max_examples=40)
@given(
    p=st.sampled_from([11, 13, 29]),
    n_bases=st.integers(1, 4),
    rule=st.sampled_from(["rectangular", "published"]),
    seed=st.integers(0, 999),
)
def test_tasks_are_complete_rectangles_after_their_bases(p: int, n_bases: int, rule: Any, seed: int) -> None:
    drawn = ModularTasks.draw(replace(SMALL, p=p, n_id=4 * n_bases, rule=rule, task_seed=seed)).id_tasks
    assert len(set(pairs(drawn))) == len(drawn) == 4 * n_bases
    cells = list(product(range(1 if rule == "rectangular" else 0, p), repeat=2))
    assert pairs(drawn)[:n_bases] == random.Random(seed).sample(cells, n_bases)
    for (a, b), others in zip(pairs(drawn[:n_bases]), drawn[n_bases:].view(n_bases, 3, 2), strict=True):
        _, _, (x, y) = pairs(others)
        assert pairs(others) == [(a, y), (x, b), (x, y)]
        assert x not in (a, b) and y not in (a, b, x)


@pytest.mark.parametrize("seed", range(50))
def test_512_tasks_find_room_with_every_seed(seed: int) -> None:
    config = replace(PAPER, n_id=512, task_seed=seed)
    chosen, others = draw_tasks(config)
    assert len(set(chosen)) == len(chosen) == 512
    assert chosen[:128] == rectangular_bases(config)
    assert len(others) == 841 - 512 and set(chosen) | set(others) == square(29)


@pytest.mark.parametrize(
    ("change", "digest"),
    [
        ({"n_id": 64}, "327c8061f51bbedc"),
        ({"n_id": 256}, "c926a746e9bad4b3"),
        ({"n_id": 384, "alpha": 0.8, "task_seed": 2}, "04a03f0e7a6ae9b6"),
        ({"n_id": 512, "input_seed": 3}, "0eceefcd1dc7a657"),
        ({"n_id": 512, "task_seed": 0}, "127870df94712bc9"),
        ({"p": 7, "n_id": 40, "alpha": 0.8, "rule": "random"}, "ca88fe4ef5142597"),
    ],
)
def test_draws_are_pinned_so_that_runs_keep_their_tasks(change: dict[str, Any], digest: str) -> None:
    tasks = ModularTasks.draw(replace(PAPER, **change))
    drawn = [tasks.id_tasks, tasks.ood_tasks, tasks.train_inputs, tasks.test_inputs]
    assert hashlib.sha256(json.dumps([part.tolist() for part in drawn]).encode()).hexdigest().startswith(digest)


def test_only_the_published_rule_has_bases_with_a_zero() -> None:
    n_bases = PAPER.n_id // 4
    for seed in range(10):
        ours = ModularTasks.draw(replace(PAPER, task_seed=seed)).id_tasks
        theirs = ModularTasks.draw(replace(PAPER, task_seed=seed, rule="published")).id_tasks
        assert ours[:n_bases].min() == 1 and ours.min() == 0
        assert theirs[:n_bases].min() == 0


def test_the_random_rule_reaches_every_task_and_needs_no_multiple_of_four() -> None:
    draws = [
        pairs(ModularTasks.draw(replace(SMALL, p=5, n_id=7, rule="random", task_seed=s)).id_tasks) for s in range(40)
    ]
    assert all(len(set(draw)) == 7 for draw in draws)
    assert set().union(*draws) == square(5)


@RULES
def test_the_other_tasks_are_all_the_rest_of_a_small_square(rule: Any) -> None:
    tasks = ModularTasks.draw(replace(SMALL, rule=rule))
    trained, others = pairs(tasks.id_tasks), pairs(tasks.ood_tasks)
    assert not set(trained) & set(others)
    assert len(others) == 121 - 20 and set(trained) | set(others) == square(11)
    assert others != sorted(others), "shuffled"


@RULES
def test_of_a_large_square_256_other_tasks_are_kept(rule: Any) -> None:
    tasks = ModularTasks.draw(replace(PAPER, rule=rule))
    trained, others = set(pairs(tasks.id_tasks)), pairs(tasks.ood_tasks)
    assert len(set(others)) == len(others) == MAX_OOD_TASKS == 256
    assert not trained & set(others)
    assert max(a for a, _ in others) > 20, "from the whole square, not from its beginning"


@settings(deadline=None, max_examples=40)
@given(p=st.sampled_from([3, 5, 7, 11]), alpha=st.floats(0.12, 0.99), seed=st.integers(0, 999))
def test_every_input_is_trained_on_or_tested_and_alpha_says_how_many(p: int, alpha: float, seed: int) -> None:
    config = ModularConfig(p=p, n_id=3, alpha=alpha, rule="random", input_seed=seed)
    tasks = ModularTasks.draw(config)
    train, test = pairs(tasks.train_inputs), pairs(tasks.test_inputs)
    assert len(train) + len(test) == p * p and set(train) | set(test) == square(p)
    assert 0 <= alpha * p * p - len(train) < 1


@settings(deadline=None, max_examples=40)
@given(alpha=st.floats(0.01, 0.99), seed=st.integers(0, 2**32 - 1))
def test_the_published_rule_rounds_to_the_nearest_number_of_inputs(alpha: float, seed: int) -> None:
    tasks = ModularTasks.draw(replace(SMALL, alpha=alpha, rule="published", input_seed=seed))
    train, test = pairs(tasks.train_inputs), pairs(tasks.test_inputs)
    assert len(train) + len(test) == 121 and set(train) | set(test) == square(11)
    assert abs(alpha * 121 - len(train)) <= 0.5


@pytest.mark.parametrize("p", [3, 5, 7, 29])
def test_a_share_of_k_in_p_squared_trains_on_k_inputs(p: int) -> None:
    asked = range(2, p * p)
    assert [ModularConfig(p=p, n_id=4, alpha=k / p**2).n_train_inputs for k in asked] == list(asked)


@RULES
def test_the_same_config_draws_the_same_whatever_the_global_generators(rule: Any) -> None:
    names = [field.name for field in fields(ModularTasks) if field.name != "p"]
    config = replace(SMALL, rule=rule)
    first = ModularTasks.draw(config)
    random.seed(3)
    np.random.seed(3)
    torch.manual_seed(3)
    before = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert same(first, ModularTasks.draw(config), *names)
    assert before == (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())


@RULES
def test_tasks_and_inputs_have_seeds_of_their_own(rule: Any) -> None:
    config = replace(SMALL, rule=rule)
    first = ModularTasks.draw(config)
    others = ModularTasks.draw(replace(config, task_seed=2))
    assert same(first, others, "train_inputs", "test_inputs")
    assert set(pairs(first.id_tasks)) != set(pairs(others.id_tasks))
    resplit = ModularTasks.draw(replace(config, input_seed=2))
    assert same(first, resplit, "id_tasks", "ood_tasks")
    assert set(pairs(first.train_inputs)) != set(pairs(resplit.train_inputs))


def test_a_split_is_named_by_its_tasks_and_its_inputs() -> None:
    drawn = ModularTasks.draw(SMALL)
    tasks = {"id": drawn.id_tasks, "ood": drawn.ood_tasks}
    inputs = {"train": drawn.train_inputs, "test": drawn.test_inputs}
    for split in SPLITS:
        of_tasks, of_inputs = split.split("_")
        found_tasks, found_inputs = drawn.of(split)
        assert found_tasks is tasks[of_tasks] and found_inputs is inputs[of_inputs]


def test_tasks_move_to_a_device_as_a_whole() -> None:
    drawn = ModularTasks.draw(SMALL)
    moved = drawn.to("meta")
    assert moved.p == 11
    for split in SPLITS:
        assert {part.device.type for part in moved.of(split)} == {"meta"}
        assert [part.shape for part in moved.of(split)] == [part.shape for part in drawn.of(split)]


@pytest.mark.parametrize(
    ("p", "n_id", "rule", "reason"),
    [
        (3, 4, "rectangular", "rectangular rule found no room for 4 tasks with p = 3 and task_seed 4 .* lower n_id"),
        (5, 20, "rectangular", "rectangular rule found no room for 20 tasks with p = 5 and task_seed 4 .* lower n_id"),
        (3, 4, "published", "published rule has no room for 4 tasks with p = 3 and task_seed 4, .* lower n_id"),
        (5, 24, "published", "published rule has no room for 24 tasks with p = 5 and task_seed 4, .* lower n_id"),
    ],
)
def test_tasks_that_a_rule_has_no_room_for_are_refused(p: int, n_id: int, rule: Any, reason: str) -> None:
    config = ModularConfig(p=p, n_id=n_id, alpha=0.5, rule=rule, task_seed=4)
    with pytest.raises(ValueError, match=reason):
        ModularTasks.draw(config)
    assert len(ModularTasks.draw(replace(config, rule="random")).id_tasks) == n_id


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"p": 15}, "p must be a prime of 3 or more, got 15"),
        ({"p": 2, "n_id": 3, "rule": "random"}, "p must be a prime of 3 or more, got 2"),
        ({"n_id": 124}, r"n_id must leave tasks untrained: within 1\.\.120 for p = 11, got 124"),
        ({"n_id": 121, "rule": "random"}, r"n_id must .* within 1\.\.120 for p = 11, got 121"),
        ({"n_id": 0}, r"n_id must .* within 1\.\.120 for p = 11, got 0"),
        ({"n_id": 18}, "n_id must be a multiple of 4 under the rectangular rule, got 18"),
        ({"n_id": 18, "rule": "published"}, "n_id must be a multiple of 4 under the published rule, got 18"),
        ({"rule": "square"}, "rule must be rectangular, random or published, got 'square'"),
        ({"alpha": 1.0}, "alpha must leave .* of 121, got 1.0"),
        ({"alpha": 0.005}, "alpha must leave .* of 121, got 0.005"),
        ({"alpha": -0.5}, "alpha must leave .* of 121, got -0.5"),
    ],
)
def test_a_config_is_refused_with_the_number_that_is_wrong(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=f"^ModularConfig: {reason}$"):
        replace(SMALL, **change)


@pytest.mark.parametrize("alpha", [float("nan"), float("inf")])
def test_an_alpha_that_is_no_share_is_refused_in_the_same_words(alpha: float) -> None:
    with pytest.raises(ValueError, match=f"^ModularConfig: alpha must .* got {alpha}"):
        replace(SMALL, alpha=alpha)


@pytest.mark.parametrize("p", [2, 3, 5])
def test_every_task_answers_every_input_with_a_x_plus_b_y(p: int) -> None:
    cells = torch.tensor(sorted(square(p)))
    z = answers(cells, cells.unsqueeze(0), p)
    expected = [[(a * x + b * y) % p for x, y in pairs(cells)] for a, b in pairs(cells)]
    assert z.squeeze(1).tolist() == expected


def test_a_sequence_read_by_eye() -> None:
    """Tasks 2 x + 3 y and x modulo 7, on (1, 2) and (4, 0)."""
    shown = sequences(torch.tensor([[2, 3], [1, 0]]), torch.tensor([[[1, 2], [4, 0]]]), 7)
    assert shown.tolist() == [[[1, 2, 1, 4, 0, 1]], [[1, 2, 1, 4, 0, 4]]]


def test_sequences_put_each_answer_behind_its_input_and_keep_the_axes_apart() -> None:
    tasks, inputs = some_tasks(11, 7), some_inputs(11, 5, 3)
    before = inputs.clone()
    examples = sequences(tasks, inputs, 11).unflatten(-1, (3, 3))
    assert examples.shape == (7, 5, 3, 3) and answers(tasks, inputs, 11).shape == (7, 5, 3)
    for task, context, example in product(range(7), range(5), range(3)):
        (a, b), (x, y) = tasks[task].tolist(), inputs[context, example].tolist()
        assert examples[task, context, example].tolist() == [x, y, (a * x + b * y) % 11]
    assert torch.equal(inputs, before)


def test_draws_depend_on_every_part_of_the_seed_and_on_nothing_else() -> None:
    inputs = ModularTasks.draw(SMALL).train_inputs
    state = torch.get_rng_state()
    draws = [
        draw_inputs(inputs, n_contexts=5, n_examples=13, seed=seed)
        for seed in ((1, 2, 3), (1, 2, 4), (1, 3, 3), (2, 2, 3))
    ]
    assert torch.equal(torch.get_rng_state(), state)
    assert len({tuple(draw.flatten().tolist()) for draw in draws}) == 4
    torch.manual_seed(5)
    assert torch.equal(draw_inputs(inputs, n_contexts=5, n_examples=13, seed=(1, 2, 3)), draws[0])


@settings(deadline=None, max_examples=40)
@given(n_pairs=st.integers(1, 7), seed=st.tuples(st.integers(0, 2**40), st.integers(0, 3)))
def test_examples_are_drawn_with_replacement_from_the_inputs_given(n_pairs: int, seed: tuple[int, int]) -> None:
    inputs = ModularTasks.draw(SMALL).test_inputs[:n_pairs]
    drawn = draw_inputs(inputs, n_contexts=11, n_examples=23, seed=seed)
    assert drawn.shape == (11, 23, 2)
    assert set(pairs(drawn.flatten(0, 1))) == set(pairs(inputs)), "253 draws of at most 7: all of them, and no other"


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_all_inputs_are_equally_likely_and_so_are_all_successors(seed: int) -> None:
    p = 5
    cells = torch.tensor(sorted(square(p)))
    drawn = draw_inputs(cells, n_contexts=2003, n_examples=6, seed=(seed,))
    cell = drawn[..., 0] * p + drawn[..., 1]
    assert chisquare(cell.flatten().bincount(minlength=p**2)).pvalue > 0.001
    successor = cell[:, ::2] * p**2 + cell[:, 1::2]
    assert chisquare(successor.flatten().bincount(minlength=p**4)).pvalue > 0.001
