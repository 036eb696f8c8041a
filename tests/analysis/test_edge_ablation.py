"""Edges between heads: the circuit that is built by hand needs one, and no other."""

from typing import Any

import numpy as np
import pytest
import torch
from ground_truth import (
    INDUCTION_HEAD,
    LLAMA,
    MODULAR,
    PREVIOUS_TOKEN_HEAD,
    distinct_copy_samples,
    induction_circuit,
    random_model,
    random_tokens,
    repeated_distinct_tokens,
)

from grok_interp import to_hooked_transformer
from grok_interp.analysis.edge_ablation import edge_ablation
from grok_interp.analysis.edge_paths import Edge, edge_ablated, edges_between, random_edges
from grok_interp.models.activations import read, z_name
from grok_interp.models.norm_gains import norm_gains
from grok_interp.models.weights_of import weights_of

try:
    from transformer_lens import HookedTransformer
except ImportError:  # removed in 4.0
    HookedTransformer = None

THE_EDGE = Edge(PREVIOUS_TOKEN_HEAD, INDUCTION_HEAD)
REFERENCE = repeated_distinct_tokens(seed=3)

LIBRARY_3 = pytest.mark.skipif(HookedTransformer is None, reason="TransformerLens 4 has no HookedTransformer")


def test_copying_needs_the_edge_from_the_previous_token_head_to_the_keys_of_the_induction_head() -> None:
    groups = {
        "the edge": [THE_EDGE],
        "its queries": [Edge(PREVIOUS_TOKEN_HEAD, INDUCTION_HEAD, "q")],
        "its values": [Edge(PREVIOUS_TOKEN_HEAD, INDUCTION_HEAD, "v")],
        "another sender": [Edge((0, 1), INDUCTION_HEAD)],
        "another receiver": [Edge(PREVIOUS_TOKEN_HEAD, (1, 2))],
    }
    models = [(0, induction_circuit(sharpness=0.0)), (9, induction_circuit())]
    tokens = repeated_distinct_tokens()
    found = edge_ablation(models, distinct_copy_samples(), tokens, groups=groups, reference=REFERENCE)
    last = found.at()
    assert float(last["per_token_intact"]) == 1
    assert last["per_token"].to_numpy()[1:].tolist() == [1, 1, 1, 1]
    assert float(last["per_token"][0]) < 0.3
    assert float(found.effect("per_token")[-1, 0]) < -0.7 and float(found.effect("loss")[-1, 0]) > 0
    low, high = found.effect_interval("per_token")
    assert (low <= found.effect("per_token")).all() and (found.effect("per_token") <= high).all()
    assert "5 groups of edges ablated at 2 checkpoints; per-token accuracy at the last: 100.0% intact" in str(found)
    assert "lowest without the edge" in str(found)


def inputs_of(model: Any, layer: int, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
    """q, k and v of a layer, and the stream it reads."""
    names = [f"blocks.{layer}.attn.hook_{name}" for name in "qkv"]
    return read(model, tokens, dict.fromkeys([*names, f"blocks.{layer}.hook_resid_pre"], torch.clone))


@pytest.mark.parametrize("through", ["q", "k", "v"])
@pytest.mark.parametrize("config", [LLAMA, MODULAR], ids=["RMS", "LN"])
def test_one_input_of_one_head_loses_what_the_sender_writes_beyond_its_mean(config: Any, through: Any) -> None:
    """Written out, token by token."""
    model, tokens = random_model(config), random_tokens(config)
    edge = Edge((0, 1), (1, 0), through)
    before = inputs_of(model, 1, tokens)
    after = inputs_of(edge_ablated(model, [edge], reference=tokens), 1, tokens)
    z = read(model, tokens, {z_name(0): torch.clone})[z_name(0)][:, :, 1]
    weights, gain = weights_of(model), norm_gains(model).before_attention[1]
    written = (z - z.mean(dim=(0, 1))) @ weights.W_O[0, 1]
    stream = before["blocks.1.hook_resid_pre"]
    if config is MODULAR:
        stream = stream - stream.mean(dim=-1, keepdim=True)
        written = written - written.mean(dim=-1, keepdim=True)
    scale = (stream.square().mean(dim=-1, keepdim=True) + config.eps).sqrt()
    lost = (written * gain / scale) @ getattr(weights, f"W_{through.upper()}")[1, 0]
    for name in "qkv":
        hook = f"blocks.1.attn.hook_{name}"
        expected = before[hook].clone()
        if name == through:
            expected[:, :, 0] -= lost
        torch.testing.assert_close(after[hook], expected, rtol=1e-4, atol=1e-5)


@LIBRARY_3
def test_the_librarys_own_model_gives_the_same() -> None:
    model, tokens = random_model(LLAMA), random_tokens(LLAMA)
    edges = edges_between([(0, 0), (0, 2)], [(1, 0), (1, 1)])
    ours = edge_ablated(model, edges, reference=tokens)(tokens)
    theirs = edge_ablated(to_hooked_transformer(model), edges, reference=tokens)(tokens)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(ours, model(tokens), atol=1e-3)


def test_edges_that_cannot_be_cut_are_refused() -> None:
    model, tokens = random_model(LLAMA), random_tokens(LLAMA)
    for edges, message in (
        ([], "one or more, each to a later layer, got none"),
        ([Edge((1, 0), (0, 0))], "each to a later layer, got L1H0>L0H0.K"),
        ([Edge((0, 0), (1, 0))] * 2, "edges must be distinct"),
        ([Edge((0, 9), (1, 0))], "no head L0H9: the model has 2 layers of 3 heads"),
    ):
        with pytest.raises(ValueError, match=message):
            edge_ablated(model, edges, reference=tokens)
    with pytest.raises(ValueError, match="needs one group of edges or more"):
        edge_ablation(model, distinct_copy_samples(), tokens, groups={}, reference=tokens)


def test_random_edges_are_others_of_the_same_layers() -> None:
    edges = [Edge((0, 1), (2, 0)), Edge((1, 1), (2, 0))]
    drawn = random_edges(edges, n_heads=4, n_draws=5, seed=0, spared=[Edge((0, 2), (2, 1))])
    assert len(set(drawn)) == 5
    for each in drawn:
        assert [(edge.sender[0], edge.receiver[0], edge.through) for edge in each] == [(0, 2, "k"), (1, 2, "k")]
        assert not set(each) & {*edges, Edge((0, 2), (2, 1))}
    assert drawn == random_edges(edges, n_heads=4, n_draws=5, seed=0, spared=[Edge((0, 2), (2, 1))])
    assert random_edges([THE_EDGE], n_heads=1, n_draws=3, seed=0) == [], "no other edge is left"
    np.testing.assert_equal(len(edges_between([(0, 0), (1, 0)], [(1, 1), (2, 0)])), 3)
