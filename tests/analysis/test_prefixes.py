"""What all sequences begin with is run once, and nothing else changes."""

from collections.abc import Callable

import pytest
import torch
from ground_truth import LLAMA, MODULAR, random_model
from hypothesis import given, settings
from hypothesis import strategies as st

from grok_interp import to_hooked_transformer
from grok_interp.analysis.ablated_model import AblatedModel, ablated
from grok_interp.analysis.prefixes import Branching, Caching, n_shared_tokens
from grok_interp.analysis.slot_vectors import activations_at, head_outputs
from grok_interp.data.slot import slot_sequences
from grok_interp.models.transformer import Transformer


def test_which_models_branch() -> None:
    model = random_model(LLAMA)
    without_a_head = ablated(model, [(0, 0)], "zero")
    assert isinstance(model, Branching) and not isinstance(to_hooked_transformer(model), Caching)
    assert isinstance(without_a_head, Caching) and not isinstance(without_a_head, Branching)


def test_shared_tokens_read_by_eye() -> None:
    assert n_shared_tokens(torch.tensor([[1, 2, 3, 4], [1, 2, 5, 4], [1, 2, 3, 4]])) == 2
    assert n_shared_tokens(torch.tensor([[1, 2], [3, 2]])) == 0
    assert n_shared_tokens(torch.tensor([[1, 2, 3]])) == 3


@settings(deadline=None, max_examples=20)
@given(
    cfg=st.sampled_from([LLAMA, MODULAR]),
    p=st.sampled_from([2, 3, 5]),
    slot=st.integers(0, 3),
    first=st.integers(0, 11),
    n_positions=st.integers(1, 3),
    batch_size=st.integers(1, 30),
)
def test_activations_are_those_of_whole_sequences(
    cfg, p: int, slot: int, first: int, n_positions: int, batch_size: int
) -> None:
    """At any positions, before the slot and after it too."""
    model, positions = random_model(cfg), range(first, min(first + n_positions, 12))
    tokens = slot_sequences((1, 1), p, slot=slot, n_examples=4, seed=0)
    options = dict(positions=positions, batch_size=batch_size)
    whole = AblatedModel(model, {})  # the same model, without its cache
    vars(whole)["W_O"] = model.W_O
    for read in (
        lambda which: activations_at(which, tokens, "blocks.1.hook_resid_post", **options),
        lambda which: head_outputs(which, tokens, layer=1, head=1, **options),
    ):
        found, expected = read(model), read(whole)
        assert found.shape == (p * p, len(positions), cfg.d_model)
        torch.testing.assert_close(found, expected, atol=3e-5, rtol=3e-5)


@pytest.mark.parametrize(("kind", "n_run"), [(lambda m: m, 6 + 25 * 2), (lambda m: AblatedModel(m, {}), 25 * 8)])
def test_tokens_that_nobody_asks_for_are_not_run(kind: Callable[[Transformer], object], n_run: int) -> None:
    """5 examples, of which slot 2 runs: two before it, and its z and two examples after what is asked."""
    model, seen = random_model(MODULAR), []
    tokens = slot_sequences((2, 1), 5, slot=2, n_examples=5, seed=0)
    with model.hooks(fwd_hooks=[("hook_embed", lambda x, hook: seen.append(x.shape[:2].numel()))]):
        activations_at(kind(model), tokens, "blocks.0.hook_resid_post", positions=[6, 7], batch_size=7)
    assert sum(seen) == n_run
