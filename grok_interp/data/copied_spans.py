"""Training windows with synthetic copies: segments, some of which copy an earlier span of their window.

A laptop cannot train on the billions of tokens in which text repeats itself often enough for induction heads to form.
The copies never have the format of the copying test: lengths, distances and number of copies are drawn for each window.

Uniform sources make short and long distances rare in a window. Balanced sources begin, with probability 1/3 each, among
the first tokens of the window, among the nearest possible ones, or anywhere.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int64

from grok_interp.configs import TextConfig

FIRST_SOURCES, NEAREST_SOURCES = 16, 10  # how many places are among the first, and among the nearest


def with_copied_spans(
    windows: Int64[np.ndarray, "batch pos"], config: TextConfig, alphabet: range, generator: np.random.Generator
) -> Int64[np.ndarray, "batch pos"]:
    """Windows in which a fraction is random and a fraction has copied spans, as `config` says.

    Args:
        windows: tokens of text; not changed.
        config: `copy_fraction`, `random_fraction` and how segments are drawn.
        alphabet: the tokens of random windows.
        generator: draws everything.
    """
    n_windows, n_pos = windows.shape
    random = generator.random(n_windows) < config.random_fraction
    if random.any():
        noise = generator.integers(alphabet.start, alphabet.stop, windows.shape)
        windows = np.where(random[:, None], noise, windows)
    has_copies = generator.random(n_windows) < config.copy_fraction
    sources = np.where(has_copies[:, None], _sources(n_windows, n_pos, config, generator), np.arange(n_pos))
    return np.take_along_axis(windows, sources, axis=1)


def _sources(
    n_windows: int, n_pos: int, config: TextConfig, generator: np.random.Generator
) -> Int64[np.ndarray, "batch pos"]:
    """From which position of its window each token comes. Copies of copies are followed to where the text was read."""
    shortest, longest = config.segment_lengths
    lengths = generator.integers(shortest, longest + 1, (n_windows, -(-n_pos // shortest)))
    begins = np.cumsum(lengths, axis=1) - lengths
    copied = (generator.random(lengths.shape) < config.segment_copy_probability) & (begins >= lengths)
    shift = np.where(copied, begins - _span_begins(begins - lengths, copied, config, generator), 0)
    segment = _segment_of_position(begins, n_pos)
    sources = np.arange(n_pos) - np.take_along_axis(shift, segment, axis=1)
    while not np.array_equal(followed := np.take_along_axis(sources, sources, axis=1), sources):
        sources = followed
    return sources


def _span_begins(
    latest: Int64[np.ndarray, "batch segment"],
    copied: Bool[np.ndarray, "batch segment"],
    config: TextConfig,
    generator: np.random.Generator,
) -> Int64[np.ndarray, "batch segment"]:
    """Where the span copied by each segment begins, between 0 and `latest`."""
    latest = np.where(copied, latest, 0)
    first, n_places = np.zeros_like(latest), latest + 1
    if config.span_sources == "balanced":
        where = generator.integers(3, size=latest.shape)
        first = np.where(where == 1, np.maximum(0, n_places - NEAREST_SOURCES), 0)
        n_places = np.where(where == 0, np.minimum(FIRST_SOURCES, n_places), n_places - first)
    return first + generator.integers(n_places)


def _segment_of_position(begins: Int64[np.ndarray, "batch segment"], n_pos: int) -> Int64[np.ndarray, "batch pos"]:
    """The index of the segment that each position is in."""
    n_windows = len(begins)
    starts = np.zeros((n_windows, n_pos), dtype=np.int64)
    rows, segments = np.nonzero(begins < n_pos)
    starts[rows, begins[rows, segments]] = 1
    return starts.cumsum(axis=1) - 1
