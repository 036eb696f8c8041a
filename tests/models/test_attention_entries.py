"""Single attention weights from the log-sum-exp: those of the pattern, which is never built."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import ground_truth
import pytest
import torch
from ground_truth import LLAMA, MODULAR, random_model, random_tokens, uniform_model
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from grok_interp.configs import ModelConfig
from grok_interp.data.copying import induction_targets
from grok_interp.models import attention_kernels
from grok_interp.models.attention_entries import weights_of_rows
from grok_interp.models.attention_kernels import attention_by_some_queries, attention_with_lse, fused_attention
from grok_interp.models.transformer import Transformer
from grok_interp.models.weights import canonical_views

FAMILIES = pytest.mark.parametrize("cfg", [LLAMA, MODULAR], ids=["llama", "modular"])


@pytest.fixture(params=[True, False], ids=["kernel", "plain-torch"])
def both_forms(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once with the fused kernel and once as where there is none."""
    if not request.param:
        monkeypatch.setattr(attention_kernels, "_cpu_kernel_takes", lambda q, k, dropout: False)


def some_entries(n_tokens: int, *, n_entries: int = 17, seed: int = 5) -> tuple[Tensor, Tensor]:
    """Queries and keys drawn at random, the future and the first and last positions among them."""
    generator = torch.Generator().manual_seed(seed)
    queries, keys = torch.randint(0, n_tokens, (2, n_entries), generator=generator)
    corners = torch.tensor([[0, 0], [n_tokens - 1, 0], [0, n_tokens - 1], [n_tokens - 1, n_tokens - 1]])
    return torch.cat([queries, corners[:, 0]]), torch.cat([keys, corners[:, 1]])


def patterns(model: Transformer, tokens: Tensor) -> Tensor:
    """layer batch head query key"""
    names = [f"blocks.{layer}.attn.hook_pattern" for layer in range(model.cfg.n_layers)]
    _, cache = model.run_with_cache(tokens, names_filter=names)
    return torch.stack([cache[name] for name in names]).detach()


# The entries


@settings(deadline=None, max_examples=40)
@given(
    family=st.sampled_from([LLAMA, MODULAR]),
    half_d_head=st.integers(1, 5),
    adjacent=st.booleans(),
    length=st.integers(1, 19),
    with_kernel=st.booleans(),
    seed=st.integers(0, 99),
)
def test_entries_are_those_of_the_pattern_whatever_the_config(
    family: ModelConfig, half_d_head: int, adjacent: bool, length: int, with_kernel: bool, seed: int
) -> None:
    cfg = replace(family, d_head=2 * half_d_head, rotary_adjacent_pairs=adjacent)
    model, tokens = random_model(cfg, seed=seed).double(), random_tokens(cfg, length=length, seed=seed)
    queries, keys = some_entries(length, seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        if not with_kernel:
            patch.setattr(attention_kernels, "_cpu_kernel_takes", lambda q, k, dropout: False)
        entries = model.attention_entries(tokens, queries, keys)
    torch.testing.assert_close(entries, patterns(model, tokens)[..., queries, keys], atol=1e-11, rtol=1e-9)
    assert (entries[..., keys > queries] == 0).all()


@FAMILIES
def test_entries_are_those_of_the_pattern_in_float32(cfg: ModelConfig, both_forms: None) -> None:
    model, tokens = random_model(cfg), random_tokens(cfg)
    queries, keys = some_entries(13)
    entries = model.attention_entries(tokens, queries, keys)
    assert entries.shape == (cfg.n_layers, 5, cfg.n_heads, len(queries)) and not entries.requires_grad
    torch.testing.assert_close(entries, patterns(model, tokens)[..., queries, keys], atol=2e-6, rtol=2e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@FAMILIES
def test_entries_of_a_half_precision_model_are_exact_for_its_queries_and_keys(
    cfg: ModelConfig, dtype: torch.dtype, both_forms: None
) -> None:
    """The pattern of such a model is rounded to 8 or 11 bits; the entries are not."""
    model, tokens = random_model(cfg).to(dtype), random_tokens(cfg)
    queries, keys = some_entries(13)
    _, cache = model.run_with_cache(tokens, names_filter=lambda name: "hook_rot" in name or "hook_lse" in name)
    entries = model.attention_entries(tokens, queries, keys)
    assert entries.dtype == torch.float32
    for layer in range(cfg.n_layers):
        q, k = (cache[f"blocks.{layer}.attn.hook_rot_{name}"].double().transpose(1, 2) for name in "qk")
        scores = (q @ k.mT / math.sqrt(cfg.d_head)).masked_fill(~torch.ones(13, 13).tril().bool(), -torch.inf)
        torch.testing.assert_close(
            entries[layer].double(), scores.softmax(-1)[..., queries, keys], atol=1e-4, rtol=1e-3
        )


@FAMILIES
def test_a_uniform_head_gives_each_key_so_far_the_same(cfg: ModelConfig, both_forms: None) -> None:
    queries, keys = torch.tensor([0, 3, 11, 12]), torch.tensor([0, 1, 11, 5])
    entries = uniform_model(cfg).attention_entries(random_tokens(cfg), queries, keys)
    torch.testing.assert_close(entries, (1 / (queries + 1)).expand_as(entries))


def test_only_the_induction_head_of_the_circuit_looks_at_the_targets() -> None:
    entries = ground_truth.induction_circuit().attention_entries(
        ground_truth.repeated_distinct_tokens(half=19), *induction_targets(19)
    )
    layer, head = ground_truth.INDUCTION_HEAD
    assert entries[layer, :, head].min() > 0.999
    assert entries[0, :, ground_truth.PREVIOUS_TOKEN_HEAD[1]].max() < 1e-3


def test_longer_contexts_than_one_part_of_the_queries(both_forms: None) -> None:
    cfg = replace(LLAMA, n_ctx=151)
    model, tokens = random_model(cfg).double(), random_tokens(cfg, n_sequences=2, length=151)
    queries, keys = some_entries(151, n_entries=211)
    entries = model.attention_entries(tokens, queries, keys)
    torch.testing.assert_close(entries, patterns(model, tokens)[..., queries, keys], atol=1e-11, rtol=1e-9)


def test_positions_outside_the_tokens_are_refused() -> None:
    model, tokens = random_model(LLAMA), random_tokens(LLAMA)
    for queries, keys in (([13], [0]), ([2], [-1])):
        with pytest.raises(ValueError, match=r"positions among the 13 tokens, got (13|-1)"):
            model.attention_entries(tokens, torch.tensor(queries), torch.tensor(keys))
    with pytest.raises(
        ValueError, match=r"one key for each query, got queries of shape \(3,\) and keys of shape \(2,\)"
    ):
        model.attention_entries(tokens, torch.arange(3), torch.arange(2))
    with pytest.raises(ValueError, match="20 tokens do not fit a context of 19"):
        model.attention_entries(random_tokens(LLAMA, length=20), torch.arange(3), torch.arange(3))


# The log-sum-exp


@pytest.mark.parametrize("n_queries", [1, 63, 64, 65, 131])
@pytest.mark.parametrize("n_before", [0, 1, 70])
def test_attention_in_parts_is_the_fused_one(n_queries: int, n_before: int) -> None:
    generator = torch.Generator().manual_seed(0)
    k, v = torch.randn(2, 2, 3, n_before + n_queries, 6, generator=generator, dtype=torch.float64)
    q = torch.randn(2, 3, n_queries, 6, generator=generator, dtype=torch.float64)
    z, lse = attention_by_some_queries(q, k, v, dropout=0.0)
    torch.testing.assert_close(z, fused_attention(q, k, v, dropout=0.0))
    scores = (q @ k.mT / math.sqrt(6)).masked_fill(~attention_kernels.causal_mask(q, k), -torch.inf)
    torch.testing.assert_close(lse, scores.logsumexp(dim=-1))
    with_kernel = attention_with_lse(q, k, v, dropout=0.0)
    torch.testing.assert_close(with_kernel, (z, lse))


def test_dropout_in_parts_is_on_the_pattern_and_leaves_the_lse() -> None:
    """Uniform attention over n keys to values of 1: each of the n weights is 0 or 1 / (n keep), so z n keep counts."""
    q, v, kept = torch.zeros(53, 2, 71, 4), torch.ones(53, 2, 71, 4), 0.75
    n_keys = torch.arange(1.0, 72.0)
    z, lse = attention_by_some_queries(q, q, v, dropout=1 - kept)
    counts = z[..., 0] * n_keys * kept
    torch.testing.assert_close(counts, counts.round(), atol=1e-4, rtol=0)
    assert (counts / n_keys).mean().item() == pytest.approx(kept, abs=0.01)
    torch.testing.assert_close(lse, n_keys.log().expand_as(lse))


@FAMILIES
def test_the_lse_is_the_same_when_the_pattern_is_built(cfg: ModelConfig, both_forms: None) -> None:
    model, tokens = random_model(cfg), random_tokens(cfg)
    names = [f"blocks.{layer}.attn.hook_lse" for layer in range(cfg.n_layers)]
    _, fused = model.run_with_cache(tokens, names_filter=names)
    _, explicit = model.run_with_cache(tokens)
    for name in names:
        assert fused[name].shape == (5, cfg.n_heads, 13)
        torch.testing.assert_close(fused[name], explicit[name], atol=2e-5, rtol=2e-5)


def test_hooks_see_the_lse_of_all_keys_of_a_continued_sequence() -> None:
    model, tokens = random_model(LLAMA), random_tokens(LLAMA)
    name, seen = "blocks.1.attn.hook_lse", []
    listening: list[Any] = [(name, lambda lse, hook: seen.append(lse))]
    model.run_with_hooks(tokens, fwd_hooks=listening)
    cache = model.empty_cache()
    model(tokens[:, :9], cache=cache)
    model.run_with_hooks(tokens[:, 9:], cache=cache, fwd_hooks=listening)
    torch.testing.assert_close(seen[1], seen[0][:, :, 9:], atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("also_listened_to", [(), ("blocks.0.attn.hook_pattern",)], ids=["fused", "explicit"])
def test_an_edited_lse_is_refused(also_listened_to: tuple[str, ...]) -> None:
    model = random_model(LLAMA)
    hooks: list[Any] = [("blocks.0.attn.hook_lse", lambda lse, hook: lse + 1)]
    hooks += [(name, lambda activation, hook: None) for name in also_listened_to]
    with pytest.raises(ValueError, match="hook_lse is only read: .* edit hook_attn_scores or hook_pattern"):
        model.run_with_hooks(random_tokens(LLAMA), fwd_hooks=hooks)


# What it costs and what it leaves


class LargestTensor(TorchDispatchMode):
    """The most elements of any tensor that an operation returns."""

    def __init__(self) -> None:
        super().__init__()
        self.n_elements = 0

    def __torch_dispatch__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        self.n_elements = max(self.n_elements, *sizes, 0)
        return result


def test_no_matrix_of_attention_is_built(both_forms: None) -> None:
    cfg = replace(LLAMA, n_ctx=701)
    model, tokens = random_model(cfg), random_tokens(cfg, n_sequences=1, length=701)
    with LargestTensor() as largest:
        model.attention_entries(tokens, *induction_targets(350))
    widths = 3 * cfg.d_model, 2 * cfg.d_mlp, cfg.n_heads * attention_kernels.QUERIES_AT_ONCE
    assert largest.n_elements <= 701 * max(widths)
    with LargestTensor() as largest:
        patterns(model, tokens)
    assert largest.n_elements >= 701 * 701 * cfg.n_heads, "and it would have been seen"


@FAMILIES
def test_listening_to_the_lse_changes_neither_logits_nor_gradients(cfg: ModelConfig, both_forms: None) -> None:
    model, tokens = random_model(cfg).double(), random_tokens(cfg)
    listening = [(f"blocks.{layer}.attn.hook_lse", lambda lse, hook: None) for layer in range(cfg.n_layers)]
    before, after = model(tokens), model.run_with_hooks(tokens, fwd_hooks=listening)
    torch.testing.assert_close(after, before, atol=1e-9, rtol=1e-7)
    torch.testing.assert_close(gradients(model, after), gradients(model, before), atol=1e-8, rtol=1e-6)


def gradients(model: Transformer, logits: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    logits.log_softmax(dim=-1)[..., 3].mean().backward()
    return {name: gradient.clone() for name, gradient in canonical_views(model, of_gradients=True).items()}


@contextmanager
def permanent_edit(model: Transformer, layer: int, edit: Callable) -> Iterator[None]:
    point = model.blocks[layer].attn.hook_pattern
    point.add_perma_hook(edit)
    try:
        yield
    finally:
        point.remove_hooks("fwd", including_permanent=True)


def test_entries_are_those_of_the_edited_pattern() -> None:
    """What a hook does to layer 0's pattern is in its entries, and in those of the layers after it."""
    model, tokens = random_model(LLAMA).double(), random_tokens(LLAMA)
    queries, keys = some_entries(13)
    intact = model.attention_entries(tokens, queries, keys)
    with permanent_edit(model, 0, lambda pattern, hook: pattern.index_fill(1, torch.tensor([1]), 0.25)):
        edited = model.attention_entries(tokens, queries, keys)
        torch.testing.assert_close(edited, patterns(model, tokens)[..., queries, keys], atol=1e-11, rtol=1e-9)
    assert (edited[0, :, 1] == 0.25).all()
    torch.testing.assert_close(edited[0, :, 0], intact[0, :, 0])
    assert (edited[1] - intact[1]).abs().max() > 1e-3


def test_the_users_hooks_stay_and_ours_go() -> None:
    model, tokens = random_model(replace(LLAMA, attn_dropout=0.5)).train(), random_tokens(LLAMA)
    seen: list[Tensor] = []
    model.add_hook("blocks.0.hook_resid_post", lambda stream, hook: seen.append(stream))
    model.attention_entries(tokens, *some_entries(13))
    assert len(seen) == 1 and model.training and torch.is_grad_enabled()
    assert [name for name, point in model.hook_dict.items() if point.fwd_hooks] == ["blocks.0.hook_resid_post"]


def test_entries_are_before_dropout() -> None:
    """As listeners see the pattern; layer 0 reads what dropout has not touched."""
    queries, keys = some_entries(13)
    dropping = random_model(replace(LLAMA, attn_dropout=0.5)).train()
    entries, without = (
        each.attention_entries(random_tokens(LLAMA), queries, keys) for each in (dropping, random_model(LLAMA))
    )
    torch.testing.assert_close(entries[0], without[0])
    assert not torch.allclose(entries[1], without[1])


@pytest.mark.parametrize("seed", range(3))
def test_saturated_weights_are_at_most_one(seed: int, both_forms: None) -> None:
    """Scores in the thousands: the pattern is one-hot, and rounding must not show as a weight of 1.002."""
    model = random_model(LLAMA, seed=seed)
    with torch.no_grad():
        for name, weight in canonical_views(model).items():
            if name.endswith(("W_Q", "W_K")):
                weight.mul_(40)
    tokens = random_tokens(LLAMA, length=19, seed=seed)
    queries, keys = torch.tril_indices(19, 19)
    with torch.no_grad():
        found = model.attention_entries(tokens, queries, keys)
    assert float(found.min()) >= 0 and float(found.max()) <= 1
    _, cache = model.run_with_cache(tokens)
    for layer, entries in enumerate(found):
        exact = cache[f"blocks.{layer}.attn.hook_pattern"][:, :, queries, keys]
        torch.testing.assert_close(entries, exact, atol=5e-3, rtol=0)


@FAMILIES
@pytest.mark.parametrize("factor", [1, 4, 40, 1e4, 1e8])
def test_rows_sum_to_one_and_are_exact_however_large_the_scores(
    cfg: ModelConfig, factor: float, both_forms: None
) -> None:
    """By nothing but normalizing them: against float64, of the queries and keys that the model computes."""
    model = random_model(cfg, seed=1)
    with torch.no_grad():
        for name, weight in canonical_views(model).items():
            if name.endswith(("W_Q", "W_K")):
                weight.mul_(factor)
    tokens = random_tokens(cfg, length=13, seed=1)
    queries, keys = torch.cartesian_prod(torch.arange(13), torch.arange(13)).T
    found = model.attention_entries(tokens, queries, keys).unflatten(-1, (13, 13))
    assert found.dtype == torch.float32 and float(found.min()) >= 0 and float(found.max()) <= 1
    torch.testing.assert_close(found.sum(dim=-1), torch.ones(found.shape[:-1]), atol=1e-4, rtol=0)
    _, cache = model.run_with_cache(tokens, names_filter=lambda name: "hook_rot" in name or "hook_lse" in name)
    for layer in range(cfg.n_layers):
        q, k = (cache[f"blocks.{layer}.attn.hook_rot_{name}"].double().transpose(1, 2) for name in "qk")
        scores = (q @ k.mT / math.sqrt(cfg.d_head)).masked_fill(~torch.ones(13, 13).tril().bool(), -torch.inf)
        torch.testing.assert_close(found[layer].double(), scores.softmax(-1), atol=1e-4, rtol=1e-4)


def test_rows_are_normalized_some_entries_at_a_time() -> None:
    generator = torch.Generator().manual_seed(3)
    q, k = torch.randn(2, 2, 70, 3, 5, generator=generator)
    queries = torch.randint(70, (150,), generator=generator)
    keys = (queries * torch.rand(150, generator=generator)).long()
    found = weights_of_rows(q[:, queries], k, queries, keys)
    scores = torch.einsum("bqhd,bkhd->bhqk", q.double(), k.double()) / math.sqrt(5)
    expected = scores.masked_fill(~torch.ones(70, 70).tril().bool(), -torch.inf).softmax(-1)[..., queries, keys]
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-10)
