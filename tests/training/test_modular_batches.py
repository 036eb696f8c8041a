"""Batches of modular arithmetic: balanced, aligned, a function of (seed, step), and only answers count."""

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from grok_interp.configs import ModularConfig, TrainConfig, modular_gpt
from grok_interp.data.modular import ModularTasks
from grok_interp.models.transformer import Transformer
from grok_interp.training.batches import ModularBatches, answer_loss, open_batches

CPU = torch.device("cpu")
N_TASKS, N_CONTEXTS, N_EXAMPLES, P = 7, 3, 5, 11
DATA = ModularConfig(p=P, n_id=N_TASKS, alpha=0.6, rule="random")
CONFIG = TrainConfig(
    model=modular_gpt(n_layers=2, n_heads=2, d_model=28, d_vocab=13, n_ctx=3 * N_EXAMPLES),
    data=DATA,
    n_steps=50,
    batch_size=N_TASKS * N_CONTEXTS,
    learning_rate=1e-3,
    checkpoint_steps=(0, 7),
)


def examples(step: int, config: TrainConfig = CONFIG) -> Tensor:
    """task context example (x y z) of one batch."""
    return ModularBatches(config).batch(step, CPU).view(N_TASKS, N_CONTEXTS, N_EXAMPLES, 3)


class Recites(nn.Module):
    """Gives the same logits whatever it is shown, and keeps what that was."""

    def __init__(self, scores: Tensor) -> None:
        super().__init__()
        self.scores = nn.Parameter(scores)

    def forward(self, tokens: Tensor) -> Tensor:
        self.shown = tokens
        return self.scores


def random_batch(*, d_vocab: int = 13) -> Tensor:
    return torch.randint(d_vocab, (7, 15), generator=torch.Generator().manual_seed(0))


def random_scores() -> Tensor:
    return torch.randn(7, 14, 13, generator=torch.Generator().manual_seed(1))


def test_a_modular_config_opens_modular_batches() -> None:
    assert isinstance(open_batches(CONFIG), ModularBatches)


@settings(deadline=None, max_examples=20)
@given(step=st.integers(0, 10**6))
def test_a_batch_holds_as_many_sequences_of_every_task_all_on_the_same_inputs(step: int) -> None:
    batch = examples(step)
    assert torch.equal(batch[..., :2], batch[:1, ..., :2].expand(N_TASKS, -1, -1, -1)), "in the same order, too"
    for (a, b), of_task in zip(ModularTasks.draw(DATA).id_tasks.tolist(), batch, strict=True):
        x, y, z = of_task.unbind(-1)
        assert torch.equal(z, (a * x + b * y) % P)


def test_all_examples_are_inputs_trained_on_and_all_of_those_come_up() -> None:
    trained_on = {(x, y) for x, y in ModularBatches(CONFIG).tasks.train_inputs.tolist()}
    seen = {(x, y) for step in range(60) for x, y in examples(step)[0, ..., :2].flatten(0, 1).tolist()}
    assert seen == trained_on


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    walked = ModularBatches(CONFIG)
    walk = [walked.batch(step, CPU) for step in range(5)]
    torch.manual_seed(99)
    for step in (4, 0, 2):
        assert torch.equal(ModularBatches(CONFIG).batch(step, CPU), walk[step])
        assert torch.equal(walked.batch(step, CPU), walk[step])
    others = [ModularBatches(replace(CONFIG, data_seed=1)).batch(step, CPU) for step in range(5)]
    assert len({tuple(batch.flatten().tolist()) for batch in walk + others}) == 10


def test_the_contexts_of_a_batch_differ() -> None:
    contexts = examples(3)[0].flatten(1).tolist()
    assert len({tuple(context) for context in contexts}) == N_CONTEXTS


@pytest.mark.parametrize(
    "change",
    [
        {"task_seed": 2},
        {"input_seed": 2},
        {"alpha": 0.5},
        {"n_id": 3},
        {"p": 7},
        {"rule": "rectangular"},
        {"rule": "published"},
    ],
)
def test_other_tasks_or_inputs_have_another_hash(change: dict[str, Any]) -> None:
    config = replace(CONFIG, batch_size=84).with_data(n_id=12)
    assert ModularBatches(config.with_data(**change)).hash != ModularBatches(config).hash


@pytest.mark.parametrize(
    "change",
    [
        {"n_steps": 60},
        {"learning_rate": 0.5},
        {"batch_size": 14},
        {"init_seed": 1},
        {"data_seed": 1},
        {"betas": (0, 0)},
    ],
)
def test_what_changes_neither_tasks_nor_inputs_keeps_the_hash(change: dict[str, Any]) -> None:
    assert ModularBatches(replace(CONFIG, **change)).hash == ModularBatches(CONFIG).hash


def test_taking_batches_keeps_the_hash() -> None:
    batches = ModularBatches(CONFIG)
    before = batches.hash
    batches.batch(0, CPU)
    assert batches.hash == before


def test_the_description_counts_tasks_and_inputs() -> None:
    expected = "p = 11: 7 tasks trained on, 114 others; 72 inputs trained on, 49 others"
    assert ModularBatches(CONFIG).description == expected


def test_the_loss_is_the_cross_entropy_of_the_answers_counted_by_hand() -> None:
    model, batch = Transformer(CONFIG.model, seed=0), random_batch()
    log_probabilities = model(batch).log_softmax(-1)
    each = [-log_probabilities[row, pos - 1, batch[row, pos]] for row in range(7) for pos in (2, 5, 8, 11, 14)]
    torch.testing.assert_close(answer_loss(model, batch), torch.stack(each).mean())


def test_the_last_answer_is_never_shown() -> None:
    model, batch = Recites(random_scores()), random_batch()
    answer_loss(model, batch)
    assert torch.equal(model.shown, batch[:, :-1])


def test_the_tokens_of_the_inputs_are_no_targets() -> None:
    model, batch = Recites(random_scores()), random_batch()
    other = batch.clone()
    is_answer = torch.arange(15) % 3 == 2
    other[:, ~is_answer] = (batch[:, ~is_answer] + 1) % 13
    assert torch.equal(answer_loss(model, other), answer_loss(model, batch))
    other[:, is_answer] = (batch[:, is_answer] + 1) % 13
    assert not torch.equal(answer_loss(model, other), answer_loss(model, batch))


def test_the_gradient_reaches_the_logits_before_an_answer_and_no_others() -> None:
    model = Recites(random_scores())
    answer_loss(model, random_batch()).backward()
    assert model.scores.grad is not None
    reached = model.scores.grad.abs().sum(-1) > 0
    assert torch.equal(reached, (torch.arange(14) % 3 == 1).expand(7, 14))


def test_the_loss_is_float32_whatever_the_models_precision() -> None:
    scores, batch = random_scores().bfloat16(), random_batch()
    loss = answer_loss(Recites(scores), batch)
    assert loss.dtype == torch.float32
    expected = F.cross_entropy(scores[:, 1::3].float().flatten(0, 1), batch[:, 2::3].flatten())
    assert torch.equal(loss, expected)


def test_batches_are_judged_by_their_answers() -> None:
    batches, model = ModularBatches(CONFIG), Transformer(CONFIG.model, seed=0)
    batch = batches.batch(0, CPU)
    assert torch.equal(batches.loss(model, batch), answer_loss(model, batch))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"batch_size": 20}, "batch_size must be a multiple of n_id 7, as many of each, got 20"),
        ({"model": replace(CONFIG.model, d_vocab=10)}, "d_vocab must hold the 11 numbers of Z_p, got 10"),
        ({"model": replace(CONFIG.model, n_ctx=16)}, "n_ctx must be a multiple of 3, an example being x y z, got 16"),
    ],
)
def test_a_run_that_does_not_fit_its_tasks_is_refused_with_the_numbers(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=f"^TrainConfig: {reason}$"):
        replace(CONFIG, **change)


def test_tasks_without_room_are_refused_when_batches_are_opened() -> None:
    data = replace(DATA, p=5, n_id=20, rule="rectangular")
    config = replace(CONFIG, batch_size=20, data=data)
    with pytest.raises(ValueError, match="the rectangular rule found no room for 20 tasks with p = 5"):
        open_batches(config)
