"""Reading activations: what was asked for, reduced while the model runs, and the model as it was."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from ground_truth import LLAMA, MODULAR, random_model, random_tokens
from torch import Tensor

from grok_interp import to_hooked_transformer
from grok_interp.configs import ModelConfig
from grok_interp.models.activations import HookedModel, device_of, evaluating, logits, pattern_name, read
from grok_interp.models.transformer import Transformer


def itself(model: Transformer) -> Transformer:
    return model


KINDS = pytest.mark.parametrize("kind", [itself, to_hooked_transformer], ids=["ours", "library"])
FAMILIES = pytest.mark.parametrize("cfg", [LLAMA, MODULAR], ids=["llama", "modular"])


@KINDS
@FAMILIES
def test_each_activation_is_reduced_by_its_own_reducer(cfg: ModelConfig, kind: Callable) -> None:
    tokens, model = random_tokens(cfg), random_model(cfg)
    _, cache = model.run_with_cache(tokens)
    first, last = "blocks.0.attn.hook_pattern", f"blocks.{cfg.n_layers - 1}.hook_resid_post"
    found = read(kind(model), tokens, {first: lambda pattern: pattern[:, :, 7], last: lambda stream: stream.sum(dim=0)})
    assert found.keys() == {first, last}
    torch.testing.assert_close(found[first], cache[first][:, :, 7], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found[last], cache[last].sum(dim=0), atol=1e-4, rtol=1e-4)


@KINDS
def test_a_hook_that_the_model_does_not_have_is_refused(kind: Callable) -> None:
    with pytest.raises(ValueError, match=r"no activation at .*blocks.7.attn.hook_pattern.*hook names are needed"):
        read(kind(random_model(LLAMA)), random_tokens(LLAMA), {pattern_name(7): torch.Tensor.sum})


def test_a_hook_that_the_model_does_not_call_is_refused() -> None:
    model = random_model(LLAMA)
    model.blocks[1].forward = lambda x, cache: x  # the block is there and is passed by
    names = [pattern_name(0), pattern_name(1)]
    with pytest.raises(ValueError, match=r"the model has no activation at \['blocks.1.attn.hook_pattern'\]"):
        read(model, random_tokens(LLAMA), dict.fromkeys(names, torch.Tensor.sum))


@KINDS
@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_in_the_modes_it_was_in(kind: Callable, training: bool) -> None:
    model = kind(random_model(LLAMA)).train(training)
    model.blocks[1].train(not training)
    before = [module.training for module in model.modules()]
    read(model, random_tokens(LLAMA), {pattern_name(0): torch.Tensor.sum})
    logits(model, random_tokens(LLAMA))
    assert [module.training for module in model.modules()] == before


@KINDS
def test_gradients_are_off_inside_and_back_on_outside(kind: Callable) -> None:
    model, inside = kind(random_model(LLAMA)), []
    read(
        model, random_tokens(LLAMA), {pattern_name(0): lambda pattern: inside.append(pattern.requires_grad) or pattern}
    )
    assert inside == [False] and torch.is_grad_enabled()
    assert model(random_tokens(LLAMA)).requires_grad


@KINDS
def test_a_failing_reducer_leaves_neither_hooks_nor_modes_behind(kind: Callable) -> None:
    def fail(activation: Tensor) -> Tensor:
        raise RuntimeError("out of luck")

    model = kind(random_model(LLAMA)).train()
    with pytest.raises(RuntimeError, match="out of luck"):
        read(model, random_tokens(LLAMA), {pattern_name(0): fail})
    assert model.training and torch.is_grad_enabled()
    assert not any(point.fwd_hooks for point in model.hook_dict.values())


def test_dropout_is_off_while_reading() -> None:
    model, tokens = random_model(replace(LLAMA, attn_dropout=0.5)).train(), random_tokens(LLAMA)
    name = "blocks.1.hook_resid_post"
    first, second = (read(model, tokens, {name: torch.clone})[name] for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(logits(model, tokens), random_model(LLAMA)(tokens))


@KINDS
def test_logits_are_the_models_own_in_float32(kind: Callable) -> None:
    tokens = random_tokens(LLAMA)
    found = logits(kind(random_model(LLAMA)), tokens)
    torch.testing.assert_close(found, random_model(LLAMA)(tokens).detach(), atol=2e-5, rtol=2e-5)
    assert logits(random_model(LLAMA).bfloat16(), tokens).dtype == torch.float32


def test_modes_come_back_when_the_body_fails() -> None:
    model = random_model(LLAMA).train()
    with pytest.raises(KeyError, match="inside"), evaluating(model):
        assert not model.training and not torch.is_grad_enabled()
        raise KeyError("inside")
    assert model.training and torch.is_grad_enabled()


@KINDS
def test_any_hooked_model_fits_the_protocol(kind: Callable) -> None:
    model: Any = kind(random_model(LLAMA))
    assert isinstance(model, HookedModel) and device_of(model) == torch.device("cpu")
    assert not isinstance(torch.nn.Linear(2, 3), HookedModel)
