"""Continuations that share a prefix are what they are when run whole."""

from dataclasses import replace

import pytest
import torch
from ground_truth import LLAMA, MODULAR, random_model, random_tokens
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from grok_interp.configs import ModelConfig
from grok_interp.models.transformer import Transformer

FAMILIES = pytest.mark.parametrize("cfg", [LLAMA, MODULAR], ids=["llama", "modular"])


def shared_prefix(model: Transformer, tokens: Tensor):
    cache = model.empty_cache()
    model(tokens, cache=cache)
    return cache


@settings(deadline=None, max_examples=30)
@given(
    cfg=st.sampled_from([LLAMA, MODULAR]),
    n_sequences=st.integers(1, 3),
    n_kept=st.integers(0, 7),
    lengths=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    copies=st.lists(st.integers(1, 3), min_size=3, max_size=3),
)
def test_branches_of_branches_give_the_logits_of_the_whole(
    cfg: ModelConfig, n_sequences: int, n_kept: int, lengths: list[int], copies: list[int]
) -> None:
    """Each branch may have several times the sequences of what it branched from."""
    model, prefix = random_model(cfg).double(), random_tokens(cfg, n_sequences=n_sequences, length=7)
    cache, whole = shared_prefix(model, prefix).truncated(n_kept), prefix[:, :n_kept]
    for level, (length, n_copies) in enumerate(zip(lengths, copies, strict=False)):
        following = random_tokens(cfg, n_sequences=len(whole) * n_copies, length=length, seed=level)
        whole = torch.cat([whole.repeat_interleave(n_copies, dim=0), following], dim=1)
        cache = cache.branch()
        torch.testing.assert_close(model(following, cache=cache), model(whole)[:, -length:], atol=1e-9, rtol=1e-7)
        assert cache.n_tokens == whole.shape[1]


@FAMILIES
def test_a_branch_is_read_on_token_by_token(cfg: ModelConfig) -> None:
    model, prefix, following = random_model(cfg), random_tokens(cfg), random_tokens(cfg, length=4, seed=11)
    branch = shared_prefix(model, prefix).branch()
    by_token = torch.cat([model(token, cache=branch) for token in following.split(1, dim=1)], dim=1)
    whole = model(torch.cat([prefix, following], dim=1))[:, -4:]
    torch.testing.assert_close(by_token, whole, atol=2e-5, rtol=2e-5)


@FAMILIES
def test_hooks_see_the_whole_pattern_of_each_sequence_that_shares(cfg: ModelConfig) -> None:
    model, prefix, following = random_model(cfg), random_tokens(cfg), random_tokens(cfg, n_sequences=10, length=2)
    name, seen = "blocks.1.attn.hook_pattern", []
    hooks = [(name, lambda pattern, hook: seen.append(pattern))]
    model.run_with_hooks(following, cache=shared_prefix(model, prefix).branch(), fwd_hooks=hooks)
    model.run_with_hooks(torch.cat([prefix.repeat_interleave(2, dim=0), following], dim=1), fwd_hooks=hooks)
    torch.testing.assert_close(seen[0], seen[1][:, :, -2:], atol=1e-5, rtol=1e-5)


@FAMILIES
def test_reading_extends_the_cache_as_running_does_and_leaves_out_the_rest(cfg: ModelConfig) -> None:
    model, tokens, called = random_model(cfg), random_tokens(cfg), []
    expected, cache = shared_prefix(model, tokens), model.empty_cache()
    last = cfg.n_layers - 1
    names = [f"blocks.{last}.hook_resid_pre", f"blocks.{last}.attn.hook_z", f"blocks.{last}.hook_mlp_out"]
    with model.hooks(fwd_hooks=[(name, lambda _, hook: called.append(hook.name)) for name in names]):
        model.read(tokens[:, :5], cache=cache)
        model.read(tokens[:, 5:], cache=cache)
    for layer in range(cfg.n_layers):
        for found, whole in zip(cache.own[layer], expected.own[layer], strict=True):
            torch.testing.assert_close(found, whole, atol=1e-5, rtol=1e-5)
    assert called == [names[0]] * 2


def test_a_branch_copies_nothing_and_leaves_what_it_shares_as_it_was() -> None:
    model = random_model(LLAMA)
    cache = shared_prefix(model, random_tokens(LLAMA))
    before, branch = cache.own[0][0].clone(), cache.truncated(4)
    assert branch.parts(0)[0][0].data_ptr() == cache.own[0][0].data_ptr() and branch.n_tokens == 4
    model(random_tokens(LLAMA, length=3), cache=branch)
    assert branch.n_tokens == 7 and cache.n_tokens == 13 and torch.equal(cache.own[0][0], before)


def test_what_cannot_be_shared_is_refused() -> None:
    model = random_model(LLAMA)
    cache = shared_prefix(model, random_tokens(LLAMA, n_sequences=3, length=5))
    with pytest.raises(ValueError, match="7 sequences cannot share a cache of 3: a multiple of it is needed"):
        model(random_tokens(LLAMA, n_sequences=7, length=2), cache=cache.branch())
    with pytest.raises(ValueError, match="the cache holds 5 tokens: its first 6 were asked for"):
        cache.truncated(6)
    with pytest.raises(ValueError, match="20 tokens do not fit a context of 19"):
        model.read(random_tokens(replace(LLAMA, n_ctx=99), n_sequences=3, length=15), cache=cache)
