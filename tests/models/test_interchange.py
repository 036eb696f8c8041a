"""To and from Hugging Face: the same logits there and back, and refusals of what has no counterpart here."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from ground_truth import (
    CIRCUIT,
    LLAMA,
    MODULAR,
    induction_circuit,
    random_model,
    random_tokens,
    repeated_distinct_tokens,
)
from transformers import LlamaConfig, LlamaForCausalLM, Starcoder2ForCausalLM

from grok_interp.configs import ModelConfig
from grok_interp.models.interchange import from_huggingface, to_huggingface
from grok_interp.models.weights import canonical_views

LLAMAS = {
    "llama": LLAMA,
    "tied": replace(LLAMA, tie_word_embeddings=True),
    "adjacent": replace(LLAMA, rotary_adjacent_pairs=True, rotary_base=50.0),
    "wide-heads": replace(LLAMA, d_head=14, act_fn="gelu", eps=1e-2),
}
STARCODERS = {
    "modular": MODULAR,
    "untied": replace(MODULAR, tie_word_embeddings=False, rotary_adjacent_pairs=False, eps=1e-2),
}
CONFIGS = LLAMAS | STARCODERS


def small_llama(**options: Any) -> LlamaForCausalLM:
    """A random model of 6 heads whose norms have random gains too."""
    sizes = dict(vocab_size=31, hidden_size=24, intermediate_size=13, num_hidden_layers=2, num_attention_heads=6)
    config = LlamaConfig(**sizes, max_position_embeddings=17, bos_token_id=None, eos_token_id=None, **options)
    torch.manual_seed(0)
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape), alpha=0.2)
    return model


def tokens_of(theirs: Any) -> torch.Tensor:
    return torch.randint(0, theirs.config.vocab_size, (5, 13), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("cfg", CONFIGS.values(), ids=CONFIGS.keys())
def test_hugging_face_gives_the_same_logits(cfg: ModelConfig) -> None:
    model, tokens = random_model(cfg), random_tokens(cfg)
    theirs = to_huggingface(model)
    expected = LlamaForCausalLM if cfg.normalization_type == "RMS" else Starcoder2ForCausalLM
    assert isinstance(theirs, expected) and not theirs.training
    torch.testing.assert_close(theirs(tokens).logits, model(tokens), atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("cfg", LLAMAS.values(), ids=LLAMAS.keys())
def test_there_and_back_gives_the_same_logits(cfg: ModelConfig) -> None:
    model, tokens = random_model(cfg), random_tokens(cfg)
    back = from_huggingface(to_huggingface(model))
    assert back.cfg == replace(cfg, rotary_adjacent_pairs=False)
    torch.testing.assert_close(back(tokens), model(tokens), atol=2e-5, rtol=2e-5)


def test_there_and_back_gives_the_same_weights_where_pairs_are_split_in_halves() -> None:
    weights = canonical_views(random_model(LLAMA))
    back = canonical_views(from_huggingface(to_huggingface(random_model(LLAMA))))
    assert weights.keys() == back.keys()
    assert all(torch.equal(back[name], weight) for name, weight in weights.items())


def test_the_copy_shares_no_memory_with_the_model() -> None:
    model, tokens = random_model(LLAMA), random_tokens(LLAMA)
    before, theirs = model(tokens), to_huggingface(model)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.zero_()
    assert torch.equal(model(tokens), before)


@pytest.mark.parametrize("n_groups", [1, 2, 3, 6])
def test_grouped_keys_and_values_are_written_out_per_head(n_groups: int) -> None:
    theirs = small_llama(num_key_value_heads=n_groups)
    ours = from_huggingface(theirs)
    torch.testing.assert_close(ours(tokens_of(theirs)), theirs(tokens_of(theirs)).logits, atol=2e-5, rtol=2e-5)
    assert len(torch.unique(ours.W_K[0], dim=0)) == n_groups


@pytest.mark.parametrize(
    "options",
    [
        {"tie_word_embeddings": True},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 100.0}},
        {"head_dim": 10, "rms_norm_eps": 1e-2, "hidden_act": "gelu"},
    ],
    ids=["tied", "rope-base", "head-size"],
)
def test_a_llama_gives_the_same_logits_here(options: dict[str, Any]) -> None:
    theirs = small_llama(**options)
    ours = from_huggingface(theirs)
    assert not ours.training and ours.cfg.tie_word_embeddings == theirs.config.tie_word_embeddings
    torch.testing.assert_close(ours(tokens_of(theirs)), theirs(tokens_of(theirs)).logits, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attention_bias": True}, "cannot take this Hugging Face model: biases"),
        ({"mlp_bias": True}, "biases"),
        (
            {"rope_parameters": {"rope_type": "linear", "rope_theta": 100.0, "factor": 2.0}},
            "rotary positions of type 'linear', needed 'default'",
        ),
        ({"hidden_act": "tanh"}, "act_fn must be silu, relu, gelu or gelu_new, got 'tanh'"),
    ],
)
def test_a_llama_that_has_no_counterpart_here_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_huggingface(small_llama(**options))


def test_another_architecture_is_refused() -> None:
    starcoder = to_huggingface(random_model(MODULAR))
    with pytest.raises(ValueError, match="model_type 'starcoder2', needed 'llama'"):
        from_huggingface(starcoder)


@pytest.mark.parametrize(
    "cfg",
    [replace(LLAMA, gated_mlp=False), replace(MODULAR, gated_mlp=True), replace(MODULAR, d_head=10)],
    ids=["rms-plain", "ln-gated", "ln-wide-heads"],
)
def test_a_model_between_the_families_is_refused(cfg: ModelConfig) -> None:
    with pytest.raises(
        ValueError, match=rf"got normalization_type {cfg.normalization_type}, gated_mlp {cfg.gated_mlp}"
    ):
        to_huggingface(random_model(cfg))


def test_the_hand_written_circuit_still_goes_on_with_what_followed_the_first_time() -> None:
    tokens = repeated_distinct_tokens()
    theirs = to_huggingface(induction_circuit())
    assert theirs.config.head_dim == CIRCUIT.d_head
    assert torch.equal(theirs(tokens).logits.argmax(dim=-1)[:, 19:-1], tokens[:, 20:])
