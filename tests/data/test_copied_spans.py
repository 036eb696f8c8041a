"""Windows with copied spans, on windows whose tokens are all different so that each token says where it comes from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grok_interp.configs import TextConfig
from grok_interp.data.copied_spans import FIRST_SOURCES, NEAREST_SOURCES, _span_begins, with_copied_spans

ALPHABET = range(-60, -10)  # no token of the text
ALWAYS = TextConfig(copy_fraction=1.0, segment_lengths=(3, 7))


def distinct(n_windows: int, n_pos: int) -> np.ndarray:
    return np.arange(n_windows * n_pos).reshape(n_windows, n_pos)


def copied(windows: np.ndarray, config: TextConfig, seed: int = 0) -> np.ndarray:
    return with_copied_spans(windows, config, ALPHABET, np.random.default_rng(seed))


def test_plain_text_is_untouched() -> None:
    windows = distinct(5, 31)
    assert np.array_equal(copied(windows, TextConfig()), windows)
    assert np.array_equal(copied(windows, TextConfig(copy_fraction=1.0, segment_copy_probability=0.0)), windows)


def test_the_windows_given_are_not_changed() -> None:
    windows = distinct(50, 31)
    before = windows.copy()
    copied(windows, TextConfig(copy_fraction=1.0, random_fraction=0.5))
    assert np.array_equal(windows, before)


@settings(deadline=None)
@given(seed=st.integers(0, 999), shortest=st.integers(1, 9), extra=st.integers(0, 9), n_pos=st.integers(2, 70))
@pytest.mark.parametrize("sources", ["balanced", "uniform"])
def test_every_token_is_its_own_or_an_earlier_one_of_the_same_window(
    sources: str, seed: int, shortest: int, extra: int, n_pos: int
) -> None:
    config = TextConfig(copy_fraction=1.0, segment_lengths=(shortest, shortest + extra), span_sources=sources)
    source = copied(distinct(7, n_pos), config, seed) - distinct(7, n_pos)[:, :1]
    assert (source >= 0).all() and (source <= np.arange(n_pos)).all()
    assert np.array_equal(np.take_along_axis(source, source, axis=1), source), "copies of copies lead to text"
    assert np.array_equal(source[:, :shortest], np.tile(np.arange(n_pos)[:shortest], (7, 1))), "nothing to copy yet"


@settings(deadline=None)
@given(seed=st.integers(0, 999), length=st.integers(1, 9))
def test_a_segment_is_text_or_a_contiguous_copy_of_what_came_before_it(seed: int, length: int) -> None:
    n_pos = 6 * length
    config = TextConfig(copy_fraction=1.0, segment_lengths=(length, length))
    for text, window in zip(distinct(5, n_pos), copied(distinct(5, n_pos), config, seed), strict=True):
        for begin in range(0, n_pos, length):
            segment, before = window[begin : begin + length], window[:begin]
            spans = [before[start : start + length] for start in range(begin - length + 1)]
            is_copy = any(np.array_equal(segment, span) for span in spans)
            assert is_copy or np.array_equal(segment, text[begin : begin + length])


def test_about_half_of_the_segments_after_the_first_are_copies() -> None:
    config = TextConfig(copy_fraction=1.0, segment_lengths=(5, 5))
    windows = distinct(400, 50)
    changed = copied(windows, config)[:, 5:] != windows[:, 5:]
    assert abs(changed[:, ::5].mean() - 0.5) < 0.05


def test_the_fractions_of_windows_are_those_of_the_config_and_independent() -> None:
    windows = distinct(2_000, 40)
    found = copied(windows, TextConfig(copy_fraction=0.5, random_fraction=0.25, segment_lengths=(3, 7)))
    random = np.isin(found[:, 0], ALPHABET)
    assert abs(random.mean() - 0.25) < 0.04
    changed = (found != windows).any(axis=1)
    assert abs(changed[~random].mean() - 0.5) < 0.05
    assert np.isin(found[random], ALPHABET).all() and not np.isin(found[~random], ALPHABET).any()
    repeats = np.array([len({tuple(w[i : i + 3]) for i in range(38)}) < 36 for w in found[random]])
    assert abs(repeats.mean() - 0.5) < 0.08, "half of the random windows have copies too"


def test_windows_differ_in_segments_and_sources() -> None:
    sources = copied(distinct(60, 40), ALWAYS) - distinct(60, 40)[:, :1]
    assert len({tuple(source) for source in sources}) == 60


def test_balanced_spans_begin_first_near_or_anywhere_with_equal_probability() -> None:
    latest = np.full((300, 100), 99)
    begins = _span_begins(latest, np.ones_like(latest, bool), ALWAYS, np.random.default_rng(0))
    assert begins.min() == 0 and begins.max() == 99
    first, near = (begins < FIRST_SOURCES).mean(), (begins > 99 - NEAREST_SOURCES).mean()
    assert abs(first - (1 / 3 + FIRST_SOURCES / 300)) < 0.02
    assert abs(near - (1 / 3 + NEAREST_SOURCES / 300)) < 0.02


def test_uniform_spans_begin_anywhere() -> None:
    latest = np.full((300, 100), 9)
    config = TextConfig(copy_fraction=1.0, span_sources="uniform")
    begins = _span_begins(latest, np.ones_like(latest, bool), config, np.random.default_rng(0))
    assert np.abs(np.bincount(begins.ravel(), minlength=10) / begins.size - 0.1).max() < 0.01
