"""Attention maps: the patterns themselves, labeled."""

import ground_truth
import numpy as np
import pytest
import torch
from ground_truth import LLAMA, MODULAR, induction_circuit, random_model, random_tokens, uniform_model

from grok_interp import to_hooked_transformer
from grok_interp.analysis.attention import AttentionMaps, attention_maps
from grok_interp.configs import ModelConfig

FAMILIES = pytest.mark.parametrize("cfg", [LLAMA, MODULAR], ids=["llama", "modular"])


def maps_of_a_random_model(cfg: ModelConfig) -> AttentionMaps:
    return attention_maps(random_model(cfg), random_tokens(cfg)[0])


def test_the_heads_of_the_circuit_have_the_textbook_patterns() -> None:
    half, tokens = 11, ground_truth.repeated_distinct_tokens(half=11)[0]
    maps = attention_maps(induction_circuit(), tokens)
    previous = ground_truth.previous_token_pattern(2 * half)
    np.testing.assert_allclose(maps.of(*ground_truth.PREVIOUS_TOKEN_HEAD), previous, atol=1e-6)
    second_half = ground_truth.perfect_induction_pattern(half)[half:]
    np.testing.assert_allclose(maps.of(*ground_truth.INDUCTION_HEAD)[half:], second_half, atol=1e-6)


@FAMILIES
def test_a_query_spreads_one_over_the_keys_up_to_it(cfg: ModelConfig) -> None:
    array = maps_of_a_random_model(cfg)["pattern"]
    np.testing.assert_allclose(array.sum("key"), 1.0, rtol=1e-5)
    assert not array.where(array["key"] > array["query"], 0.0).any()
    assert (array.where(array["key"] <= array["query"], 1.0) > 0).all()


def test_uniform_heads_give_each_key_the_same() -> None:
    maps = attention_maps(uniform_model(LLAMA), random_tokens(LLAMA)[0])
    expected = torch.ones(13, 13).tril() / torch.arange(1, 14)[:, None]
    np.testing.assert_allclose(maps["pattern"], expected.expand(2, 3, 13, 13), rtol=1e-5)


@FAMILIES
def test_the_maps_are_the_patterns_of_the_cache(cfg: ModelConfig) -> None:
    model, tokens = random_model(cfg), random_tokens(cfg)
    _, cache = model.run_with_cache(tokens[2:3])
    maps = attention_maps(model, tokens[2])
    assert dict(maps.dataset.sizes) == {"layer": cfg.n_layers, "head": cfg.n_heads, "query": 13, "key": 13}
    for layer in range(cfg.n_layers):
        for head in range(cfg.n_heads):
            pattern = cache[f"blocks.{layer}.attn.hook_pattern"][0, head].detach()
            np.testing.assert_allclose(maps.of(layer, head), pattern, rtol=1e-5)


@FAMILIES
def test_the_librarys_own_model_has_the_same_maps(cfg: ModelConfig) -> None:
    theirs = attention_maps(to_hooked_transformer(random_model(cfg)), random_tokens(cfg)[0])
    np.testing.assert_allclose(theirs["pattern"], maps_of_a_random_model(cfg)["pattern"], atol=1e-5)


@pytest.mark.parametrize(("layer", "head"), [(2, 0), (0, 3), (-1, 0), (0, -1)])
def test_a_head_that_is_not_there_is_refused(layer: int, head: int) -> None:
    with pytest.raises(ValueError, match=f"no head L{layer}H{head}: the model has 2 layers of 3 heads"):
        maps_of_a_random_model(LLAMA).of(layer, head)


def test_the_result_is_told_in_one_line() -> None:
    assert str(maps_of_a_random_model(LLAMA)) == "attention of 2 x 3 heads over 13 tokens"


def test_a_model_that_is_not_finite_is_said() -> None:
    """One model has no step to name."""
    model = random_model(LLAMA)
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    assert str(attention_maps(model, random_tokens(LLAMA)[0])).endswith("over 13 tokens; NOT FINITE")
