"""Splits: exact duplicates count once, near-duplicates are on one side."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grok_interp.data.split import Split, exact_duplicates, split_documents

NAMES = sorted("abcdefghij", key=lambda name: hashlib.sha256(name.encode()).digest())  # as they are set aside


def entries(n_bytes: int = 10) -> list[list]:
    return [[name, n_bytes, name] for name in NAMES]


def test_of_exact_duplicates_all_but_the_first_are_left_out() -> None:
    digests = {"a": "1", "b": "2", "c": "1", "d": "1", "e": "3"}
    assert exact_duplicates([(name, 9, digest) for name, digest in digests.items()]) == {"c", "d"}


def test_without_duplicates_the_first_documents_that_fit_are_set_aside() -> None:
    assert split_documents(entries(), np.arange(10), 0.2) == Split(frozenset(NAMES[:2]), frozenset(), 0.2)


def test_a_cluster_too_large_to_set_aside_is_training_text() -> None:
    """The first document has two near-duplicates; the three are more than two tenths of the text."""
    split = split_documents(entries(), np.array([0, 1, 2, 3, 4, 0, 6, 0, 8, 9]), 0.2)
    assert split == Split(frozenset(NAMES[1:3]), frozenset(NAMES[:1]), 0.2), "the third takes its place"


def test_a_cluster_that_fits_is_set_aside_whole() -> None:
    split = split_documents(entries(), np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 0]), 0.2)
    assert split == Split(frozenset([NAMES[0], NAMES[9]]), frozenset(NAMES[9:]), 0.2)


def test_where_no_cluster_fits_each_document_gives_its_tail() -> None:
    split = split_documents(entries(), np.zeros(10, dtype=np.int64), 0.25)
    assert split == Split(frozenset(), frozenset(), 0.25)
    assert [split.cut("a", n_tokens) for n_tokens in (2, 3, 8, 100)] == [1, 2, 6, 75]


@settings(deadline=None)
@given(
    clusters=st.lists(st.integers(0, 6), min_size=10, max_size=10),
    sizes=st.lists(st.integers(1, 99), min_size=10, max_size=10),
    fraction=st.floats(0.01, 0.5),
)
def test_clusters_are_never_split_and_validation_text_keeps_to_its_fraction(
    clusters: list[int], sizes: list[int], fraction: float
) -> None:
    listed = [[name, n_bytes, name] for name, n_bytes in zip(NAMES, sizes, strict=True)]
    split = split_documents(listed, np.array(clusters), fraction)
    sides = {(cluster, name in split.validation) for name, cluster in zip(NAMES, clusters, strict=True)}
    assert len(sides) == len(set(clusters))
    assert sum(n_bytes for name, n_bytes, _ in listed if name in split.validation) <= fraction * sum(sizes)
    assert all(clusters.count(clusters[NAMES.index(name)]) > 1 for name in split.moved)


def test_each_document_has_a_cluster() -> None:
    with pytest.raises(ValueError, match="longer"):
        split_documents(entries(), np.arange(9), 0.2)


def test_a_document_set_aside_has_no_training_text() -> None:
    split = Split(frozenset("a"), frozenset(), 0.2)
    assert [split.cut(name, 7) for name in "ab"] == [0, 7]
