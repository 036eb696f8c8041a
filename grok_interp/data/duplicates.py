"""Text that occurs twice: documents that are near-duplicates, and spans that two texts share.

    J(A, B) = |A n B| / |A u B|     A, B: the sets of all spans of 50 consecutive tokens (shingles) of two documents

Documents with J >= 1/2 are near-duplicates. A document of fewer than 50 tokens has one shingle, all of it.

Spans are compared by 64-bit hashes; two different ones have the same hash with probability of about 2^-64. A pair of
documents is compared only if it shares one of the rarer half of its shingles, which pairs with J >= 1/2 always do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int64, Integer, UInt64
from scipy.cluster.hierarchy import DisjointSet

SPAN = 50  # tokens
NEIGHBORS = 64  # a shingle of more documents than that is compared between those of similar size only
MOST_VALIDATION_SPANS = 2**23  # looked up at once: about 0.5 GB
TRAINING_CHUNK = 2**20  # tokens hashed at once
ODD, MULTIPLIER = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)  # the constants of splitmix64


def span_hashes(tokens: Integer[np.ndarray, " token"], length: int = SPAN) -> UInt64[np.ndarray, " span"]:
    """A hash of each span of consecutive tokens.

    Args:
        tokens: of a text.
        length: of the spans, in tokens, 1 or more.

    Returns:
        One hash for each position at which a span starts; none for a text shorter than `length`.

    Example:
        >>> hashes = span_hashes(np.array([1, 2, 3, 1, 2]), length=2)
        >>> bool(hashes[0] == hashes[3]), len(set(hashes.tolist()))
        (True, 3)
    """
    if len(tokens) < length:
        return np.empty(0, dtype=np.uint64)
    hashes = _mixed((tokens.astype(np.uint64) + np.uint64(1)) * ODD)
    width = 1
    while width < length:  # two spans of this width, side by side or overlapping, make a longer one
        shift = min(width, length - width)
        hashes = _mixed(hashes[:-shift] * ODD + hashes[shift:])
        width += shift
    return hashes


def _mixed(hashes: UInt64[np.ndarray, " span"]) -> UInt64[np.ndarray, " span"]:
    hashes = (hashes ^ (hashes >> np.uint64(31))) * MULTIPLIER
    return hashes ^ (hashes >> np.uint64(29))


def shingles(tokens: Integer[np.ndarray, " token"], *, every: int = 1) -> UInt64[np.ndarray, " shingle"]:
    """The set of hashes of a document's shingles.

    Args:
        tokens: of a document, 1 or more.
        every: 1 keeps all shingles. A larger number keeps about one in `every`, the same ones in all documents, and
            at least one of each document; J is then an estimate.

    Returns:
        Sorted distinct hashes.

    Example:
        >>> len(shingles(np.arange(60))), len(shingles(np.arange(7)))
        (11, 1)
    """
    hashes = np.unique(span_hashes(tokens, min(SPAN, len(tokens))))
    if every == 1:
        return hashes
    sampled = hashes[hashes % np.uint64(every) == 0]
    return sampled if len(sampled) else hashes[:1]


def near_duplicates(documents: Sequence[UInt64[np.ndarray, " _"]]) -> Int64[np.ndarray, " document"]:
    """Clusters of documents, linked by pairs with J >= 1/2.

    If more than 64 documents share a shingle, each is compared with the next 64 of them in order of size. A pair
    outside this range can be missed, unless documents in between link it.

    Args:
        documents: `shingles` of each document.

    Returns:
        For each document the number of one document of its cluster, the same for the whole cluster.

    Example:
        >>> text = np.arange(500)
        >>> near_duplicates([shingles(text), shingles(text[::-1]), shingles(text[:400])]).tolist()
        [0, 1, 0]
    """
    clusters = np.arange(len(documents))
    found = DisjointSet()
    for left, right in _candidates(documents):
        found.add(left)
        found.add(right)
        if not found.connected(left, right) and _similar(documents[left], documents[right]):
            found.merge(left, right)
    for subset in found.subsets():
        clusters[list(subset)] = min(subset)
    return clusters


def _similar(one: UInt64[np.ndarray, " shingle"], other: UInt64[np.ndarray, " other"]) -> bool:
    n_shared = len(np.intersect1d(one, other, assume_unique=True))
    return 2 * n_shared >= len(one) + len(other) - n_shared


def _candidates(documents: Sequence[UInt64[np.ndarray, " _"]]) -> Iterator[tuple[int, int]]:
    """Pairs of documents that may have J >= 1/2, nearest in size first; a pair can come more than once.

    If J >= 1/2 the two share at least half of the shingles of each. So of any order of all shingles, here from rare to
    frequent, they share one of the first floor(n / 2) + 1 of each. Boilerplate in every document costs nothing so.
    """
    sizes = np.array([len(document) for document in documents], dtype=np.int64)
    shingle, document = _rarer_half(documents, sizes)
    order = np.lexsort((sizes[document], shingle))
    shingle, document = shingle[order], document[order]
    for distance in range(1, NEIGHBORS + 1):
        left, right = document[:-distance], document[distance:]
        together = (shingle[:-distance] == shingle[distance:]) & (2 * sizes[left] >= sizes[right])
        if not (shingle[:-distance] == shingle[distance:]).any():
            return
        pairs = pd.unique(left[together] * len(documents) + right[together])
        yield from zip(*(part.tolist() for part in np.divmod(pairs, len(documents))), strict=True)


def _rarer_half(
    documents: Sequence[UInt64[np.ndarray, " _"]], sizes: Int64[np.ndarray, " document"]
) -> tuple[Int64[np.ndarray, " entry"], Int64[np.ndarray, " entry"]]:
    """(shingle, document) for the shingles among each document's rarer half that another document has too."""
    hashes = np.concatenate([np.empty(0, dtype=np.uint64), *documents])
    in_order = np.sort(hashes)
    repeated = np.unique(in_order[1:][in_order[1:] == in_order[:-1]])
    shingle = pd.Index(repeated).get_indexer(pd.Index(hashes))  # -1: in one document only
    document = np.repeat(np.arange(len(documents)), sizes)[shingle >= 0]
    shingle = shingle[shingle >= 0]
    frequency = np.bincount(shingle)
    n_alone = sizes - np.bincount(document, minlength=len(documents))
    order = np.lexsort((shingle, frequency[shingle], document))
    shingle, document = shingle[order], document[order]
    first = np.searchsorted(document, np.arange(len(documents)))
    rank = n_alone[document] + np.arange(len(document)) - first[document]
    rarer = rank <= sizes[document] // 2
    return shingle[rarer], document[rarer]


def shared_spans(
    training: Integer[np.ndarray, " training_token"], validation: Integer[np.ndarray, " token"]
) -> Bool[np.ndarray, " token"]:
    """Where the validation text has a span of 50 tokens that the training text has too.

    Memory is bounded: the training text is read in chunks, once for every 8 million validation tokens.

    Args:
        training: tokens, collapsed (`CollapsedText`), in memory or on disk.
        validation: tokens, likewise.

    Returns:
        For each validation token, whether the span that starts with it is in the training text.

    Example:
        >>> shared_spans(np.arange(100), np.arange(80, 140)).any()
        np.False_
        >>> np.flatnonzero(shared_spans(np.arange(100), np.arange(49, 140))).tolist()
        [0, 1]
    """
    shared = np.zeros(len(validation), dtype=bool)
    for start in range(0, len(validation), MOST_VALIDATION_SPANS):
        hashes = span_hashes(validation[start : start + MOST_VALIDATION_SPANS + SPAN - 1])
        known = pd.Index(pd.unique(hashes))
        found = np.zeros(len(known) + 1, dtype=bool)
        for begin in range(0, len(training), TRAINING_CHUNK):
            spans = span_hashes(training[begin : begin + TRAINING_CHUNK + SPAN - 1])
            found[known.get_indexer(pd.Index(spans))] = True  # -1, not found, is the last
        shared[start : start + len(hashes)] = found[known.get_indexer(pd.Index(hashes))]
    return shared
