"""Head scores: closed forms, hand-built heads, and TransformerLens' own numbers for the same heads."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import ground_truth
import numpy as np
import pytest
import torch
from ground_truth import (
    LLAMA,
    MODULAR,
    N_TOKENS,
    induction_circuit,
    measured,
    random_model,
    repeated_distinct_tokens,
    uniform_model,
)
from torch import Tensor
from transformer_lens import head_detector

from grok_interp import to_hooked_transformer
from grok_interp.analysis.head_attention import (
    attention_score,
    duplicate_token_targets,
    prefix_targets,
    previous_token_targets,
    uniform_attention,
)
from grok_interp.analysis.head_registry import HEAD_SCORES, AttentionScore
from grok_interp.analysis.head_scores import HeadScores, head_scores
from grok_interp.analysis.head_weights import k_composition, qk_circuits, top_1_copying
from grok_interp.analysis.induction import induction_scores
from grok_interp.configs import ModelConfig
from grok_interp.data.copying import repeated_tokens
from grok_interp.models.transformer import Transformer
from grok_interp.models.weights import canonical_views

FAMILIES = pytest.mark.parametrize("cfg", [LLAMA, MODULAR], ids=["llama", "modular"])
ATTENTION = ("previous_token", "duplicate_token", "prefix_matching")
DETECTORS = {
    "previous_token": head_detector.get_previous_token_head_detection_pattern,
    "duplicate_token": head_detector.get_duplicate_token_head_detection_pattern,
    "prefix_matching": head_detector.get_induction_head_detection_pattern,
}


def random_repeated_tokens(cfg: ModelConfig, *, half: int = 7) -> Tensor:
    return repeated_tokens(n_sequences=5, half=half, alphabet=range(cfg.d_vocab), seed=0)


def scores_of(model: object, tokens: Tensor, **options: object) -> HeadScores:
    return head_scores([(0, model)], tokens, **options)


def only(value: float, where: tuple[int, int]) -> np.ndarray:
    """layer x head of the circuit, 0 but for one head."""
    values = np.zeros((2, 5))
    values[where] = value
    return values


def harmonic(n: int) -> float:
    return sum(1 / term for term in range(1, n + 1))


def attention(name: str) -> AttentionScore:
    score = HEAD_SCORES[name]
    assert isinstance(score, AttentionScore)
    return score


# Targets and patterns


def test_targets_read_by_eye() -> None:
    """a b a a: the second a (at 2) has one before it (0), the third (at 3) two; what followed them are b (1) and a."""
    tokens = torch.tensor([[7, 8, 7, 7]])
    assert previous_token_targets(tokens).nonzero().tolist() == [[0, 1, 0], [0, 2, 1], [0, 3, 2]]
    assert duplicate_token_targets(tokens).nonzero().tolist() == [[0, 2, 0], [0, 3, 0], [0, 3, 2]]
    assert prefix_targets(tokens).nonzero().tolist() == [[0, 2, 1], [0, 3, 1], [0, 3, 3]]


IDEAL_PATTERNS: dict[str, Callable[[int], Tensor]] = {
    "previous_token": lambda half: ground_truth.previous_token_pattern(2 * half),
    "duplicate_token": lambda half: ground_truth.pattern(2 * half, lambda query: query % half),
    "prefix_matching": ground_truth.perfect_induction_pattern,
}


@pytest.mark.parametrize("half", [5, 11])
@pytest.mark.parametrize("name", ATTENTION)
def test_an_ideal_head_scores_one_and_the_others_zero(name: str, half: int) -> None:
    targets = attention(name).targets(repeated_distinct_tokens(n_sequences=1, half=half))
    heads = torch.stack([IDEAL_PATTERNS[other](half) for other in ATTENTION]).unsqueeze(0)
    assert attention_score(heads, targets).tolist() == [float(other == name) for other in ATTENTION]
    assert HEAD_SCORES[name].ideal == 1.0


def test_an_ideal_head_may_share_its_attention_among_targets() -> None:
    pattern = torch.eye(4)
    pattern[2], pattern[3] = torch.tensor([1.0, 0, 0, 0]), torch.tensor([0.25, 0, 0.75, 0])
    assert attention_score(pattern[None, None], duplicate_token_targets(torch.tensor([[7, 8, 7, 7]]))).tolist() == [1.0]


def test_uniform_attention_has_its_closed_form() -> None:
    """H_n is 1 + 1/2 + ... + 1/n: n tokens give (H_n - 1) / (n - 1), distinct tokens repeated (H_2s - H_s) / s."""
    half, tokens = 11, repeated_distinct_tokens(half=11)
    second = (harmonic(22) - harmonic(11)) / half
    assert uniform_attention(previous_token_targets(tokens)) == pytest.approx((harmonic(22) - 1) / 21)
    assert uniform_attention(duplicate_token_targets(tokens)) == pytest.approx(second)
    assert uniform_attention(prefix_targets(tokens)) == pytest.approx(second)


def test_axes_stay_apart() -> None:
    """Head h of the batch's row b looks at its targets with weight h / 10 + b / 100."""
    targets = prefix_targets(repeated_distinct_tokens(n_sequences=3, half=7))
    weights = torch.arange(5) / 10 + torch.arange(3)[:, None] / 100  # batch head
    pattern = weights[:, :, None, None] * targets[:, None]
    before = pattern.clone()
    torch.testing.assert_close(attention_score(pattern, targets), torch.arange(5) / 10 + 0.01)
    assert torch.equal(pattern, before), "a kernel must not change its input"


@pytest.mark.parametrize("name", ATTENTION)
def test_detect_head_gives_the_score_times_the_share_of_queries_with_a_target(name: str) -> None:
    """So the registry says: its ideal is below 1."""
    tokens = repeated_tokens(n_sequences=1, half=7, alphabet=range(5), seed=0)
    pattern = torch.randn(14, 14, generator=torch.Generator().manual_seed(1)).tril().exp().tril()
    pattern = pattern / pattern.sum(dim=-1, keepdim=True)
    targets = attention(name).targets(tokens)
    theirs = head_detector.compute_head_attention_similarity_score(
        pattern, DETECTORS[name](tokens), exclude_bos=False, exclude_current_token=False, error_measure="mul"
    )
    share = targets.any(dim=-1).float().mean().item()
    assert share < 1
    assert theirs == pytest.approx(attention_score(pattern[None, None], targets).item() * share, rel=1e-5)


# Weights


def test_copying_read_by_eye() -> None:
    """Rows of tokens 1 and 2 over three logits: one is largest at itself, one at another; a tie is no copy."""
    tokens = torch.tensor([1, 2])
    assert top_1_copying(torch.tensor([[0.0, 2, 1], [0, 2, 1]]), tokens).item() == 0.5
    assert top_1_copying(torch.tensor([[1.0, 2, 2], [2, 1, 2]]), tokens).item() == 0.0
    assert top_1_copying(torch.tensor([[0.0, 2, 1], [0, 1, 2]]), tokens).item() == 1.0


def test_random_circuits_copy_one_token_in_the_vocabulary() -> None:
    circuits = torch.randn(2000, 23, 23, generator=torch.Generator().manual_seed(0))
    copied = torch.stack([top_1_copying(circuit, torch.arange(23)) for circuit in circuits]).mean().item()
    assert copied == pytest.approx(1 / 23, abs=0.005)  # 5 standard errors
    assert HEAD_SCORES["ov_copying"].chance(random_repeated_tokens(LLAMA), random_model(LLAMA)) == 1 / 37


def test_composition_of_directions_read_by_eye() -> None:
    """Rank one: the cosine of what is written and what is read; r equal directions that meet: 1 / sqrt(r)."""
    angle = 0.3
    written, read = torch.tensor([[1.0, 0, 0]]), torch.tensor([[math.cos(angle), math.sin(angle), 0]]).T
    other = torch.tensor([[0.0], [3], [4]])
    assert k_composition(other, 5 * written, 2 * other, read).item() == pytest.approx(math.cos(angle))
    identity = torch.eye(3)
    assert k_composition(7 * identity, identity, identity, identity).item() == pytest.approx(1 / math.sqrt(3))
    assert k_composition(identity, 0 * identity, identity, identity).item() == 0.0


def test_composition_is_that_of_the_whole_matrices() -> None:
    V, O_T, Q, K = torch.randn(4, 17, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    writes, reads = V @ O_T.T, K @ Q.T
    assert k_composition(V, O_T.T, Q, K).item() == pytest.approx(
        ((writes @ reads).norm() / writes.norm() / reads.norm()).item()
    )


def test_heads_turned_at_random_compose_as_the_root_of_the_width_says() -> None:
    generator = torch.Generator().manual_seed(0)
    V, O_T, Q, K = torch.randn(4, 11, 3, generator=generator)
    turns = torch.linalg.qr(torch.randn(4000, 11, 11, generator=generator)).Q
    composed = k_composition(V, O_T.T, Q.expand(4000, -1, -1), turns @ K)
    assert composed.square().mean().sqrt().item() == pytest.approx(11**-0.5, rel=0.03)


@FAMILIES
@pytest.mark.parametrize(("name", "flipped"), [("ov_positivity", "W_V"), ("qk_positivity", "W_Q")])
def test_positivity_is_zero_on_average_over_signs(cfg: ModelConfig, name: str, flipped: str) -> None:
    model, tokens = random_model(cfg), random_repeated_tokens(cfg)
    found = scores_of(model, tokens, scores=[name])[name]
    for weight_name, weight in canonical_views(model).items():
        if weight_name.endswith(flipped):
            weight.neg_()
    assert abs(found).max() > 0.05
    np.testing.assert_allclose(scores_of(model, tokens, scores=[name])[name], -found, atol=1e-5)


@FAMILIES
def test_qk_eigenvalues_are_those_of_the_whole_circuit(cfg: ModelConfig) -> None:
    model = random_model(cfg)
    W_Q, W_K, _, _ = (weight.double() for weight in ground_truth.head_weights(model, 1, 0))
    W_E = model.W_E.detach().double()
    whole, small = torch.linalg.eigvals(W_E @ W_Q @ W_K.T @ W_E.T), torch.linalg.eigvals(qk_circuits(model)[1, 0])
    for power in (1, 2, 3):  # sums of powers tell the eigenvalues without an order
        torch.testing.assert_close((whole**power).sum(), (small**power).sum())
    assert whole.abs().sum().item() == pytest.approx(small.abs().sum().item(), rel=1e-6)


# The circuit written by hand: the textbook answers


def test_the_circuit_has_one_head_of_each_kind() -> None:
    scores = scores_of(induction_circuit(), repeated_distinct_tokens(half=19))
    (L0, H0), (L1, H1) = ground_truth.PREVIOUS_TOKEN_HEAD, ground_truth.INDUCTION_HEAD
    found = {name: scores[name].isel(checkpoint=0).to_numpy() for name in HEAD_SCORES}
    assert found["previous_token"][L0, H0] > 0.999
    # Without a match L1H0 looks equally at all tokens but its own: at the one before with weight 1 / q.
    assert found["previous_token"][L1, H1] == pytest.approx(harmonic(18) / 37, abs=1e-4)
    assert found["prefix_matching"][L1, H1] > 0.999 and found["prefix_matching"][L0, H0] < 1e-3
    assert found["duplicate_token"].max() < 0.05
    for name in ATTENTION:
        chance = scores.dataset.attrs["chance"][name]
        np.testing.assert_allclose(found[name][:, 1:], chance, rtol=1e-5, err_msg="the empty heads are uniform")


def test_only_the_induction_head_of_the_circuit_copies_and_composes() -> None:
    scores = scores_of(induction_circuit(), repeated_distinct_tokens()).dataset.isel(checkpoint=0)
    np.testing.assert_allclose(scores["ov_copying"], only(1.0, ground_truth.INDUCTION_HEAD))
    np.testing.assert_allclose(scores["ov_positivity"], only(1.0, ground_truth.INDUCTION_HEAD), atol=1e-6)
    # Its keys read the 23 tokens that L0H0 writes and, negated, the 23 of the embedding.
    composed = only(1 / math.sqrt(2 * N_TOKENS), ground_truth.INDUCTION_HEAD)
    np.testing.assert_allclose(scores["k_composition"], composed, atol=1e-6)


def test_a_head_that_reads_only_what_is_written_composes_ideally() -> None:
    model = induction_circuit()
    ground_truth.head_weights(model, *ground_truth.INDUCTION_HEAD)[1][ground_truth.TOKEN] = 0.0
    scores = scores_of(model, repeated_distinct_tokens(), scores=["k_composition"])
    composed = only(1 / math.sqrt(N_TOKENS), ground_truth.INDUCTION_HEAD)
    np.testing.assert_allclose(scores["k_composition"][0], composed, atol=1e-6)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_head_that_matches_tokens_has_positive_qk_eigenvalues(sign: float) -> None:
    """L1H1 asks for keys of its own token, or of any other."""
    model = induction_circuit()
    W_Q, W_K, _, _ = ground_truth.head_weights(model, 1, 1)
    W_Q[ground_truth.TOKEN, :N_TOKENS] = torch.eye(N_TOKENS)
    W_K[ground_truth.TOKEN, :N_TOKENS] = sign * torch.eye(N_TOKENS)
    found = scores_of(model, repeated_distinct_tokens(), scores=["qk_positivity"])["qk_positivity"][0]
    np.testing.assert_allclose(found[1], [-1.0, sign, 0.0, 0.0, 0.0], atol=1e-6)  # L1H0 turns away from its own token


def test_a_head_that_lowers_the_token_to_come_copies_nothing() -> None:
    scores = scores_of(induction_circuit(copy=-1.0), repeated_distinct_tokens()).dataset.isel(checkpoint=0)
    layer, head = ground_truth.INDUCTION_HEAD
    at_head = scores.isel(layer=layer, head=head)
    values = [at_head[name].item() for name in ("prefix_matching", "ov_copying", "ov_positivity")]
    np.testing.assert_allclose(values, [1.0, 0.0, -1.0], atol=1e-5)


# The driver


@FAMILIES
def test_uniform_heads_score_at_chance(cfg: ModelConfig) -> None:
    """On tokens that also come again by chance, so that queries differ in their number of targets."""
    tokens = repeated_tokens(n_sequences=5, half=7, alphabet=range(5), seed=0)
    scores = scores_of(uniform_model(cfg), tokens, scores=ATTENTION)
    for name in ATTENTION:
        np.testing.assert_allclose(scores[name], scores.dataset.attrs["chance"][name], rtol=1e-5)


@FAMILIES
def test_the_librarys_own_model_has_the_same_scores(cfg: ModelConfig) -> None:
    model, tokens = random_model(cfg), random_repeated_tokens(cfg)
    ours, theirs = (measured(scores_of(each, tokens)) for each in (model, to_hooked_transformer(model)))
    np.testing.assert_allclose(theirs, ours, atol=1e-5)


def test_composition_is_the_librarys_with_the_strongest_previous_token_head() -> None:
    model, tokens = random_model(MODULAR), random_repeated_tokens(MODULAR)
    scores = scores_of(model, tokens, scores=["previous_token", "k_composition"])
    pairs = to_hooked_transformer(model).all_composition_scores("K")
    pairs = getattr(pairs, "scores", pairs).detach().numpy()  # TransformerLens 4 labels them
    previous = scores["previous_token"].isel(checkpoint=0).to_numpy()
    expected = np.zeros((3, 2))
    for layer in (1, 2):
        writer = divmod(int(previous[:layer].argmax()), 2)
        expected[layer] = pairs[writer][layer]
    np.testing.assert_allclose(scores["k_composition"].isel(checkpoint=0), expected, atol=1e-5)


def test_positivity_is_that_of_the_induction_score() -> None:
    model, tokens = random_model(LLAMA), random_repeated_tokens(LLAMA)
    ours = scores_of(model, tokens)["ov_positivity"]
    np.testing.assert_array_equal(ours, induction_scores([(0, model)], tokens)["EP"])


@FAMILIES
@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_the_batch_size_does_not_matter(cfg: ModelConfig, batch_size: int) -> None:
    model, tokens = random_model(cfg), repeated_tokens(n_sequences=5, half=7, alphabet=range(5), seed=0)
    in_parts, whole = (measured(scores_of(model, tokens, batch_size=size)) for size in (batch_size, 64))
    np.testing.assert_allclose(in_parts, whole, atol=1e-6)


class CountedPasses:
    """A model that counts how often it is run."""

    def __init__(self, model: Transformer) -> None:
        self.model, self.n_passes = model, 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.model, name)

    def __call__(self, tokens: Tensor) -> Tensor:
        return self.model(tokens)

    def parameters(self) -> object:
        return self.model.parameters()

    def run_with_hooks(self, *args: object, **kwargs: object) -> Tensor:
        self.n_passes += 1
        return self.model.run_with_hooks(*args, **kwargs)


@pytest.mark.parametrize(
    ("scores", "n_passes"), [(tuple(HEAD_SCORES), 1), (("k_composition",), 1), (("ov_copying", "qk_positivity"), 0)]
)
def test_one_pass_is_enough_for_all_scores(scores: tuple[str, ...], n_passes: int) -> None:
    model = CountedPasses(random_model(LLAMA))
    scores_of(model, random_repeated_tokens(LLAMA), scores=scores)
    assert model.n_passes == n_passes


def test_scores_are_labelled_in_the_order_asked_for(tmp_path: Path) -> None:
    models = [(0, random_model(LLAMA)), (30, uniform_model(LLAMA))]
    tokens, names = random_repeated_tokens(LLAMA), ["k_composition", "previous_token", "ov_copying"]
    scores = head_scores(models, tokens, scores=names)
    assert dict(scores.dataset.sizes) == {"checkpoint": 2, "layer": 2, "head": 3}
    assert list(scores.dataset.data_vars) == names
    assert scores.dataset["checkpoint"].to_numpy().tolist() == [0, 30]
    whole = head_scores(models, tokens).dataset
    for name in names:
        np.testing.assert_array_equal(scores[name], whole[name])
    assert list(whole.data_vars) == list(HEAD_SCORES)
    chance = {"k_composition": 30**-0.5, "previous_token": pytest.approx((harmonic(14) - 1) / 13), "ov_copying": 1 / 37}
    made = {"n_sequences": 5, "n_tokens": 14, "norm_gain": "ignored", "processing": "raw"}
    assert scores.dataset.attrs == {**made, "chance": chance}
    scores.save(tmp_path / "scores.nc")
    assert HeadScores.load(tmp_path / "scores.nc").dataset.identical(scores.dataset)


def test_the_strongest_heads_are_named_in_one_line() -> None:
    scores = scores_of(induction_circuit(), repeated_distinct_tokens(), scores=["previous_token", "prefix_matching"])
    assert scores.strongest("previous_token") == [ground_truth.PREVIOUS_TOKEN_HEAD]
    assert scores.strongest("prefix_matching", 1) == [ground_truth.INDUCTION_HEAD]
    assert str(scores) == (
        "head scores of 2 x 5 heads at 1 checkpoint over 5 sequences; strongest at the last: "
        "previous_token L0H0 = 1.00, prefix_matching L1H0 = 1.00"
    )
    of_weights = scores_of(induction_circuit(), repeated_distinct_tokens(), scores=["ov_copying"])
    assert str(of_weights).startswith("head scores of 2 x 5 heads at 1 checkpoint; "), "weights read no sequence"
    with pytest.raises(KeyError, match="no 'ov_copying' in this result, it has previous_token"):
        scores["ov_copying"]


@pytest.mark.parametrize("names", [["ov_copying", "induction"], [], ["ov_copying", "ov_copying"]])
def test_names_that_are_unknown_missing_or_repeated_are_refused_with_the_list(names: list[str]) -> None:
    with pytest.raises(ValueError, match="each once, of previous_token, duplicate_token, .*, k_composition; got"):
        scores_of(random_model(LLAMA), random_repeated_tokens(LLAMA), scores=names)


def test_tokens_without_repeats_have_no_targets() -> None:
    tokens = torch.arange(13).repeat(3, 1)
    with pytest.raises(ValueError, match="no query has a target: take tokens that come again, from repeated_tokens"):
        scores_of(random_model(LLAMA), tokens, scores=["duplicate_token"])
    assert scores_of(random_model(LLAMA), tokens, scores=["previous_token"])["previous_token"].notnull().all()


def test_model_and_tokens_are_left_as_they_were() -> None:
    model, tokens = random_model(replace(LLAMA, attn_dropout=0.5)).train(), random_repeated_tokens(LLAMA)
    weights = {name: view.clone() for name, view in canonical_views(model).items()}
    before = tokens.clone()
    scores_of(model, tokens)
    assert model.training and torch.equal(tokens, before)
    assert all(torch.equal(view, weights[name]) for name, view in canonical_views(model).items())


@pytest.mark.parametrize("name", HEAD_SCORES)
def test_every_entry_says_what_it_means(name: str) -> None:
    score = HEAD_SCORES[name]
    assert score.name == name and score.ideal == 1.0
    texts = (score.formula, score.source, score.ideal_head, score.chance_head, score.compared_to_detect_head)
    assert all(texts)
    assert 0 <= score.chance(repeated_distinct_tokens(), induction_circuit()) < score.ideal
