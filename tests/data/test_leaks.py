"""Leaks: windows of validation text that contain 50 tokens of the training text in a row."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grok_interp.data.collapsed import CollapsedText
from grok_interp.data.duplicates import SPAN
from grok_interp.data.leaks import LONGEST, LeakFinder, leaking_blocks
from grok_interp.data.vocabulary import ByteVocabulary

BYTES = ByteVocabulary()
LETTERS = bytes(np.random.default_rng(0).integers(97, 123, 500, dtype=np.uint8))
texts = st.lists(
    st.sampled_from([LETTERS[:20], LETTERS[30:70], b"  ", b"\n", b" \t ", b"\0", b"xy"]), min_size=1, max_size=20
)


def collapsed(text: bytes) -> CollapsedText:
    return CollapsedText.of(text, BYTES.encode(text), BYTES)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "collapsed"


def leaks(folder: Path, training: bytes, *validation: bytes) -> np.ndarray:
    with LeakFinder(folder) as finder:
        finder.add_training(collapsed(training))
        offset = 0
        for text in validation:
            finder.add_validation(collapsed(text), offset=offset)
            offset += len(text)
        return finder.leaks(n_tokens=offset)


def test_a_span_of_50_bytes_leaks_and_one_of_49_does_not(folder: Path) -> None:
    assert not leaks(folder, LETTERS, b"#" * 30 + LETTERS[100:149] + b"#" * 30).any()
    found = leaks(folder, LETTERS, b"#" * 30 + LETTERS[100:150] + b"#" * 30)
    assert (np.flatnonzero(found).tolist(), found[30]) == ([30], 50)
    assert not folder.exists(), "temporary files are removed"


def test_other_whitespace_hides_no_leak_and_counts_with_the_length(folder: Path) -> None:
    training, copied = LETTERS[:25] + b" " + LETTERS[25:60], LETTERS[:25] + b"\n\t\t" + LETTERS[25:49]
    found = leaks(folder, training, copied)
    assert (np.flatnonzero(found).tolist(), found[0]) == ([0], 52)


def test_leaks_cross_documents_as_windows_do(folder: Path) -> None:
    found = leaks(folder, LETTERS[:30] + b"\0" + LETTERS[30:60], b"##" + LETTERS[:30] + b"\0", LETTERS[30:49])
    assert np.flatnonzero(found).tolist() == [2]


def test_a_leak_longer_than_any_window_is_none(folder: Path) -> None:
    hole = b" " * LONGEST
    assert not leaks(folder, LETTERS[:60], LETTERS[:25] + hole + LETTERS[25:60]).any()


@pytest.mark.parametrize(
    ("start", "leaking"), [(0, [True, False]), (1, [True, False]), (2, [False, False]), (4, [False, True])]
)
def test_a_block_leaks_if_the_whole_leak_is_in_its_window(start: int, leaking: list[bool]) -> None:
    """Windows of 4 + 1 tokens at 0 and 4, and a leak of 4 tokens."""
    found = np.zeros(9, dtype=np.uint16)
    found[start] = 4
    assert leaking_blocks(found, 4).tolist() == leaking


@settings(deadline=None)
@given(training=texts, validation=texts, n_ctx=st.integers(1, 90))
def test_leaking_windows_are_those_that_share_50_bytes_of_collapsed_text(
    tmp_path_factory: pytest.TempPathFactory, training: list[bytes], validation: list[bytes], n_ctx: int
) -> None:
    known, text = re.sub(rb"\s+", b" ", b"".join(training)), b"".join(validation)
    found = leaking_blocks(leaks(tmp_path_factory.mktemp("leaks") / "collapsed", b"".join(training), text), n_ctx)
    windows = [text[start : start + n_ctx + 1] for start in range(0, len(text) - n_ctx, n_ctx)]
    seen = [re.sub(rb"\s+", b" ", window) for window in windows]
    assert found.tolist() == [any(w[i : i + SPAN] in known for i in range(len(w) - SPAN + 1)) for w in seen]
