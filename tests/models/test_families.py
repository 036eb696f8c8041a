"""Every analyzer on every family through a bridge, against the Hugging Face model: its attentions, logits and weights.

References are written out: attention from `output_attentions`, circuits over the whole vocabulary, loops over queries.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from families import D_HEAD, D_VOCAB, FAMILIES, N_HEADS, N_LAYERS, VALUES_FROM, Built
from torch import Tensor

from grok_interp.analysis.ablated_model import ReadOnlyPatternsModel, ablated
from grok_interp.analysis.attention import attention_maps
from grok_interp.analysis.copying import copying_accuracy
from grok_interp.analysis.edge_edits import induction_edges
from grok_interp.analysis.head_scores import head_scores
from grok_interp.analysis.head_weights import ov_circuits
from grok_interp.analysis.induction import induction_scores
from grok_interp.analysis.loss import position_losses
from grok_interp.analysis.natural_copying import token_losses
from grok_interp.data.copying import CopyTask, repeated_tokens
from grok_interp.models.activations import logits
from grok_interp.models.processing import processing_of
from grok_interp.models.weights_of import NormGain

pytestmark = pytest.mark.filterwarnings("ignore:.*does not support fold_ln:UserWarning")  # the library, of Phi-3
HALF, ALPHABET = 6, tuple(range(1, D_VOCAB))
TOKENS = repeated_tokens(n_sequences=5, half=HALF, alphabet=range(D_VOCAB), seed=0)
REFERENCE = torch.randint(0, D_VOCAB, (7, 2 * HALF), generator=torch.Generator().manual_seed(3))
HEADS = [(0, 1), (1, 2), (1, 3)]
READ_ONLY = ("GPT-J", "OPT")  # bridges that leave the attention to Hugging Face
TOLERANCE = dict(atol=2e-5, rtol=1e-4)
_BUILT: dict[str, Built] = {}


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def built(family: str) -> Built:
    """Built once, so that a test costs its analysis alone."""
    if family not in _BUILT:
        _BUILT[family] = FAMILIES[family].build()
    return _BUILT[family]


@contextmanager
def edited(built: Built, edits: Mapping[int, Callable[[Tensor], Tensor]]) -> Iterator[None]:
    """z of some layers is edited: what enters o, with an axis of heads."""

    def hook(edit: Callable[[Tensor], Tensor]) -> Callable:
        return lambda _, given: (edit(given[0].unflatten(-1, (N_HEADS, D_HEAD)).clone()).flatten(-2),)

    handles = [built.o(layer).register_forward_pre_hook(hook(edit)) for layer, edit in edits.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def run(built: Built, tokens: Tensor, edits: Mapping[int, Callable] | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """logits; attention weights, layer batch head query key; z, layer batch pos head d_head."""
    z: dict[int, Tensor] = {}
    kept = {layer: lambda x, layer=layer: z.setdefault(layer, x) for layer in range(N_LAYERS)}
    with edited(built, edits or {}), edited(built, kept):
        found = built.hf(tokens, output_attentions=True)
    return found.logits, torch.stack(found.attentions), torch.stack([z[layer] for layer in range(N_LAYERS)])


def full_circuit(built: Built, layer: int, head: int, *, folded: bool) -> Tensor:
    """W_E W_V W_O W_U, d_vocab x d_vocab, with every gain between them or without."""
    _, _, W_V, W_O = built.W_QKVO(layer, head)
    if not folded:
        return built.W_E @ W_V @ W_O @ built.W_U
    read = built.W_E * built.gain("embedding_norm") * built.gain("before", layer)
    return read @ W_V @ W_O * built.gain("after", layer) * built.gain("final") @ built.W_U


def positivity(circuit: Tensor) -> float:
    eigenvalues = torch.linalg.eigvals(circuit)
    return (eigenvalues.sum().real / eigenvalues.abs().sum()).item()


def of_every_head(score: Callable[[int, int], float]) -> np.ndarray:
    return np.array([[score(layer, head) for head in range(N_HEADS)] for layer in range(N_LAYERS)])


def test_a_bridge_gives_the_models_logits(built: Built) -> None:
    torch.testing.assert_close(logits(built.bridged, TOKENS), run(built, TOKENS)[0], **TOLERANCE)


def test_losses(built: Built) -> None:
    scores = run(built, TOKENS)[0]
    expected = [
        [-scores[row, at].log_softmax(-1)[TOKENS[row, at + 1]].item() for at in range(2 * HALF - 1)] for row in range(5)
    ]
    np.testing.assert_allclose(
        position_losses([(0, built.bridged)], TOKENS)["loss"][0], np.mean(expected, 0), atol=2e-5
    )
    np.testing.assert_allclose(token_losses(built.bridged, TOKENS, batch_size=2)[:, 1:], expected, atol=5e-5)


def test_copying(built: Built) -> None:
    """Greedy decoding of the whole suffix, and each of its tokens given those before."""
    task = CopyTask(n_sequences=2, n_prefix=2, n_suffix=2, n_samples=40, query_every=1, alphabet=ALPHABET, separator=0)
    samples = task.sample()
    found = copying_accuracy([(0, built.bridged)], samples, batch_size=16)
    exact = []
    for number, index in enumerate(task.queries):
        tokens = torch.cat([samples.context, samples.query(index)], dim=1)
        right = run(built, tokens[:, :-1])[0][:, -2:].argmax(-1) == tokens[:, -2:]
        np.testing.assert_array_equal(found["correct"][0, :, number], right)
        decoded = tokens[:, :-2]
        for _ in range(2):
            decoded = torch.cat([decoded, run(built, decoded)[0][:, -1:].argmax(-1)], dim=1)
        exact.append((decoded == tokens).all(dim=1).float().mean().item())
    assert found.per_token().item() > 0, "a test on which no token is right would pass for any model"
    np.testing.assert_allclose(found.per_sequence()[0], exact, atol=1e-6)


def test_attention(built: Built) -> None:
    for row in TOKENS[:2]:
        np.testing.assert_allclose(
            attention_maps(built.bridged, row)["pattern"], run(built, row[None])[1][:, 0], atol=2e-6
        )


@pytest.mark.parametrize("norm_gain", ["ignored", "folded"])
def test_induction(built: Built, norm_gain: NormGain) -> None:
    found = induction_scores([(0, built.bridged)], TOKENS, norm_gain=norm_gain, batch_size=2)
    attentions = run(built, TOKENS)[1]
    edges = [(HALF + i - 1, i) for i in range(1, HALF)]
    abar = of_every_head(lambda layer, head: np.mean([attentions[layer, :, head, q, k].mean() for q, k in edges]))
    ep = of_every_head(lambda layer, head: positivity(full_circuit(built, layer, head, folded=norm_gain == "folded")))
    np.testing.assert_allclose(found["Abar"][0], abar, atol=1e-6)
    np.testing.assert_allclose(found["EP"][0], ep, atol=1e-5)
    assert found.dataset.attrs["processing"] == "raw" and found.dataset.attrs["norm_gain"] == norm_gain


def mean_attention(attentions: Tensor, is_target: Callable[[Tensor, int, int], bool]) -> np.ndarray:
    """The mean over queries with a target of the attention on all their targets."""

    def of(layer: int, head: int) -> float:
        on_targets = []
        for row, tokens in enumerate(TOKENS):
            for q in range(2 * HALF):
                if keys := [k for k in range(q + 1) if is_target(tokens, q, k)]:
                    on_targets.append(sum(attentions[layer, row, head, q, k].item() for k in keys))
        return float(np.mean(on_targets))

    return of_every_head(of)


def test_head_scores(built: Built) -> None:
    found, attentions = head_scores([(0, built.bridged)], TOKENS, batch_size=2), run(built, TOKENS)[1]
    previous = mean_attention(attentions, lambda _, q, k: k == q - 1)
    symbols = TOKENS.unique()

    def copied(layer: int, head: int) -> float:
        circuit = full_circuit(built, layer, head, folded=False)
        return np.mean([circuit[symbol].argmax() == symbol for symbol in symbols]).item()

    def matching(layer: int, head: int) -> float:
        W_Q, W_K, _, _ = built.W_QKVO(layer, head)
        return positivity(built.W_E @ W_Q @ W_K.T @ built.W_E.T)

    def composition(layer: int, head: int) -> float:
        if layer == 0:
            return 0.0
        _, _, W_V, W_O = built.W_QKVO(0, int(previous[0].argmax()))
        W_Q, W_K, _, _ = built.W_QKVO(layer, head)
        return ((W_V @ W_O @ W_K @ W_Q.T).norm() / (W_V @ W_O).norm() / (W_K @ W_Q.T).norm()).item()

    expected = {
        "previous_token": previous,
        "duplicate_token": mean_attention(attentions, lambda tokens, q, k: k < q and bool(tokens[k] == tokens[q])),
        "prefix_matching": mean_attention(attentions, lambda t, q, k: k > 0 and bool(t[k - 1] == t[q])),
        "ov_copying": of_every_head(copied),
        "ov_positivity": of_every_head(lambda layer, head: positivity(full_circuit(built, layer, head, folded=False))),
        "qk_positivity": of_every_head(matching),
        "k_composition": of_every_head(composition),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(found[name][0], values, atol=1e-5, err_msg=name)


def expected_ablation(built: Built, how: str) -> Tensor:
    """Logits with z of the heads replaced, layer by layer because a layer reads what is replaced before it."""
    z = run(built, REFERENCE)[2]
    donors = torch.randint(7, (5,), generator=torch.Generator().manual_seed(11))
    edits: dict[int, Callable[[Tensor], Tensor]] = {}
    for layer in range(N_LAYERS):
        attention = run(built, TOKENS, edits)[1][layer]
        cut = attention * induction_edges(TOKENS, 1)[:, None]
        values = values_of(built, layer, edits) if how == "edges" else None

        def edit(x: Tensor, layer: int = layer, cut: Tensor = cut, values: Tensor | None = values) -> Tensor:
            for head in (head for at, head in HEADS if at == layer):
                if how == "zero":
                    x[:, :, head] = built.constant(layer, head)
                elif how == "mean":
                    x[:, :, head] = z[layer, :, :, head].mean(dim=(0, 1))
                elif how == "resample":
                    x[:, :, head] = z[layer, donors, :, head]
                elif values is not None:
                    x[:, :, head] -= cut[:, head] @ (values[head] - built.constant(layer, head).float())
            return x

        edits[layer] = edit
    return run(built, TOKENS, edits)[0]


def values_of(built: Built, layer: int, edits: Mapping[int, Callable]) -> Tensor:
    """head batch pos d_head, from what the layer's attention reads."""
    seen: list[Tensor] = []
    projection = getattr(built.attention(layer), VALUES_FROM[built.family.qkv])
    handle = projection.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    run(built, TOKENS, edits)
    handle.remove()
    return torch.stack([built.values(layer, head, seen[0]).float() for head in range(N_HEADS)])


OPTIONS = {"zero": {}, "mean": {"reference": REFERENCE}, "resample": {"reference": REFERENCE}, "edges": {"n_match": 1}}


@pytest.mark.parametrize("how", OPTIONS)
def test_ablation(built: Built, family: str, how: str) -> None:
    without = ablated(built.bridged, HEADS, how, seed=11, **OPTIONS[how])
    found, expected = logits(without, TOKENS), expected_ablation(built, how)
    torch.testing.assert_close(found, expected, **TOLERANCE)
    assert not torch.allclose(found, run(built, TOKENS)[0], atol=1e-2)
    assert isinstance(without, ReadOnlyPatternsModel) == (how == "edges" and family in READ_ONLY)
    losses = [position_losses([(0, without)], TOKENS, batch_size=size)["loss"] for size in (1, 2, 5)]
    np.testing.assert_allclose(losses[0], losses[2], atol=1e-5)
    np.testing.assert_allclose(losses[1], losses[2], atol=1e-5)


# Models whose weights were processed


def test_processing_is_detected_and_never_mixed(built: Built, family: str) -> None:
    raw, processed = built.bridged, built.processed
    state = processing_of(processed)
    assert str(processing_of(raw)) == "raw"
    assert state.norms_folded == (family != "OLMo 2"), "the library folds no norm behind the attention"
    assert state.writing_centered == ("LayerNorm" in FAMILIES[family].norms)
    assert state.unembedding_centered == (family != "Gemma 2"), "a soft cap is not invariant to the mean"
    assert induction_scores([(0, processed)], TOKENS).dataset.attrs["processing"] == str(state)
    for driver in (induction_scores, head_scores):
        with pytest.raises(ValueError, match="the model at step 10 is .*, those before are raw; load all"):
            driver([(0, raw), (10, processed)], TOKENS)


def test_folding_a_folded_model_changes_nothing(built: Built, family: str) -> None:
    folded, ignored = (ov_circuits(built.processed, gain) for gain in ("folded", "ignored"))
    left = family in ("Gemma 2", "Gemma 3", "OLMo 2", "BLOOM")  # gains that the library does not fold
    assert torch.equal(folded, ignored) == (not left)
    assert induction_scores([(0, built.processed)], TOKENS).dataset.attrs["norm_gain"] == (
        "ignored" if left else "folded"
    )


@pytest.mark.parametrize("how", OPTIONS)
def test_ablation_is_the_same_with_folded_value_biases(built: Built, how: str) -> None:
    losses = [
        position_losses([(0, ablated(model, HEADS, how, **OPTIONS[how]))], TOKENS)["loss"]
        for model in (built.bridged, built.processed)
    ]
    np.testing.assert_allclose(losses[0], losses[1], atol=5e-5)
