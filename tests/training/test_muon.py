"""Muon, against torch's own on the matrices of a model before they are fused."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from grok_interp.configs import TrainConfig
from grok_interp.models.transformer import Transformer
from grok_interp.models.weights import canonical_views
from grok_interp.presets import training_preset
from grok_interp.training.muon import Muon, orthogonalized
from grok_interp.training.optimizer import build_optimizers

RATE, DECAY, MOMENTUM = 0.02, 0.3, 0.9


def muon_config(name: str) -> TrainConfig:
    config = replace(training_preset(name), optimizer="muon", muon_learning_rate=RATE, weight_decay=DECAY)
    return replace(config, muon_momentum=MOMENTUM)


def hidden_matrices(model: Transformer) -> dict[str, Tensor]:
    """Every matrix of the blocks as torch's Linear would hold it alone: [out, in], heads of W_Q, W_K, W_V together."""
    return {
        name: _as_linear(name, view)
        for name, view in canonical_views(model).items()
        if ".W_" in name and name.startswith("blocks")
    }


def _as_linear(name: str, view: Tensor) -> Tensor:
    if name.endswith(("W_Q", "W_K", "W_V")):
        return view.transpose(1, 2).flatten(0, 1)
    return view.flatten(0, 1).T if name.endswith("W_O") else view.T


def random_gradient(model: Transformer, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


@pytest.mark.parametrize("name", ["copier-tiny", "modular-tiny"])
def test_three_updates_equal_torchs_muon_on_the_unfused_matrices(name: str) -> None:
    config = muon_config(name)
    model, twin = Transformer(config.model, seed=0), Transformer(config.model, seed=0)
    optimizers = build_optimizers(model.named_parameters(), config, half=True)
    unfused = {key: nn.Parameter(matrix.clone()) for key, matrix in hidden_matrices(twin).items()}
    assert len(unfused) == config.model.n_layers * (7 if config.model.gated_mlp else 6)
    peer = torch.optim.Muon(unfused.values(), lr=RATE, weight_decay=DECAY, momentum=MOMENTUM)
    for step in range(3):
        random_gradient(model, step)
        random_gradient(twin, step)
        views = canonical_views(twin, of_gradients=True)
        for key, parameter in unfused.items():
            parameter.grad = _as_linear(key, views[key]).contiguous()
        for optimizer in (*optimizers, peer):
            optimizer.step()
    for key, matrix in hidden_matrices(model).items():
        torch.testing.assert_close(
            matrix, unfused[key].detach(), atol=2e-4, rtol=0, msg=lambda m, key=key: f"{key}: {m}"
        )


def test_fusing_matters() -> None:
    """The known answer above would fail if Q, K and V were orthogonalized as one matrix."""
    updates = []
    for n_slices in (3, 1):
        fresh = nn.Parameter(torch.zeros(12, 4))
        fresh.grad = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
        Muon({fresh: n_slices}, lr=1.0, momentum=0.0, weight_decay=0.0, dtype=torch.float32).step()
        updates.append(fresh.detach())
    assert (updates[0] - updates[1]).abs().max() > 0.1


@pytest.mark.parametrize("shape", [(7, 3, 5), (7, 5, 5)])
def test_orthogonalized_matrices_keep_their_directions_and_lose_their_lengths(shape: tuple[int, ...]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 1e3
    u, _, vh = torch.linalg.svd(matrices, full_matrices=False)
    found = u.mT @ orthogonalized(matrices) @ vh.mT  # diagonal where the directions are the same
    lengths = found.diagonal(dim1=-2, dim2=-1)
    assert (found - torch.diag_embed(lengths)).abs().max() < 1e-4
    assert lengths.min() > 0.3 and lengths.max() < 1.3


def test_embeddings_and_gains_are_left_to_adamw() -> None:
    config = muon_config("copier-tiny")
    model = Transformer(config.model)
    adamw, muon = build_optimizers(model.named_parameters(), config)
    names = {id(p): name for name, p in model.named_parameters()}
    by_adamw = {names[id(p)] for group in adamw.param_groups for p in group["params"]}
    by_muon = {names[id(p)] for group in muon.param_groups for p in group["params"]}
    assert by_adamw | by_muon == set(names.values())
    assert not by_adamw & by_muon
    assert all(name in ("embed.weight", "unembed.weight") or "ln" in name for name in by_adamw)


def test_a_parameter_without_a_gradient_stays() -> None:
    parameter = nn.Parameter(torch.ones(2, 3))
    Muon({parameter: 1}, lr=1.0, momentum=0.9, weight_decay=0.5).step()
    assert torch.equal(parameter.detach(), torch.ones(2, 3))


def test_members_of_an_ensemble_are_updated_as_each_alone() -> None:
    gradient = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(2))
    stacked = nn.Parameter(torch.zeros(2, 6, 3))
    alone = [nn.Parameter(torch.zeros(6, 3)) for _ in range(2)]
    stacked.grad = gradient.clone()
    for parameter, own in zip(alone, gradient, strict=True):
        parameter.grad = own.clone()
    for slices in ({stacked: 3}, dict.fromkeys(alone, 3)):
        Muon(slices, lr=1.0, momentum=0.9, weight_decay=0.1, dtype=torch.float32).step()
    torch.testing.assert_close(stacked.detach(), torch.stack([p.detach() for p in alone]))
