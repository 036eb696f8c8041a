"""Copying accuracy: the hand-written circuit copies everything, and every way to compute it gives the same."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ground_truth
import numpy as np
import pytest
import torch
from ground_truth import CIRCUIT, LLAMA, MODULAR, distinct_copy_samples, induction_circuit, random_model
from torch import Tensor

from grok_interp import to_hooked_transformer
from grok_interp.analysis.copying import Caching, CopyingAccuracy, copying_accuracy, predicted
from grok_interp.analysis.intervals import wilson_interval
from grok_interp.configs import ModelConfig
from grok_interp.data.copying import CopySamples, CopyTask
from grok_interp.models.activations import HookedModel
from grok_interp.models.transformer import Transformer
from grok_interp.models.weights import canonical_views

# Two symbols and suffixes of two: a model that guesses copies about a quarter of them whole.
GUESSABLE = CopyTask(n_sequences=3, n_prefix=2, n_suffix=2, n_samples=31, query_every=2, alphabet=(1, 2), separator=0)
FAMILIES = pytest.mark.parametrize(
    "cfg",
    [replace(LLAMA, n_layers=1, n_heads=2, d_vocab=3), replace(MODULAR, n_layers=1, d_vocab=3)],
    ids=["llama", "modular"],
)


class WithoutCache(torch.nn.Module):
    """A hooked model that can only be run from the first token on."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.model, self.cfg = model, model.cfg

    def forward(self, tokens: Tensor) -> Tensor:
        return self.model(tokens)

    def run_with_hooks(self, *args: Any, **kwargs: Any) -> Any:
        return self.model.run_with_hooks(*args, **kwargs)


def correct(model: HookedModel, samples: CopySamples, **options: int) -> np.ndarray:
    """sample x sequence x char of one model."""
    return copying_accuracy([(0, model)], samples, **options)["correct"].isel(checkpoint=0).to_numpy()


# The circuit written by hand


@pytest.mark.parametrize("kind", [lambda model: model, WithoutCache, to_hooked_transformer])
def test_the_induction_circuit_copies_every_suffix_whole(kind: Callable[[Transformer], HookedModel]) -> None:
    accuracy = copying_accuracy([(0, kind(induction_circuit()))], distinct_copy_samples())
    assert accuracy.exact_match().to_numpy().tolist() == [1.0]
    assert accuracy["correct"].all() and accuracy["correct"].shape == (1, 5, 2, 4)


@pytest.mark.parametrize("options", [{"sharpness": 0.0}, {"copy": -1.0}, {"copy": 0.0}])
def test_a_circuit_that_does_not_look_or_does_not_copy_gets_nothing(options: dict[str, float]) -> None:
    accuracy = copying_accuracy([(0, induction_circuit(**options))], distinct_copy_samples())
    assert accuracy.exact_match().to_numpy().tolist() == [0.0]


def test_a_circuit_without_its_previous_token_head_gets_nothing() -> None:
    model = induction_circuit()
    ground_truth.head_weights(model, *ground_truth.PREVIOUS_TOKEN_HEAD)[3].zero_()
    assert not correct(model, distinct_copy_samples()).any()


def test_a_circuit_that_cannot_say_a_token_misses_it_and_no_other() -> None:
    model, samples, unsayable = induction_circuit(), distinct_copy_samples(), 5
    canonical_views(model)["unembed.W_U"][:, unsayable] = 0.0
    suffixes = samples.strings[:, :, samples.task.n_prefix :]
    assert (suffixes == unsayable).any()
    np.testing.assert_array_equal(correct(model, samples), suffixes != unsayable)


def test_samples_sequences_and_characters_are_not_mixed_up() -> None:
    """The only token that the model can say is the third suffix token of sample 3's second string."""
    model, samples = induction_circuit(), distinct_copy_samples()
    only = samples.strings[3, 1, samples.task.n_prefix + 2]
    canonical_views(model)["unembed.W_U"][:, torch.arange(CIRCUIT.d_vocab) != only] = 0.0
    assert correct(model, samples)[3].tolist() == [[0, 0, 0, 0], [0, 0, 1, 0]]


# Teacher forcing decides what greedy decoding would do (A.2)


def greedy_continuation(model: Transformer, prompt: Tensor, n_tokens: int) -> list[int]:
    tokens = prompt.clone()
    for _ in range(n_tokens):
        following = model(tokens[None])[0, -1].argmax()
        tokens = torch.cat([tokens, following[None]])
    return tokens[len(prompt) :].tolist()


def suffixes_copied_greedily(model: Transformer, samples: CopySamples) -> list[list[bool]]:
    """sample x sequence; the model reads the lines, a prefix, and then its own words."""
    task, copied = samples.task, []
    for lines, strings in zip(samples.context, samples.strings, strict=True):
        asked = [strings[index].split([task.n_prefix, task.n_suffix]) for index in task.queries]
        prompts = [(torch.cat([lines, prefix]), suffix.tolist()) for prefix, suffix in asked]
        copied.append([greedy_continuation(model, prompt, task.n_suffix) == suffix for prompt, suffix in prompts])
    return copied


@FAMILIES
def test_greedy_decoding_copies_exactly_the_suffixes_found_whole(cfg: ModelConfig) -> None:
    models, samples = [random_model(cfg, seed=seed) for seed in range(3)], GUESSABLE.sample()
    accuracy = copying_accuracy(enumerate(models), samples)
    decoded = np.stack([suffixes_copied_greedily(model, samples) for model in models])
    np.testing.assert_array_equal(accuracy["correct"].min("char"), decoded)
    assert 0 < decoded.mean() < 1, "both outcomes must occur for this to say something"


# Ways to compute it


@FAMILIES
def test_the_shared_prefix_changes_nothing(cfg: ModelConfig) -> None:
    model, samples = random_model(cfg), GUESSABLE.sample()
    assert isinstance(model, Caching) and not isinstance(WithoutCache(model), Caching)
    with_cache = correct(model, samples)
    np.testing.assert_array_equal(with_cache, correct(WithoutCache(model), samples))
    assert 0 < with_cache.mean() < 1


@FAMILIES
def test_the_librarys_own_model_copies_the_same_suffixes(cfg: ModelConfig) -> None:
    model, samples = random_model(cfg), GUESSABLE.sample()
    np.testing.assert_array_equal(correct(to_hooked_transformer(model), samples), correct(model, samples))


@FAMILIES
def test_the_batch_size_does_not_matter(cfg: ModelConfig) -> None:
    model, samples = random_model(cfg), GUESSABLE.sample()
    np.testing.assert_array_equal(correct(model, samples, batch_size=7), correct(model, samples, batch_size=64))


def test_the_kernel_compares_the_last_scores_with_the_suffix() -> None:
    scores = torch.zeros(2, 5, 4)
    scores[0, -2, 3] = scores[0, -1, 1] = scores[1, -1, 2] = 1.0
    before = scores.clone()
    assert predicted(scores, torch.tensor([[3, 1], [3, 2]])).tolist() == [[True, True], [False, True]]
    assert torch.equal(scores, before)


# Ties are wrong, and what is not finite is undefined


def test_a_tie_is_wrong_and_logits_that_are_not_finite_are_undefined() -> None:
    inf, nan = float("inf"), float("nan")
    logits = [[2.0, 2.0, 1.0], [2.0, 1.0, -inf], [nan, 1.0, 1.0], [inf, 1.0, 1.0], [-inf, -inf, -inf]]
    found = predicted(torch.tensor([logits]), torch.zeros(1, 5, dtype=torch.int64))
    np.testing.assert_array_equal(found, [[0, 1, nan, nan, nan]])


def test_a_model_of_equal_logits_copies_nothing() -> None:
    """Arg-max alone answers token 0, which is a symbol of this test."""
    model = random_model(replace(LLAMA, n_layers=1, n_heads=2, d_vocab=3))
    canonical_views(model)["unembed.W_U"].zero_()
    task = replace(GUESSABLE, alphabet=(0, 1), separator=2)
    assert copying_accuracy([(0, model)], task.sample()).per_token().item() == 0


def test_a_model_of_nan_has_no_accuracy_and_its_neighbors_keep_theirs(tmp_path: Path) -> None:
    broken, samples = induction_circuit(), distinct_copy_samples()
    canonical_views(broken)["unembed.W_U"].fill_(torch.nan)
    accuracy = copying_accuracy([(10, induction_circuit()), (30, broken)], samples)
    for found in (accuracy.exact_match(), accuracy.per_token(), accuracy.exact_match_interval().sel(bound="low")):
        assert found.isnull().values.tolist() == [False, True]
    assert accuracy.undefined_steps == [30]
    assert "at the last undefined exact match" in str(accuracy)
    assert str(accuracy).endswith("; NOT FINITE at step 30")
    between = copying_accuracy([(10, induction_circuit()), (30, broken), (50, induction_circuit())], samples)
    assert "100.0%" in str(between) and str(between).endswith("; NOT FINITE at step 30")
    accuracy.save(tmp_path / "correct.nc")
    assert CopyingAccuracy.load(tmp_path / "correct.nc").dataset.equals(accuracy.dataset)


def test_one_undefined_answer_makes_its_string_undefined() -> None:
    """Not the accuracy of those that are left: which they are depends on the model."""
    values = np.ones((1, 3, 2, 2))
    values[0, 1, 1, 0] = np.nan
    accuracy = CopyingAccuracy.of_arrays({"correct": values}, {"checkpoint": [5]})
    np.testing.assert_array_equal(accuracy.per_sequence(), [[1, np.nan]])
    assert np.isnan(accuracy.exact_match()).all() and accuracy.undefined_steps == [5]


# The result


def by_hand() -> CopyingAccuracy:
    """Two checkpoints, two samples, three strings, suffixes of two."""
    early = [[[1, 0], [0, 0], [0, 1]], [[0, 0], [0, 1], [1, 0]]]
    late = [[[1, 1], [1, 1], [0, 1]], [[1, 1], [0, 1], [1, 1]]]
    coords = {"checkpoint": [10, 30], "sequence": [0, 5, 10]}
    return CopyingAccuracy.of_arrays({"correct": [early, late]}, coords, {"alphabet": "printable"})


def test_a_suffix_counts_only_when_all_of_it_is_right() -> None:
    np.testing.assert_allclose(by_hand().exact_match(), [0, 4 / 6])
    np.testing.assert_allclose(by_hand().per_token(), [4 / 12, 10 / 12])


def test_sequences_are_counted_apart() -> None:
    per_sequence = by_hand().per_sequence()
    assert per_sequence.dims == ("checkpoint", "sequence")
    np.testing.assert_allclose(per_sequence, [[0, 0, 0], [1, 0.5, 0.5]])
    assert per_sequence.sel(checkpoint=30, sequence=0) == 1


def test_intervals_are_wilsons_over_samples_and_over_samples_times_strings() -> None:
    low, high = by_hand().per_sequence_interval().sel(checkpoint=30)
    np.testing.assert_allclose(low, [0.3424, 0.0945, 0.0945], atol=1e-4)  # of 2 samples: 2, 1 and 1
    np.testing.assert_allclose(high, [1, 0.9055, 0.9055], atol=1e-4)
    np.testing.assert_allclose(
        by_hand().exact_match_interval().sel(checkpoint=30), [0.3000, 0.9032], atol=1e-4
    )  # 4 of 6


def test_the_error_per_token_is_that_of_the_samples_means() -> None:
    means = np.array([[2 / 6, 2 / 6], [5 / 6, 5 / 6]])
    np.testing.assert_allclose(by_hand().per_token_error(), means.std(axis=1, ddof=1) / np.sqrt(2), atol=1e-12)
    found = by_hand()
    found["correct"][1, 0] = 0  # the samples' means are now 0 and 5/6
    assert float(found.per_token_error()[1]) == pytest.approx(5 / 12)
    n = (5 / 12) * (7 / 12) / (5 / 12) ** 2  # answers that would have this error
    np.testing.assert_allclose(
        found.per_token_interval().sel(checkpoint=30), np.ravel(wilson_interval(np.array([5 / 12]), n))
    )


def test_samples_that_agree_still_leave_an_interval_per_token() -> None:
    """No spread between two samples: Wilson's interval of two answers."""
    expected = np.ravel(wilson_interval(np.array([5 / 6]), 2))
    np.testing.assert_allclose(by_hand().per_token_interval().sel(checkpoint=30), expected)


def test_trials_are_the_answers_with_the_errors_of_the_samples() -> None:
    """Independent answers: as many as there are; strings that are all right or all wrong: one for each string."""
    correct = np.random.default_rng(0).random((3, 400, 5, 10)) < np.array([0.1, 0.5, 0.9])[:, None, None, None]
    for answers, n in ((correct, 400 * 5 * 10), (np.repeat(correct[..., :1], 10, axis=-1), 400 * 5)):
        coords = {"checkpoint": [0, 1, 2], "sequence": range(5)}
        found = CopyingAccuracy.of_arrays({"correct": answers.astype(float)}, coords, {"alphabet": "x"})
        assert found.trials["exact_match"] == 400 * 5
        assert found.trials["per_token"] == pytest.approx(n, rel=0.15)


def test_trials_are_no_more_than_the_answers() -> None:
    """One answer of two is right in each sample: their errors are smaller than those of independent answers."""
    first = np.random.default_rng(0).random((3, 50, 1, 1)) < 0.5
    answers = np.concatenate([first, ~first], axis=-1).astype(float)
    answers[0, 0] = 1
    found = CopyingAccuracy.of_arrays(
        {"correct": answers}, {"checkpoint": [0, 1, 2], "sequence": [0]}, {"alphabet": "x"}
    )
    assert found.trials == {"exact_match": 50, "per_token": 100}


def test_one_sample_has_no_error() -> None:
    alone = CopyingAccuracy(by_hand().dataset.isel(sample=[0]))
    assert np.isnan(alone.per_token_error()).all()
    assert alone.per_token_in_words() == "83.3%" and alone.trials["per_token"] == 3
    assert alone.sizes_in_words.startswith("1 sample x ")


@pytest.mark.parametrize(("indices", "words"), [([0, 1, 2, 3], "0-3"), ([0, 5, 10, 15], "0, 5, 10, 15"), ([4], "4")])
def test_strings_are_named_by_their_indices(indices: list[int], words: str) -> None:
    values = np.ones((1, 2, len(indices), 1))
    coords = {"checkpoint": [0], "sequence": indices}
    assert CopyingAccuracy.of_arrays({"correct": values}, coords).strings_in_words == words


def test_a_result_is_told_in_one_line() -> None:
    assert str(by_hand()) == (
        "copying accuracy (printable strings) at 2 checkpoints; at the last 66.7% [30.0, 90.3] exact match, "
        "100 / 50 / 50% (95% CIs ±66 or less) by string 0, 5, 10, 83.3% [24.1, 98.7] per token "
        "(95% CIs over 2 samples x 3 strings)"
    )


def test_a_whole_suffix_is_never_more_frequent_than_a_token() -> None:
    models = [(seed, random_model(replace(LLAMA, d_vocab=3), seed=seed)) for seed in range(5)]
    accuracy = copying_accuracy(models, GUESSABLE.sample())
    assert (accuracy.exact_match() <= accuracy.per_token()).all()
    np.testing.assert_allclose(accuracy.exact_match(), accuracy.per_sequence().mean("sequence"))


def test_the_result_is_labelled_and_says_how_it_was_made() -> None:
    models = [(10, random_model(replace(LLAMA, d_vocab=3))), (30, random_model(replace(LLAMA, d_vocab=3), seed=1))]
    found = copying_accuracy(models, replace(GUESSABLE, seed=11).sample())
    array = found["correct"]
    assert dict(array.sizes) == {"checkpoint": 2, "sample": 31, "sequence": 2, "char": 2}
    assert array["checkpoint"].to_numpy().tolist() == [10, 30] and array["sequence"].to_numpy().tolist() == [0, 2]
    shape = {"n_sequences": 3, "n_prefix": 2, "n_suffix": 2, "seed": 11}
    assert found.dataset.attrs == {**shape, "alphabet": "custom", "n_symbols": 2}
    assert set(np.unique(array)) == {0, 1}


def test_a_context_too_short_for_the_test_is_refused() -> None:
    model = random_model(replace(LLAMA, d_vocab=3, n_ctx=18))
    message = "copy test of 3 sequences needs 19 tokens, the context holds 18: take at most 2 sequences"
    with pytest.raises(ValueError, match=message):
        copying_accuracy([(0, model)], GUESSABLE.sample())


def test_the_model_is_left_as_it_was() -> None:
    model = random_model(replace(LLAMA, d_vocab=3, attn_dropout=0.5)).train()
    weights = {name: view.clone() for name, view in canonical_views(model).items()}
    found = correct(model, GUESSABLE.sample())
    assert model.training and torch.is_grad_enabled()
    assert all(torch.equal(view, weights[name]) for name, view in canonical_views(model).items())
    np.testing.assert_array_equal(found, correct(model.eval(), GUESSABLE.sample()))
