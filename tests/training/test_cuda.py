"""On a GPU: the numbers of the CPU, and the same training with and without CUDA graphs. Skipped where there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from ground_truth import measured
from torch import Tensor

from grok_interp.analysis.induction import induction_scores
from grok_interp.configs import TrainConfig
from grok_interp.models.transformer import Transformer
from grok_interp.presets import preset, training_preset
from grok_interp.runs.run_training import run_training
from grok_interp.training.batches import ModularBatches
from grok_interp.training.cuda_graph import CALLS_BEFORE, GraphedStep
from grok_interp.training.ensemble import EnsembleState, train_ensemble
from grok_interp.training.ensemble import step_function as ensemble_step_function
from grok_interp.training.loop import step_function, train, train_step
from grok_interp.training.state import TrainingState

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
CUDA = torch.device("cuda")
N_UPDATES = CALLS_BEFORE + 5
MODULAR = replace(
    training_preset("modular-p11").with_model(n_layers=2), n_steps=N_UPDATES, warmup_steps=2, checkpoint_steps=()
)
ADAMW = dict(optimizer="adamw", muon_learning_rate=None)
CONFIGS = {
    "muon": replace(MODULAR, precision="float32"),
    "adamw, clipped": replace(MODULAR, precision="float32", max_grad_norm=0.5, **ADAMW),
    "micro-batches": replace(MODULAR, precision="float32", micro_batch_size=104),
    "bfloat16": replace(MODULAR, precision="bfloat16"),
}
TOLERANCES = {"float32": 2e-3, "bfloat16": 5e-2}  # sums are in no fixed order in the backward pass of attention


def tokens_of(config: Any, n: int = 8) -> Tensor:
    return torch.randint(config.d_vocab, (n, config.n_ctx), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["copier-mini", "modular-p11"])
def test_logits_are_those_of_the_cpu(name: str) -> None:
    model, tokens = Transformer(preset(name), seed=0).eval(), tokens_of(preset(name))
    with torch.no_grad():
        expected = model(tokens)
        found = model.to(CUDA)(tokens.to(CUDA)).cpu()
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["copier-mini", "modular-p11"])
def test_hooks_and_entries_are_those_of_the_cpu(name: str) -> None:
    model, tokens = Transformer(preset(name), seed=0).eval(), tokens_of(preset(name))
    queries = torch.arange(1, preset(name).n_ctx)
    with torch.no_grad():
        _, cache = model.run_with_cache(tokens)
        entries = model.attention_entries(tokens, queries, queries - 1)
        _, on_gpu = model.to(CUDA).run_with_cache(tokens.to(CUDA))
        entries_on_gpu = model.attention_entries(tokens.to(CUDA), queries.to(CUDA), queries.to(CUDA) - 1)
    for name_of, expected in cache.items():
        torch.testing.assert_close(on_gpu[name_of].cpu(), expected, atol=5e-5, rtol=1e-3)
    torch.testing.assert_close(entries_on_gpu.cpu(), entries, atol=2e-5, rtol=1e-4)


def test_induction_scores_are_those_of_the_cpu() -> None:
    model, tokens = Transformer(preset("copier-mini"), seed=0).eval(), tokens_of(preset("copier-mini"))
    tokens[:, 64:] = tokens[:, :64]
    expected = induction_scores([(0, model)], tokens)
    found = induction_scores([(0, model.to(CUDA))], tokens)
    assert measured(found).to_numpy() == pytest.approx(measured(expected).to_numpy(), abs=1e-4, nan_ok=True)


def losses_of(config: TrainConfig, *, graphed: bool, compiled: bool = False) -> tuple[list[float], Transformer]:
    state, batches = TrainingState(config, device="cuda"), ModularBatches(config)
    loss = torch.compile(batches.loss) if compiled else batches.loss
    step = step_function(state, loss) if graphed else lambda batch: train_step(state, batch, loss)
    updates = [step(batches.batch(number, CUDA)) for number in range(N_UPDATES)]
    return [number for update in updates for number in (float(update.loss), float(update.grad_norm))], state.model


@pytest.mark.parametrize("name", CONFIGS)
def test_a_graph_trains_as_the_step_does(name: str) -> None:
    direct, expected = losses_of(CONFIGS[name], graphed=False)
    found, model = losses_of(CONFIGS[name], graphed=True)
    assert found == pytest.approx(direct, rel=TOLERANCES[CONFIGS[name].precision])
    for one, other in zip(model.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-2)


@pytest.mark.parametrize("name", ["muon", "bfloat16"])
def test_a_compiled_graph_trains_as_the_step_does(name: str) -> None:
    direct, _ = losses_of(CONFIGS[name], graphed=False)
    found, _ = losses_of(CONFIGS[name], graphed=True, compiled=True)
    assert found == pytest.approx(direct, rel=TOLERANCES[CONFIGS[name].precision])


@pytest.mark.parametrize("name", ["muon", "bfloat16"])
def test_the_first_update_is_that_of_the_cpu(name: str) -> None:
    config = CONFIGS[name]
    batch = ModularBatches(config).batch(0, torch.device("cpu"))
    loss = ModularBatches(config).loss
    expected = train_step(TrainingState(config), batch, loss)
    found = train_step(TrainingState(config, device="cuda"), batch.to(CUDA), loss)
    tolerance = TOLERANCES[config.precision]
    assert float(found.loss) == pytest.approx(float(expected.loss), rel=tolerance)
    assert float(found.grad_norm) == pytest.approx(float(expected.grad_norm), rel=tolerance)


def test_a_graph_reads_the_learning_rate_of_each_step() -> None:
    state, batches = TrainingState(CONFIGS["muon"], device="cuda"), ModularBatches(CONFIGS["muon"])
    step, changes = step_function(state, batches.loss), []
    weight = state.model.get_parameter("blocks.0.attn.qkv.weight")
    for number in range(N_UPDATES):
        before = weight.detach().clone()
        step(batches.batch(number, CUDA))
        changes.append(float((weight.detach() - before).norm()))
    assert changes[-1] < 0.5 * changes[2], "the cosine ends at a tenth of the peak"


@pytest.mark.parametrize("name", ["muon", "adamw, clipped", "bfloat16"])
def test_members_of_an_ensemble_train_as_if_alone(name: str) -> None:
    configs = [replace(CONFIGS[name], init_seed=seed, data_seed=seed) for seed in range(3)]
    losses: list[list[float]] = []
    state = EnsembleState([TrainingState(config, device="cuda") for config in configs])
    for _ in train_ensemble(
        configs, state=state, on_update=lambda updates: losses.append([float(u.loss) for u in updates])
    ):
        pass
    tolerance = TOLERANCES[configs[0].precision]
    for member, config in enumerate(configs):
        alone, _ = losses_of(config, graphed=False)
        assert [each[member] for each in losses] == pytest.approx(alone[::2], rel=tolerance)


def test_an_ensemble_is_one_graph() -> None:
    configs = [CONFIGS["muon"], replace(CONFIGS["muon"], init_seed=1)]
    state = EnsembleState([TrainingState(config, device="cuda") for config in configs])
    step = ensemble_step_function(state, ModularBatches(configs[0]).loss, compiled=False)
    batches = [ModularBatches(config) for config in configs]
    for number in range(N_UPDATES):
        step([each.batch(number, CUDA) for each in batches])
    (graph,) = [part for part in step.args if isinstance(part, GraphedStep)]  # pyright: ignore[reportFunctionMemberAccess]
    assert graph.graph is not None


class Stopped(Exception):
    pass


def test_a_killed_run_resumes_and_ends_as_one_that_was_not(tmp_path: Path) -> None:
    config = CONFIGS["muon"]
    whole = run_training(tmp_path / "whole", config, device="cuda")

    def stop(update: Any) -> None:
        if update.step == CALLS_BEFORE + 2:
            raise Stopped

    with pytest.raises(Stopped):
        run_training(tmp_path / "killed", config, device="cuda", on_update=stop, resume_seconds=0.0)
    killed = run_training(tmp_path / "killed", config, device="cuda")
    for one, other in zip(killed.load(N_UPDATES).parameters(), whole.load(N_UPDATES).parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-2)


def test_a_run_begun_on_a_cpu_goes_on_on_a_gpu() -> None:
    config, state = CONFIGS["muon"], TrainingState(CONFIGS["muon"])
    batches = ModularBatches(config)
    for number in range(2):
        train_step(state, batches.batch(number, torch.device("cpu")), batches.loss)
    moved = TrainingState(config, device="cuda")
    moved.load_state_dict(state.state_dict())
    steps = [step for step, _ in train(config, state=moved, batches=batches)]
    assert steps == [N_UPDATES] and moved.step == N_UPDATES
