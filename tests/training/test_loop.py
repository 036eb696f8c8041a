"""The loop: what it yields, what decides the weights, and what does not."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from grok_interp.analysis.induction import induction_scores
from grok_interp.configs import TrainConfig
from grok_interp.data.copying import repeated_tokens
from grok_interp.models.transformer import Transformer
from grok_interp.runs.run import Run
from grok_interp.training.batches import next_token_loss
from grok_interp.training.divergence import Update
from grok_interp.training.loop import train, train_step
from grok_interp.training.state import TrainingState


def trained(config: TrainConfig) -> dict[str, Tensor]:
    for _, model in train(config):
        last = model
    return {name: tensor.clone() for name, tensor in last.state_dict().items()}


def assert_same_bits(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def largest_difference(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    return max(float((a[name] - b[name]).abs().max()) for name in a)


def test_it_yields_the_steps_asked_for_and_the_last(tiny: TrainConfig) -> None:
    config = replace(tiny, n_steps=7, checkpoint_steps=(0, 3, 100), warmup_steps=0)
    assert [step for step, _ in train(config)] == [0, 3, 7]


def test_step_zero_is_the_initialization(tiny: TrainConfig) -> None:
    _, model = next(train(tiny))
    assert_same_bits(dict(model.state_dict()), dict(Transformer(tiny.model, seed=0).state_dict()))


def test_a_run_is_a_function_of_its_config(tiny: TrainConfig) -> None:
    first = trained(tiny)
    torch.manual_seed(99)
    assert_same_bits(first, trained(tiny))
    for seed in ("init_seed", "data_seed"):
        assert largest_difference(first, trained(replace(tiny, **{seed: 1}))) > 1e-4


def test_training_leaves_the_callers_random_state_alone(tiny: TrainConfig) -> None:
    before = torch.get_rng_state()
    trained(tiny.with_model(attn_dropout=0.1))
    assert torch.equal(torch.get_rng_state(), before)


def test_attention_dropout_changes_the_run_and_is_reproducible(tiny: TrainConfig) -> None:
    with_dropout = tiny.with_model(attn_dropout=0.3)
    first = trained(with_dropout)
    assert_same_bits(first, trained(with_dropout))
    assert largest_difference(first, trained(tiny)) > 1e-4


def test_gradient_accumulation_gives_the_same_run(tiny: TrainConfig) -> None:
    config = replace(tiny, n_steps=5)
    assert largest_difference(trained(config), trained(replace(config, micro_batch_size=1))) < 1e-5


def test_one_update_is_adamw_on_the_clipped_gradient(tiny: TrainConfig) -> None:
    """The first update of AdamW is -lr sign(g) - lr wd w, but for eps: known without running it."""
    config = replace(tiny, warmup_steps=0, learning_rate=1e-3, weight_decay=0.5, adam_eps=1e-30, max_grad_norm=1e-4)
    state = TrainingState(config)
    before = state.model.blocks[0].attn.qkv.weight.detach().clone()
    batch = torch.randint(256, (4, 65), generator=torch.Generator().manual_seed(0))
    gradient = torch.autograd.grad(next_token_loss(state.model, batch), state.model.blocks[0].attn.qkv.weight)[0]
    update = train_step(state, batch, next_token_loss)
    expected = before * (1 - 1e-3 * 0.5) - 1e-3 * gradient.sign()
    torch.testing.assert_close(state.model.blocks[0].attn.qkv.weight.detach(), expected, atol=1e-6, rtol=0)
    assert (update.step, update.learning_rate) == (1, 1e-3)


def test_updates_report_the_loss_before_them(tiny: TrainConfig) -> None:
    updates: list[Update] = []
    for _ in train(tiny, on_update=updates.append):
        pass
    assert [update.step for update in updates] == list(range(1, 21))
    assert float(updates[0].loss) == pytest.approx(math.log(256), abs=0.1)
    assert float(updates[-1].loss) < float(updates[0].loss) - 0.3
    assert all(float(update.grad_norm) > 0 for update in updates)


def test_bfloat16_autocast_keeps_float32_weights_and_a_like_loss(tiny: TrainConfig) -> None:
    losses: dict[str, list[float]] = {"float32": [], "bfloat16": []}
    for precision, found in losses.items():
        for _, model in train(replace(tiny, precision=precision), on_update=lambda u, f=found: f.append(float(u.loss))):
            assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert losses["bfloat16"] != losses["float32"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.01)


def test_analyzing_while_training_equals_analyzing_from_disk(tiny: TrainConfig, tmp_path) -> None:
    tokens = repeated_tokens(n_sequences=3, half=20, alphabet=range(97, 123), seed=0)
    live = induction_scores(train(tiny), tokens)
    saved = induction_scores(Run.write(tmp_path / "run", tiny, train(tiny)), tokens)
    assert live.dataset.identical(saved.dataset)
    assert live.dataset["checkpoint"].values.tolist() == [0, 5, 10, 15, 20]


@pytest.mark.parametrize("micro_batch_size", [1, 2])
def test_accumulated_gradients_are_those_of_the_whole_batch(tiny: TrainConfig, micro_batch_size: int) -> None:
    """AdamW forgets the gradient's scale, so equal weights would not show a sum taken for a mean: this does."""
    batch = torch.randint(256, (4, 65), generator=torch.Generator().manual_seed(0))
    whole = train_step(TrainingState(tiny), batch, next_token_loss)
    split = train_step(TrainingState(replace(tiny, micro_batch_size=micro_batch_size)), batch, next_token_loss)
    torch.testing.assert_close((split.loss, split.grad_norm), (whole.loss, whole.grad_norm))
