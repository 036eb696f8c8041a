"""The copy test as the paper has it, its layout read by eye, and repeated sequences with their targets."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grok_interp.data.copying import CopySamples, CopyTask, induction_targets, repeated_tokens
from grok_interp.data.vocabulary import ByteVocabulary

MINIATURE = CopyTask(n_sequences=3, n_prefix=2, n_suffix=1, n_samples=5, query_every=2, alphabet=(4, 6, 9), separator=0)


@st.composite
def tight_options(draw: st.DrawFn) -> dict[str, Any]:
    """Few symbols and short parts, up to asking for every string there is: redraws are frequent."""
    n_symbols, n_prefix, n_suffix = draw(st.integers(2, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    n_sequences = draw(st.integers(1, n_symbols ** min(n_prefix, n_suffix)))
    sizes = dict(n_sequences=n_sequences, n_prefix=n_prefix, n_suffix=n_suffix, n_samples=3)
    return sizes | dict(alphabet=tuple(range(11, 11 + n_symbols)), seed=draw(st.integers(0, 99)))


def test_the_default_is_the_papers_test() -> None:
    task = CopyTask()
    assert (task.n_samples, task.n_sequences, task.n_prefix, task.n_suffix) == (500, 50, 12, 6)
    assert task.n_tokens == 968
    assert list(task.queries) == [0, 5, 10, 15, 20, 25, 30, 35, 40, 45]
    task.require_context(1024)


def test_a_sample_of_the_papers_test_is_fifty_lines_of_hexadecimal() -> None:
    samples = CopyTask(n_samples=3).sample()
    for row in samples.context.tolist():
        assert re.fullmatch(rb"([0-9a-f]{18}\n){50}", bytes(row))


def test_context_and_prompt_of_the_papers_test_fill_its_tokens() -> None:
    task = CopyTask(n_samples=2)
    samples = task.sample()
    assert samples.context.shape[1] + samples.query(45).shape[1] == task.n_tokens


@settings(deadline=None)
@given(tight_options())
def test_prefixes_and_suffixes_of_a_sample_are_distinct_and_from_the_alphabet(options: dict[str, Any]) -> None:
    task = CopyTask(**options)
    strings = task.sample().strings
    assert strings.shape == (3, task.n_sequences, task.n_prefix + task.n_suffix)
    assert set(strings.flatten().tolist()) <= set(task.alphabet)
    for sample in strings:
        for part in sample.split([task.n_prefix, task.n_suffix], dim=1):
            assert len({tuple(row) for row in part.tolist()}) == task.n_sequences


def test_every_ordered_choice_of_distinct_strings_is_equally_likely() -> None:
    task = CopyTask(n_sequences=2, n_prefix=1, n_suffix=1, n_samples=6_000, alphabet=(4, 6, 9), separator=0)
    pairs = Counter(map(tuple, task.sample().strings[:, :, 0].tolist()))
    assert set(pairs) == {(4, 6), (4, 9), (6, 4), (6, 9), (9, 4), (9, 6)}
    assert all(abs(count - 1_000) < 150 for count in pairs.values())


def test_samples_differ_from_each_other_and_prefixes_from_suffixes() -> None:
    strings = CopyTask(n_samples=7, n_prefix=6).sample().strings
    assert len({tuple(sample.flatten().tolist()) for sample in strings}) == 7
    assert not torch.equal(strings[..., :6], strings[..., 6:])


def test_context_and_query_read_by_eye() -> None:
    samples = CopySamples(
        MINIATURE, torch.tensor([[[4, 6, 9], [6, 6, 4], [9, 4, 6]], [[9, 9, 4], [4, 4, 6], [6, 4, 9]]])
    )
    assert samples.context.tolist() == [[4, 6, 9, 0, 6, 6, 4, 0, 9, 4, 6, 0], [9, 9, 4, 0, 4, 4, 6, 0, 6, 4, 9, 0]]
    assert samples.query(2).tolist() == [[9, 4, 6], [6, 4, 9]]
    assert list(MINIATURE.queries) == [0, 2]
    assert MINIATURE.n_tokens == 12 + 3


def test_the_same_task_gives_the_same_samples_and_another_seed_others() -> None:
    task, other = CopyTask(n_samples=2, seed=1), CopyTask(n_samples=2, seed=2)
    assert torch.equal(task.sample().strings, CopyTask(n_samples=2, seed=1).sample().strings)
    assert not torch.equal(task.sample().strings, other.sample().strings)


def test_sampling_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    MINIATURE.sample()
    repeated_tokens(n_sequences=2, half=3, alphabet=(4, 6), seed=0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("n_ctx", "n_sequences"), [(1024, 50), (100_000, 50), (968, 50), (967, 49), (37, 1)])
def test_a_fitting_task_has_as_many_sequences_as_the_context_holds(n_ctx: int, n_sequences: int) -> None:
    task = CopyTask.fitting(n_ctx)
    assert task.n_sequences == n_sequences
    task.require_context(n_ctx)


def test_a_short_context_asks_for_each_of_its_five_sequences() -> None:
    assert list(CopyTask.fitting(128).queries) == [0, 1, 2, 3, 4]


def test_ten_sequences_are_all_asked_for_and_eleven_are_asked_for_as_in_the_paper() -> None:
    assert list(CopyTask.fitting(10 * 19 + 18).queries) == list(range(10))
    assert list(CopyTask.fitting(11 * 19 + 18).queries) == [0, 5, 10]


def test_a_fitting_task_takes_other_options() -> None:
    task = CopyTask.fitting(128, n_prefix=4, n_suffix=3, query_every=7, seed=9)
    assert (task.n_sequences, task.query_every, task.seed) == ((128 - 7) // 8, 7, 9)


def test_a_context_one_token_too_short_is_refused_with_what_it_could_hold() -> None:
    reason = "copy test of 50 sequences needs 968 tokens, the context holds 967: take at most 49 sequences"
    with pytest.raises(ValueError, match=reason):
        CopyTask().require_context(967)


@pytest.mark.parametrize("n_ctx", [36, 5])
def test_a_context_too_short_for_one_sequence_is_refused(n_ctx: int) -> None:
    with pytest.raises(ValueError, match=f"needs 37 tokens, the context holds {n_ctx}: take at most 0 sequences"):
        CopyTask.fitting(n_ctx)


@pytest.mark.parametrize("name", ["n_sequences", "n_prefix", "n_suffix", "n_samples", "query_every"])
def test_a_number_below_one_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"CopyTask: {name} must be at least 1, got 0"):
        CopyTask(**{name: 0})


@pytest.fixture
def without_type_checker() -> Iterator[None]:
    """Callers have none: the package itself must refuse."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("without_type_checker")
@pytest.mark.parametrize(
    ("bad", "refusal"),
    [
        (dict(seed=-1), "CopyTask: seed must not be negative, got -1"),
        (dict(seed="0"), r"CopyTask: seed must be a whole number, got '0' \(str\)"),
        (dict(seed=0.5), "CopyTask: seed must be a whole number, got 0.5"),
        (dict(separator="\n"), "CopyTask: separator must be a whole number, got "),
        (dict(separator=-1), "CopyTask: separator must not be negative, got -1"),
        (dict(alphabet=(3, 5, -1)), "CopyTask: alphabet must not be negative, got -1"),
        (dict(alphabet="0123456789"), "CopyTask: alphabet must be a list of whole numbers, got '0123456789'"),
        (dict(alphabet=("0", "1")), "CopyTask: alphabet must be a list of whole numbers"),
        (dict(alphabet=np.array([0.5, 1.0])), "CopyTask: alphabet must be a list of whole numbers"),
        (dict(alphabet=7), "CopyTask: alphabet must be a list of whole numbers, got 7"),
        (dict(alphabet=()), "0 symbols give 0 prefixes"),
    ],
)
def test_seeds_and_tokens_that_are_none_are_refused_by_name(bad: dict[str, Any], refusal: str) -> None:
    with pytest.raises(ValueError, match=refusal):
        CopyTask(**bad)


@pytest.mark.usefixtures("without_type_checker")
@pytest.mark.parametrize("kind", [list, range, np.array, torch.tensor])
def test_an_alphabet_is_any_listing_of_token_ids(kind: Any) -> None:
    given = range(20, 40) if kind is range else kind(list(range(20, 40)))
    task, expected = (CopyTask(n_samples=2, alphabet=each) for each in (given, tuple(range(20, 40))))
    assert task == expected and task.alphabet_name == "custom"
    assert torch.equal(task.sample().strings, expected.sample().strings)


def test_an_alphabet_too_small_for_distinct_strings_is_refused_with_the_counts() -> None:
    with pytest.raises(ValueError, match="2 symbols give 8 prefixes of length 3, fewer than the 9 sequences"):
        CopyTask(n_sequences=9, n_prefix=3, n_suffix=4, alphabet=(1, 2))
    with pytest.raises(ValueError, match="2 symbols give 8 suffixes of length 3, fewer than the 9 sequences"):
        CopyTask(n_sequences=9, n_prefix=4, n_suffix=3, alphabet=(1, 2))


@pytest.mark.parametrize("wrong", [{"alphabet": (1, 2, 2, 3)}, {"alphabet": (1, 2, 3), "separator": 2}])
def test_an_alphabet_with_a_token_twice_or_with_the_separator_is_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="tokens must be distinct, and the separator none of them"):
        CopyTask(**wrong)


@settings(deadline=None)
@given(n_sequences=st.integers(1, 5), half=st.integers(3, 13), seed=st.integers(0, 99))
def test_the_second_half_repeats_the_first_and_both_use_the_alphabet_only(
    n_sequences: int, half: int, seed: int
) -> None:
    tokens = repeated_tokens(n_sequences=n_sequences, half=half, alphabet=(3, 5, 8), seed=seed)
    assert tokens.shape == (n_sequences, 2 * half)
    assert torch.equal(tokens[:, :half], tokens[:, half:])
    assert set(tokens.flatten().tolist()) <= {3, 5, 8}


def test_repeated_tokens_use_the_whole_alphabet_however_it_is_given() -> None:
    common = ByteVocabulary.common
    ours = repeated_tokens(n_sequences=20, half=100, alphabet=common, seed=1)
    assert set(ours.flatten().tolist()) == set(common)
    assert torch.equal(ours, repeated_tokens(n_sequences=20, half=100, alphabet=torch.tensor(common), seed=1))


def test_repeated_tokens_are_decided_by_their_seed() -> None:
    ours, again, other = (repeated_tokens(n_sequences=3, half=50, alphabet=(4, 6), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(ours, again)
    assert not torch.equal(ours, other)
    assert not torch.equal(ours[0], ours[1])


@pytest.mark.parametrize(
    ("n_sequences", "half", "alphabet"), [(0, 2, (1, 2)), (1, 1, (1, 2)), (1, 2, (1,))], ids=["rows", "half", "symbols"]
)
def test_repeated_tokens_too_few_to_mean_anything_are_refused(
    n_sequences: int, half: int, alphabet: tuple[int, ...]
) -> None:
    numbers = f"got {n_sequences}, {half} and {len(alphabet)} symbols"
    with pytest.raises(ValueError, match=numbers):
        repeated_tokens(n_sequences=n_sequences, half=half, alphabet=alphabet, seed=0)


def test_induction_targets_read_by_eye() -> None:
    queries, keys = induction_targets(4)  # a b c d a b c d
    assert queries.tolist() == [4, 5, 6]  # a b c of the second half
    assert keys.tolist() == [1, 2, 3]  # b c d of the first


def test_an_induction_target_is_what_followed_the_same_token_and_what_comes_next() -> None:
    queries, keys = induction_targets(11)
    tokens = repeated_tokens(n_sequences=3, half=11, alphabet=range(100), seed=0)
    assert torch.equal(tokens[:, keys - 1], tokens[:, queries])
    assert torch.equal(tokens[:, keys], tokens[:, queries + 1])
