"""Windows within documents, on a text that counts so that each window says where it comes from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grok_interp.data.document_windows import document_windows

END = 0


def text_of(lengths: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Documents of these lengths, and the document of each token. Tokens count from 1, END excepted."""
    tokens = np.concatenate([[1] * length + [END] for length in lengths])
    document = np.repeat(np.arange(len(lengths)), np.array(lengths) + 1)
    return np.where(tokens == END, END, np.arange(1, len(tokens) + 1)).astype(np.uint32), document


def test_documents_are_cut_from_their_beginning() -> None:
    tokens, _ = text_of([5, 2, 7])
    windows, documents = document_windows(tokens, n_ctx=2, n_windows=99, end=END)
    assert windows.tolist() == [[1, 2, 3], [3, 4, 5], [10, 11, 12], [12, 13, 14], [14, 15, 16]]
    assert documents.tolist() == [0, 0, 2, 2, 2]


def test_a_text_without_an_end_is_one_document() -> None:
    windows, documents = document_windows(np.arange(1, 8), n_ctx=3, n_windows=9, end=END)
    assert windows.tolist() == [[1, 2, 3, 4], [4, 5, 6, 7]] and documents.tolist() == [0, 0]


@settings(deadline=None)
@given(lengths=st.lists(st.integers(0, 23), min_size=1, max_size=7), n_ctx=st.integers(1, 5), wanted=st.integers(1, 9))
def test_no_window_crosses_an_end(lengths: list[int], n_ctx: int, wanted: int) -> None:
    tokens, document = text_of(lengths)
    available = sum(max(length - 1, 0) // n_ctx for length in lengths)
    if not available:
        with pytest.raises(ValueError, match=f"no document of the text has {n_ctx + 1} tokens, the longest has"):
            document_windows(tokens, n_ctx=n_ctx, n_windows=wanted, end=END)
        return
    windows, documents = document_windows(tokens, n_ctx=n_ctx, n_windows=wanted, end=END)
    assert windows.shape == (min(wanted, available), n_ctx + 1) and len(documents) == len(windows)
    assert len(set(windows[:, 0].tolist())) == len(windows)
    for window, each in zip(windows.numpy(), documents.tolist(), strict=True):
        assert (window == window[0] + np.arange(n_ctx + 1)).all(), "consecutive tokens, no END among them"
        assert (document[window - 1] == each).all()


@pytest.mark.parametrize(("n_ctx", "n_windows"), [(0, 3), (3, 0)])
def test_no_context_and_no_windows_are_refused(n_ctx: int, n_windows: int) -> None:
    with pytest.raises(ValueError, match=f"n_ctx >= 1 and n_windows >= 1, got {n_ctx} and {n_windows}"):
        document_windows(np.arange(1, 30), n_ctx=n_ctx, n_windows=n_windows, end=END)


def test_windows_with_a_leak_are_dropped_and_the_others_stay() -> None:
    tokens, _ = text_of([5, 2, 7])
    leaks = np.zeros(len(tokens), dtype=np.uint16)
    whole, _ = document_windows(tokens, n_ctx=2, n_windows=99, end=END, leaks=leaks)
    leaks[0] = 3  # the whole first window
    leaks[4] = 2  # crosses the end of its document, so it is in no window
    windows, documents = document_windows(tokens, n_ctx=2, n_windows=99, end=END, leaks=leaks)
    assert windows.tolist() == whole[1:].tolist()
    assert len(documents) == len(windows)


def test_a_text_that_leaks_everywhere_is_refused() -> None:
    tokens, _ = text_of([5])
    with pytest.raises(ValueError, match="each of the 2 windows shares a span with the training text"):
        document_windows(tokens, n_ctx=2, n_windows=9, end=END, leaks=np.ones(len(tokens), dtype=np.uint16))


def test_the_longest_document_is_told_wherever_it_is() -> None:
    tokens = np.array([1, 0, 2, 3, 4, 0, 5, 6, 0])
    with pytest.raises(ValueError, match="no document of the text has 8 tokens, the longest has 3: take a larger"):
        document_windows(tokens, n_ctx=7, n_windows=1, end=0)
