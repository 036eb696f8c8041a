"""The layout of opt-350m: an embedding narrower than the residual stream, and norms on the stream itself."""

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from families import D_HEAD, D_VOCAB, FAMILIES, N_HEADS, N_LAYERS, Built
from torch import Tensor

from grok_interp import CopyTask, direct_logit_attribution, head_scores, induction_scores, position_losses
from grok_interp.analysis.ablated_model import ablated
from grok_interp.data.copying import repeated_tokens
from grok_interp.models.activations import logits

TOKENS = repeated_tokens(n_sequences=4, half=6, alphabet=range(D_VOCAB), seed=0)
SAMPLES = CopyTask(
    n_sequences=2, n_prefix=2, n_suffix=2, n_samples=3, query_every=1, alphabet=tuple(range(2, 20)), separator=1
).sample()
NARROW = dict(word_embed_proj_dim=12)
POST_NORM = dict(do_layer_norm_before=False)


@pytest.fixture(params=[NARROW, NARROW | POST_NORM], ids=["norms before", "norms behind"], scope="module")
def built(request: pytest.FixtureRequest) -> Built:
    return FAMILIES["OPT"].build(**request.param)


def circuit(built: Built, layer: int, head: int, *, folded: bool = False) -> Tensor:
    """Token to logits, from the Hugging Face model alone; V x V."""
    decoder = built.hf.model.decoder
    _, _, W_V, W_O = built.W_QKVO(layer, head)
    before, final = (built.gain("before", layer), built.gain("final")) if folded else (1.0, 1.0)
    stream = (built.W_E @ decoder.project_in.weight.detach().double().T) * before
    return (stream @ W_V @ (W_O * final) @ decoder.project_out.weight.detach().double().T @ built.W_U).detach()


def of_every_head(built: Built, score: Any, **options: bool) -> np.ndarray:
    heads = [[score(circuit(built, layer, head, **options)) for head in range(N_HEADS)] for layer in range(N_LAYERS)]
    return np.array(heads)


def positivity(matrix: Tensor) -> float:
    eigenvalues = torch.linalg.eigvals(matrix)
    return (eigenvalues.sum().real / eigenvalues.abs().sum()).item()


def copied(matrix: Tensor) -> float:
    symbols = TOKENS.unique()
    return (matrix[symbols].argmax(dim=-1) == symbols).double().mean().item()


def test_scores_are_those_of_the_circuits_through_the_stream(built: Built) -> None:
    model = built.bridge()
    found = induction_scores([(0, model)], TOKENS)
    np.testing.assert_allclose(found["EP"][0], of_every_head(built, positivity), atol=1e-5)
    queries, keys = torch.arange(6, 11), torch.arange(1, 6)
    patterns = torch.stack(built.hf(TOKENS, output_attentions=True).attentions)[..., queries, keys]
    np.testing.assert_allclose(found["Abar"][0], patterns.mean(dim=(1, 3)).detach(), atol=1e-6)
    np.testing.assert_allclose(head_scores([(0, model)], TOKENS)["ov_copying"][0], of_every_head(built, copied))
    scores = built.hf(TOKENS).logits.log_softmax(-1)
    losses = -scores[:, :-1].gather(-1, TOKENS[:, 1:, None])[..., 0].mean(0)
    np.testing.assert_allclose(position_losses([(0, model)], TOKENS)["loss"][0], losses.detach(), atol=1e-5)


def test_ablation_leaves_what_the_head_writes_whatever_it_reads(built: Built) -> None:
    """Its value bias, and what the bias of a norm before it becomes."""
    pre_norm = built.hf.config.do_layer_norm_before
    constant = built.constant(1, 2) if pre_norm else built.b_V(1, 2)

    def replace(module: Any, args: tuple[Tensor]) -> tuple[Tensor]:  # noqa: ARG001 (torch's signature)
        z = args[0].clone()
        z[..., 2 * D_HEAD : 3 * D_HEAD] = constant.float()
        return (z,)

    handle = built.o(1).register_forward_pre_hook(replace)
    with torch.no_grad():
        expected = built.hf(TOKENS).logits
    handle.remove()
    found = logits(ablated(built.bridge(), [(1, 2)], "zero"), TOKENS)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_gains_and_contributions_where_the_norms_are_before() -> None:
    built = FAMILIES["OPT"].build(**NARROW)
    model = built.bridge()
    found = induction_scores([(0, model)], TOKENS, norm_gain="folded")["EP"][0]
    np.testing.assert_allclose(found, of_every_head(built, positivity, folded=True), atol=1e-5)
    parts = direct_logit_attribution(model, SAMPLES)  # refuses contributions that do not sum to the logits
    total = sum(parts[name].sum() for name in ("contribution", "mlp", "embedding", "bias"))
    assert float(total) == pytest.approx(float(parts["logit"].sum()), abs=1e-4)


@pytest.mark.filterwarnings("ignore:.*does not support:UserWarning")
def test_what_norms_on_the_stream_leave_undefined_is_refused_with_the_reason() -> None:
    built = FAMILIES["OPT"].build(**NARROW, **POST_NORM)
    with pytest.raises(ValueError, match=r"through norms on it \(do_layer_norm_before is False\).*head_ablation"):
        direct_logit_attribution(built.bridge(), SAMPLES)
    with pytest.raises(ValueError, match="do_layer_norm_before is False.*take norm_gain='ignored'"):
        induction_scores(built.bridge(), TOKENS, norm_gain="folded")
    raw, processed = (induction_scores([(0, each)], TOKENS) for each in (built.bridged, built.processed))
    assert raw.dataset.attrs["processing"] == "raw"
    assert not processed.dataset.attrs["processing"].startswith("norms folded")


def test_a_bridge_that_cannot_run_says_why_and_the_remedy_works() -> None:
    """With norms behind and an embedding of full width the bridge runs a final norm that OPT does not have."""
    built = FAMILIES["OPT"].build(**POST_NORM)
    model = built.bridge()
    for driver in (induction_scores, head_scores, position_losses):
        with pytest.raises(ValueError, match=r"final_layer_norm, which its Hugging Face .*final_layer_norm = None"):
            driver([(0, model)], TOKENS)
    model.original_model.model.decoder.final_layer_norm = None
    expected = deepcopy(built.hf)(TOKENS).logits
    torch.testing.assert_close(logits(model, TOKENS), expected.detach(), atol=1e-4, rtol=1e-4)
    induction_scores([(0, model)], TOKENS)
