"""Pairs of a first occurrence and a repeat: by eye, and against a search of all pairs."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grok_interp.data.ngrams import repeated_ngrams


def pairs_of(*rows: list[int], n: int) -> list[tuple[int, int, int]]:
    found = repeated_ngrams(torch.tensor(rows), n=n)
    return list(zip(found.window.tolist(), found.first.tolist(), found.repeat.tolist(), strict=True))


def searched(row: list[int], n: int) -> list[tuple[int, int]]:
    """(first, repeat) of every n + 1 tokens that come again without overlap, each once."""
    ends = range(n, len(row))
    grams = {end: tuple(row[end - n : end + 1]) for end in ends}
    found = {}
    for first in ends:
        if any(grams[earlier] == grams[first] for earlier in range(n, first)):
            continue
        later = [end for end in ends if end > first + n and grams[end] == grams[first]]
        if later:
            found[first] = later[0]
    return [(first, repeat) for first, repeat in sorted(found.items(), key=lambda pair: pair[1])]


def test_pairs_read_by_eye() -> None:
    row = [1, 2, 3, 4, 9, 1, 2, 3, 5, 1, 2, 3, 4]
    assert pairs_of(row, n=2) == [(0, 2, 7), (0, 3, 12)], "1 2 3 once, by its second occurrence, and 2 3 4"
    assert pairs_of(row, n=3) == [(0, 3, 12)]
    assert pairs_of(row, n=4) == []


def test_the_token_that_follows_must_be_the_same() -> None:
    assert pairs_of([1, 2, 3, 1, 2, 4], n=2) == []
    assert pairs_of([1, 2, 3, 1, 2, 3], n=2) == [(0, 2, 5)]


def test_occurrences_that_overlap_are_no_pair() -> None:
    assert pairs_of([7] * 5, n=1) == [(0, 1, 3)]
    assert pairs_of([7] * 5 + [8], n=2) == []


def test_windows_are_not_compared_with_one_another() -> None:
    assert pairs_of([1, 2, 3, 4], [1, 2, 1, 2], [3, 4, 1, 2], n=1) == [(1, 1, 3)]


def test_unrepeated_positions_end_ngrams_that_occur_once() -> None:
    found = repeated_ngrams(torch.tensor([[1, 2, 3, 1, 2, 4], [7, 7, 7, 7, 8, 9]]), n=1)
    assert np.flatnonzero(found.unrepeated[0]).tolist() == [2, 3, 5]
    assert np.flatnonzero(found.unrepeated[1]).tolist() == [4, 5]


def test_no_ngram_holds_a_pad() -> None:
    windows, real = torch.tensor([[1, 2, 1, 2, 1, 2, 1], [3, 1, 2, 1, 2, 0, 0]]), torch.ones(2, 7, dtype=torch.bool)
    real[0, 4:] = real[1, 5:] = False
    found = repeated_ngrams(windows, n=1, real=real)
    assert list(zip(found.window, found.first, found.repeat, strict=True)) == [(0, 1, 3), (1, 2, 4)]
    assert [np.flatnonzero(row).tolist() for row in found.unrepeated] == [[2], [1, 3]]


@settings(deadline=None)
@given(
    rows=st.integers(10, 23).flatmap(
        lambda length: st.lists(st.lists(st.integers(0, 2), min_size=length, max_size=length), min_size=1, max_size=3)
    ),
    n=st.integers(1, 4),
)
def test_all_pairs_are_found_and_no_others(rows: list[list[int]], n: int) -> None:
    expected = [(window, *pair) for window, row in enumerate(rows) for pair in searched(row, n)]
    assert pairs_of(*rows, n=n) == expected
    found = repeated_ngrams(torch.tensor(rows), n=n)
    for row, marked in zip(rows, found.unrepeated, strict=True):
        grams = [tuple(row[end - n : end + 1]) for end in range(n, len(row))]
        assert marked.tolist() == [False] * n + [grams.count(gram) == 1 for gram in grams]


def test_large_vocabularies_do_not_collide() -> None:
    """The numbers of n-grams stay far from the limit of 64 bits, whatever n is."""
    large = 2**31
    assert pairs_of([large, 1, large - 1, large, 1, large - 1] * 3, n=8) == [(0, 8, 17)]


@pytest.mark.parametrize(
    ("n", "message"),
    [
        (0, "needs n >= 1 tokens of context, got n = 0"),
        (3, r"4 tokens \(n = 3 and the next\) need windows of 8 tokens or more, got 7: choose a smaller n"),
    ],
)
def test_a_length_that_cannot_repeat_is_refused(n: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        repeated_ngrams(torch.zeros(2, 7, dtype=torch.int64), n=n)


def test_no_pad_stands_for_a_token() -> None:
    """Whatever a pad holds, and wherever it is: here 5, 6 would come again if the pad were read as a 6."""
    windows = torch.tensor([[5, 6, 10, 1, 5, pad] for pad in range(11)])
    real = torch.ones_like(windows, dtype=torch.bool)
    real[:, -1] = False
    found = repeated_ngrams(windows, n=1, real=real)
    assert len(found) == 0
    assert (found.unrepeated == torch.tensor([False, True, True, True, True, False]).numpy()).all()
