"""Near-duplicates and shared spans, against known answers and against comparing everything with everything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grok_interp.data import duplicates
from grok_interp.data.duplicates import SPAN, near_duplicates, shared_spans, shingles, span_hashes

N = 10**6


def words(n: int, first: int) -> np.ndarray:
    """Tokens that no other text has."""
    return np.arange(first, first + n)


def pair_with(n_common: int, n_own: int) -> list[np.ndarray]:
    """Two texts of n_common + n_own shingles, n_common of which they share."""
    common = words(n_common + SPAN - 1, 0)
    return [np.concatenate([common, words(n_own, N * side)]) for side in (1, 2)]


def clusters(texts: list[np.ndarray], **options: int) -> list[int]:
    return near_duplicates([shingles(text, **options) for text in texts]).tolist()


def spans_of(text: np.ndarray) -> set[tuple[int, ...]]:
    length = min(SPAN, len(text))
    return {tuple(text[i : i + length].tolist()) for i in range(len(text) - length + 1)}


def clusters_by_brute_force(texts: list[np.ndarray]) -> list[int]:
    """Every document with every other, until no cluster grows."""
    sets, found = [spans_of(text) for text in texts], list(range(len(texts)))
    for _ in texts:
        for i, one in enumerate(sets):
            for j, other in enumerate(sets):
                if len(one & other) >= len(one | other) / 2:
                    found[i] = found[j] = min(found[i], found[j])
    return found


pieces = st.integers(0, 5).map(lambda piece: words(37, piece * N))
built = st.lists(pieces, min_size=1, max_size=6).map(np.concatenate)
letters = st.lists(st.integers(0, 1), min_size=1, max_size=120).map(np.array)


@pytest.mark.parametrize(("n_own", "together"), [(49, True), (50, True), (51, False)])
def test_half_of_the_shingles_of_both_make_near_duplicates(n_own: int, together: bool) -> None:
    """100 shared of 100 + 2 n_own: J = .505, .5 and .495."""
    assert clusters(pair_with(100, n_own)) == ([0, 0] if together else [0, 1])


def test_clusters_are_chains_of_near_duplicates() -> None:
    texts = [words(300, shift) for shift in (0, 60, 120, 180, 2_000)]
    assert clusters(texts) == [0, 0, 0, 0, 4], "the first and the fourth share 71 of 431 shingles"
    assert clusters([texts[0], texts[3]]) == [0, 1]


def test_texts_shorter_than_a_shingle_are_compared_whole() -> None:
    assert clusters([words(9, 0), words(9, 0), words(8, 0), words(9, 1), words(60, 0)]) == [0, 0, 2, 3, 4]


def test_boilerplate_in_every_document_joins_none() -> None:
    header = words(400, 0)
    assert clusters([np.concatenate([header, words(500, N * (i + 1))]) for i in range(150)]) == list(range(150))


def test_more_copies_than_are_compared_with_each_are_one_cluster() -> None:
    n_copies = duplicates.NEIGHBORS * 3
    assert clusters([np.concatenate([words(300, 0), words(1 + i % 7, N * (i + 1))]) for i in range(n_copies)]) == (
        [0] * n_copies
    )


def test_no_documents_have_no_clusters_and_one_has_its_own() -> None:
    assert clusters([]) == []
    assert clusters([words(70, 0)]) == [0]


@settings(deadline=None)
@given(st.lists(st.one_of(built, letters), max_size=8))
def test_clusters_are_those_of_comparing_all_with_all(texts: list[np.ndarray]) -> None:
    assert clusters(texts) == clusters_by_brute_force(texts)


def test_a_sample_of_the_shingles_finds_the_same_clusters() -> None:
    """At J = .8 and .2 the sample of some 400 shingles of each document is far from the threshold."""
    texts = [*pair_with(8_000, 1_000), *(text + 10 * N for text in pair_with(2_000, 4_000)), words(3, 77 * N)]
    assert clusters(texts, every=20) == clusters(texts) == [0, 0, 2, 3, 4]
    assert 300 < len(shingles(texts[0], every=20)) < 600
    assert len(shingles(words(3, 0), every=10**9)) == 1, "no document is without a shingle"


@settings(deadline=None)
@given(tokens=letters, length=st.integers(1, 70))
def test_spans_have_one_hash_if_and_only_if_they_are_equal(tokens: np.ndarray, length: int) -> None:
    spans = [tuple(tokens[i : i + length].tolist()) for i in range(len(tokens) - length + 1)]
    hashes = span_hashes(tokens, length).tolist()
    assert len(hashes) == len(spans)
    assert len(set(hashes)) == len(set(spans)) == len(set(zip(spans, hashes, strict=True)))


@pytest.mark.parametrize(("n_shared", "found"), [(49, []), (50, [30]), (51, [30, 31])])
def test_a_span_of_50_tokens_is_found_and_one_of_49_is_not(n_shared: int, found: list[int]) -> None:
    training = words(400, 0)
    validation = np.concatenate([words(30, N), training[200 : 200 + n_shared], words(90, 2 * N)])
    assert np.flatnonzero(shared_spans(training, validation)).tolist() == found


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_tokens_of_every_width_are_compared(dtype: type) -> None:
    text = np.arange(200).astype(dtype)
    assert shared_spans(text, text).sum() == 200 - SPAN + 1


def test_texts_shorter_than_a_span_share_none() -> None:
    assert not shared_spans(words(49, 0), words(49, 0)).any()
    assert shared_spans(words(0, 0), words(60, 0)).tolist() == [False] * 60
    assert shared_spans(words(60, 0), words(0, 0)).tolist() == []


@settings(deadline=None)
@given(training=built, validation=built, chunk=st.sampled_from([7, 100, 2**20]))
def test_shared_spans_are_those_of_comparing_all_with_all_however_they_are_read(
    training: np.ndarray, validation: np.ndarray, chunk: int
) -> None:
    known = spans_of(training) if len(training) >= SPAN else set()
    wanted = [tuple(validation[i : i + SPAN].tolist()) in known for i in range(len(validation))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "TRAINING_CHUNK", chunk)
        patch.setattr(duplicates, "MOST_VALIDATION_SPANS", chunk)
        assert shared_spans(training, validation).tolist() == wanted
