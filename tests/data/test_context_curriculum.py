"""Related contexts, and the curriculum that uses them."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grok_interp.configs import ModularConfig
from grok_interp.data.context_curriculum import Lines, draw_related_inputs, line_table
from grok_interp.data.modular import ModularTasks, draw_inputs
from grok_interp.presets import training_preset
from grok_interp.training.batches import TRAINING_CONTEXTS, ModularBatches

P = 7
INPUTS = ModularTasks.draw(ModularConfig(p=P, n_id=20, alpha=0.8, rule="random")).train_inputs


def drawn(repeat: float, line: float, *, seed: int = 0, n_contexts: int = 200, n_examples: int = 5) -> torch.Tensor:
    options = dict(n_contexts=n_contexts, n_examples=n_examples, seed=(seed, 3), probabilities=(repeat, line))
    return draw_related_inputs(Lines.of(INPUTS, P), **options)


def on_one_line(first: list[int], second: list[int]) -> bool:
    return any([c * first[0] % P, c * first[1] % P] == second for c in range(1, P))


def test_lines_read_by_eye() -> None:
    inputs = torch.tensor([[1, 2], [2, 4], [3, 1], [0, 0], [5, 3]])  # 2 (1, 2) = (2, 4) and 5 (1, 2) = (5, 3) mod 7
    assert line_table(inputs, P).nonzero().tolist() == [[0, 1], [0, 4], [1, 0], [1, 4], [4, 0], [4, 1]]


@settings(deadline=None)
@given(seed=st.integers(0, 999))
def test_every_example_is_a_training_input(seed: int) -> None:
    known = {tuple(pair) for pair in INPUTS.tolist()}
    assert {tuple(pair) for pair in drawn(0.3, 0.5, seed=seed, n_contexts=9).flatten(0, 1).tolist()} <= known


def test_certain_repeats_repeat_the_first_example() -> None:
    contexts = drawn(1.0, 0.0)
    assert (contexts == contexts[:, :1]).all()
    assert len({tuple(pair) for pair in contexts[:, 0].tolist()}) > 20, "contexts differ"


def test_certain_lines_stay_on_the_line_of_the_first_example_and_never_repeat_its_predecessor_alone() -> None:
    for context in drawn(0.0, 1.0).tolist():
        if any(context[0]):
            assert all(on_one_line(context[0], other) for other in context[1:])
    second = drawn(0.0, 1.0)[:, :2].tolist()
    assert all(first != other for first, other in second if any(first)), "another input, not the same"


def test_frequencies_are_the_probabilities() -> None:
    contexts = drawn(0.25, 0.5, n_contexts=4_000, n_examples=2).tolist()
    repeats = sum(first == second for first, second in contexts) / 4_000
    lines = sum(first != second and on_one_line(first, second) for first, second in contexts) / 4_000
    n = len(INPUTS)
    assert abs(repeats - (0.25 + 0.25 / n)) < 0.025
    assert abs(lines - (0.5 + 0.25 * 4 / n)) < 0.04, "a line keeps about four other training inputs"


def test_without_probabilities_examples_are_uniform() -> None:
    counts = torch.zeros(P * P)
    examples = drawn(0.0, 0.0, n_contexts=4_000).flatten(0, 1)
    counts.index_add_(0, examples[:, 0] * P + examples[:, 1], torch.ones(len(examples)))
    seen = counts[counts > 0]
    assert len(seen) == len(INPUTS)
    assert ((seen - seen.mean()) / seen.mean().sqrt()).abs().max() < 4.5


def test_the_same_seed_draws_the_same_and_another_seed_does_not() -> None:
    assert torch.equal(drawn(0.3, 0.5), drawn(0.3, 0.5))
    assert not torch.equal(drawn(0.3, 0.5), drawn(0.3, 0.5, seed=1))


@pytest.mark.parametrize(("step", "strength"), [(0, 1.0), (39, 1.0), (40, 1.0), (45, 0.75), (60, 0.0), (99, 0.0)])
def test_the_curriculum_fades_linearly(step: int, strength: float) -> None:
    config = ModularConfig(p=P, n_id=20, alpha=0.8, rule="random", line_probability=0.5, curriculum_steps=(40, 60))
    assert config.curriculum_strength(step) == strength


def test_batches_follow_the_curriculum_and_are_uniform_after_it() -> None:
    plain = training_preset("modular-tiny")
    changed = plain.with_data(repeat_probability=1.0, curriculum_steps=(3, 3))
    during = ModularBatches(changed).batch(2, torch.device("cpu"))
    assert (during.unflatten(1, (-1, 3))[..., :2] == during.unflatten(1, (-1, 3))[:, :1, :2]).all()
    for step in (3, 11):
        after, uniform = (ModularBatches(config).batch(step, torch.device("cpu")) for config in (changed, plain))
        assert torch.equal(after, uniform)


def test_a_config_without_a_curriculum_draws_what_it_always_drew() -> None:
    config = training_preset("modular-tiny")
    batches = ModularBatches(config)
    expected = draw_inputs(
        batches.tasks.train_inputs, n_contexts=2, n_examples=8, seed=(config.data_seed, TRAINING_CONTEXTS, 5)
    )
    found = batches.batch(5, torch.device("cpu")).unflatten(0, (8, 2)).unflatten(-1, (-1, 3))[0, :, :, :2]
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"repeat_probability": 0.5, "line_probability": 0.75}, "must sum to at most 1, got 0.5 and 0.75"),
        ({"line_probability": -0.5}, r"line_probability must be in \[0, 1\], got -0.5"),
        ({"line_probability": 0.5, "curriculum_steps": (9, 4)}, r"0 <= first <= last, got \(9, 4\)"),
        ({"line_probability": 0.5}, "a curriculum needs curriculum_steps"),
    ],
)
def test_nonsense_is_refused(change: dict, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        replace(ModularConfig(p=P, n_id=20, alpha=0.8, rule="random"), **change)
