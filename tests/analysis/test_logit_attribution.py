"""Direct logit attribution: contributions sum to the logit, and a circuit that is built by hand has the known ones."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from families import D_VOCAB, FAMILIES
from ground_truth import (
    INDUCTION_HEAD,
    LLAMA,
    MODULAR,
    N_TOKENS,
    distinct_copy_samples,
    induction_circuit,
    random_model,
)

from grok_interp import CopyTask, direct_logit_attribution, to_hooked_transformer
from grok_interp.analysis.logit_attribution import LogitAttribution, direct_contribution
from grok_interp.data.copying import CopySamples
from grok_interp.models.activations import logits_of

try:
    from transformer_lens import HookedTransformer
except ImportError:  # removed in 4.0
    HookedTransformer = None

SIZES: dict[str, Any] = {"n_sequences": 2, "n_prefix": 2, "n_suffix": 3, "n_samples": 5, "query_every": 1}
SAMPLES = CopyTask(**SIZES, alphabet=tuple(range(1, D_VOCAB)), separator=0).sample()
PARTS = ("mlp", "embedding", "bias")

LIBRARY_3 = pytest.mark.skipif(HookedTransformer is None, reason="TransformerLens 4 has no HookedTransformer")


def summed(found: LogitAttribution) -> np.ndarray:
    of_heads = found["contribution"].sum(("layer", "head"))
    return (of_heads + found["mlp"].sum("layer") + found["embedding"] + found["bias"]).to_numpy()


def true_logit(model: Any, samples: CopySamples) -> float:
    """The logit of the expected token minus the mean logit, written out."""
    found = []
    for index in samples.task.queries:
        tokens = torch.cat([samples.context, samples.query(index)], dim=1)
        with torch.no_grad():
            scores = logits_of(model.eval()(tokens)).float()
        for row, line in enumerate(tokens):
            for place in range(len(line) - samples.task.n_suffix, len(line)):
                at = scores[row, place - 1]
                found.append(float(at[line[place]] - at.mean()))
    return float(np.mean(found))


def test_the_induction_head_alone_adds_to_the_logit() -> None:
    """W_U is 30 on the diagonal and the head writes one unit vector: 30, minus the mean over the tokens."""
    found = direct_logit_attribution(
        [(0, induction_circuit(sharpness=0.0)), (9, induction_circuit())], distinct_copy_samples()
    )
    expected = 30 * (1 - 1 / N_TOKENS)
    last = found.at()
    assert float(last["contribution"][INDUCTION_HEAD]) == pytest.approx(expected, rel=1e-2)
    assert abs(last["contribution"]).sum() == pytest.approx(expected, rel=1e-2), "no other head adds anything"
    for part in PARTS:
        assert abs(last[part]).max() < 1e-4
    assert found.strongest() == [INDUCTION_HEAD]
    assert str(found).startswith("direct logit attribution of 2 x 5 heads at 2 checkpoints; at the last L1H0 adds 28.")
    assert str(found).endswith(" to the logit of the copied token (95% CI over 5 samples)")
    assert float(found["contribution"][0, 1, 0]) < 3, "a uniform head adds to all tokens alike"


def test_one_sample_has_no_interval() -> None:
    alone = replace(SAMPLES, strings=SAMPLES.strings[:1])
    assert " (no interval) of " in str(direct_logit_attribution(random_model(LLAMA), alone))


def test_a_head_that_writes_against_the_token_lowers_its_logit() -> None:
    found = direct_logit_attribution(induction_circuit(copy=-1.0), distinct_copy_samples())
    assert float(found.at()["contribution"][INDUCTION_HEAD]) == pytest.approx(-30 * (1 - 1 / N_TOKENS), rel=1e-2)


@pytest.mark.parametrize("config", [LLAMA, MODULAR], ids=["RMS", "LN"])
def test_contributions_sum_to_the_logit(config: Any) -> None:
    model = random_model(config)
    found = direct_logit_attribution(model, SAMPLES)
    np.testing.assert_allclose(found["logit"], true_logit(model, SAMPLES), rtol=1e-4)
    np.testing.assert_allclose(summed(found), found["logit"], rtol=1e-4, atol=1e-5)
    assert float(abs(found["contribution"]).min()) > 0
    assert (found["contribution_low"] < found["contribution"]).all() and (
        found["contribution"] < found["contribution_high"]
    ).all()
    in_parts = direct_logit_attribution(model, SAMPLES, batch_size=2)
    np.testing.assert_allclose(in_parts["contribution"], found["contribution"], rtol=1e-4, atol=1e-6)


@LIBRARY_3
def test_processed_weights_give_the_same_contributions_of_heads() -> None:
    """Folded norms, centered weights, and value biases that are moved to b_O."""
    model = random_model(MODULAR)
    raw = direct_logit_attribution(to_hooked_transformer(model), SAMPLES)
    processed = to_hooked_transformer(model)
    processed.process_weights_()
    found = direct_logit_attribution(processed, SAMPLES)
    own = direct_logit_attribution(model, SAMPLES)
    for name in ("contribution", "mlp", "logit"):
        np.testing.assert_allclose(raw[name], own[name], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found[name], raw[name], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(summed(found), found["logit"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_other_models_sum_to_their_logits_or_are_refused(family: str) -> None:
    built = FAMILIES[family].build()
    try:
        found = direct_logit_attribution(built.bridge(), SAMPLES)
    except ValueError as error:
        assert "norm behind the attention" in str(error) or "no linear function of its residual stream" in str(error)
        assert family in ("Gemma 2", "Gemma 3", "OLMo 2")
    else:
        np.testing.assert_allclose(found["logit"], true_logit(built.hf, SAMPLES), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(summed(found), found["logit"], rtol=1e-3, atol=1e-4)


def test_axes_stay_apart() -> None:
    vectors, direction = torch.rand(2, 3, 5), torch.rand(2, 3, 5)
    before = vectors.clone()
    assert direct_contribution(vectors, direction).shape == (2, 3)
    assert float(direct_contribution(vectors, direction)[1, 2]) == pytest.approx(float(vectors[1, 2] @ direction[1, 2]))
    assert torch.equal(vectors, before)


def test_a_test_beyond_the_context_is_refused() -> None:
    with pytest.raises(ValueError, match="the copy test of 2 sequences needs 17 tokens"):
        direct_logit_attribution(random_model(replace(LLAMA, n_ctx=16)), SAMPLES)
