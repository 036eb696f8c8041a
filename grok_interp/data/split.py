"""Which documents are training text and which are validation text.

Of exact duplicates only the first counts: the others are left out of both parts. Near-duplicates (see `duplicates`) are
on one side: clusters of them are set aside for validation as a whole, or not at all. Where no cluster is small enough,
each document gives its tail; near-duplicates then share text across the split, which `leaks` finds.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

Entry = Sequence  # of a manifest: name, number of bytes, SHA-256 of the text


@dataclass(frozen=True)
class Split:
    """The side of each document.

    Attributes:
        validation: names of the documents set aside; none when each document gives its tail.
        moved: names of near-duplicates that would be on the other side if each document were split by itself.
        fraction: of each document that is its tail, if each gives one.
    """

    validation: frozenset[str]
    moved: frozenset[str]
    fraction: float

    def cut(self, name: str, n_tokens: int) -> int:
        """The number of tokens of a document that are training text; the rest is validation text.

        Args:
            name: of the document.
            n_tokens: of the document, with its end; 2 or more.
        """
        if self.validation:
            return 0 if name in self.validation else n_tokens
        return n_tokens - max(1, round(self.fraction * n_tokens))


def exact_duplicates(entries: Sequence[Entry]) -> frozenset[str]:
    """Names of the documents whose text is that of an earlier one.

    Args:
        entries: (name, bytes, SHA-256) of each document.

    Example:
        >>> exact_duplicates([("a", 3, "00ff"), ("b", 3, "00ff"), ("c", 4, "11ff")])
        frozenset({'b'})
    """
    first: dict[str, str] = {}
    return frozenset(name for name, _, digest in entries if first.setdefault(digest, name) != name)


def split_documents(entries: Sequence[Entry], clusters: Int64[np.ndarray, " document"], fraction: float) -> Split:
    """Set documents aside until they are a fraction of the text.

    Args:
        entries: (name, bytes, SHA-256) of each document.
        clusters: a number for each document, the same for near-duplicates.
        fraction: of all bytes that is set aside at most, in (0, 0.5].
    """
    grouped: dict[int, list[Entry]] = defaultdict(list)
    for cluster, entry in zip(clusters.tolist(), entries, strict=True):
        grouped[cluster].append(entry)
    validation = _set_aside(list(grouped.values()), fraction)
    if not validation:
        return Split(frozenset(), frozenset(), fraction)
    alone = _set_aside([[entry] for entry in entries], fraction)
    in_clusters = {entry[0] for group in grouped.values() if len(group) > 1 for entry in group}
    return Split(validation, (validation ^ alone) & in_clusters, fraction)


def _set_aside(groups: list[list[Entry]], fraction: float) -> frozenset[str]:
    """In the order of the hashes of their first names, the groups that still fit their fraction of the bytes."""
    wanted = fraction * sum(entry[1] for group in groups for entry in group)
    chosen: set[str] = set()
    for group in sorted(groups, key=lambda group: hashlib.sha256(group[0][0].encode()).digest()):
        if (n_bytes := sum(entry[1] for entry in group)) <= wanted:
            chosen.update(entry[0] for entry in group)
            wanted -= n_bytes
    return frozenset(chosen)
