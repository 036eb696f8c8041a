"""Spans of the validation text that the training text has too, kept beside the tokens of a corpus.

A leak is a span of 50 tokens, whitespace collapsed, that is in the validation and in the training text. For each
validation token, `leaks` has the length of the leak that starts there, in tokens of the validation text itself; 0 where
none does. A validation window that contains a whole leak is not held out; one shorter than 50 tokens contains none.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Integer, UInt16

from grok_interp.data.collapsed import CollapsedText
from grok_interp.data.duplicates import SPAN, shared_spans

LONGEST = np.iinfo(np.uint16).max  # no window is that long, so a longer leak is in none
PARTS = {"training": np.uint32, "validation": np.uint32, "latest_start": np.int64, "earliest_stop": np.int64}


class LeakFinder:
    """Takes the collapsed text of a corpus document by document, keeps it in a folder, and finds the leaks.

    Leaks may cross the border of two documents, as windows do.

    Args:
        folder: for temporary files, about 4 bytes per training and 20 per validation token. It is made, and removed
            when the context ends.

    Example:
        >>> import tempfile
        >>> from grok_interp.data.vocabulary import ByteVocabulary
        >>> letters, vocabulary = bytes(range(65, 115)), ByteVocabulary()
        >>> text = CollapsedText.of(letters, vocabulary.encode(letters), vocabulary)
        >>> with tempfile.TemporaryDirectory() as folder, LeakFinder(Path(folder) / "collapsed") as finder:
        ...     finder.add_training(text)
        ...     finder.add_validation(text, offset=3)
        ...     leaks = finder.leaks(n_tokens=53)
        >>> np.flatnonzero(leaks).tolist(), int(leaks[3])
        ([3], 50)
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> LeakFinder:
        self.folder.mkdir()
        self.opened = ExitStack()
        self.files = {part: self.opened.enter_context((self.folder / part).open("wb")) for part in PARTS}
        return self

    def __exit__(self, *exception: object) -> None:
        self.opened.close()
        shutil.rmtree(self.folder)

    def add_training(self, text: CollapsedText) -> None:
        """Add text whose copies are looked for.

        Args:
            text: of the training set.
        """
        self._write("training", text.tokens)

    def add_validation(self, text: CollapsedText, *, offset: int) -> None:
        """Add text in which copies of the training text are looked for.

        Args:
            text: the next part of the validation text.
            offset: number of validation tokens before this text.
        """
        placed = text.moved(offset)
        self._write("validation", placed.tokens)
        self._write("latest_start", placed.latest_start)
        self._write("earliest_stop", placed.earliest_stop)

    def leaks(self, *, n_tokens: int) -> UInt16[np.ndarray, " token"]:
        """The length of the leak that starts with each token, of the text added so far.

        Args:
            n_tokens: number of validation tokens.
        """
        for file in self.files.values():
            file.flush()
        shared = shared_spans(self._read("training"), self._read("validation"))
        (first,) = np.nonzero(shared)
        starts, stops = self._read("latest_start")[first], self._read("earliest_stop")[first + SPAN - 1]
        lengths = stops - starts
        fits = lengths <= LONGEST
        found = np.zeros(n_tokens, dtype=np.uint16)
        found[starts[fits][::-1]] = lengths[fits][::-1]  # of leaks with one start, the shortest is written last
        return found

    def _write(self, part: str, values: np.ndarray) -> None:
        self.files[part].write(values.astype(PARTS[part]).tobytes())

    def _read(self, part: str) -> np.ndarray:
        file = self.folder / part
        return np.memmap(file, dtype=PARTS[part], mode="r") if file.stat().st_size else np.empty(0, PARTS[part])


def leaking_blocks(leaks: Integer[np.ndarray, " token"], n_ctx: int) -> Bool[np.ndarray, " block"]:
    """Whether the window of n_ctx + 1 tokens at each multiple of n_ctx contains a whole leak.

    Args:
        leaks: length of the leak that starts with each validation token, 0 for none.
        n_ctx: context length in tokens, 1 or more.

    Returns:
        One value for each window that the validation text has, in order.

    Example:
        >>> leaking_blocks(np.array([0, 0, 3, 0, 0, 0, 0, 0, 0]), n_ctx=4).tolist()
        [True, False]
    """
    return leaking_windows(leaks, np.arange(max(0, len(leaks) - 1) // n_ctx) * n_ctx, n_ctx)


def leaking_windows(
    leaks: Integer[np.ndarray, " token"], starts: Integer[np.ndarray, " window"], n_ctx: int
) -> Bool[np.ndarray, " window"]:
    """Whether the window of n_ctx + 1 tokens from each start contains a whole leak.

    Args:
        leaks: length of the leak that starts with each validation token, 0 for none.
        starts: the first token of each window.
        n_ctx: context length in tokens, 1 or more.
    """
    (at,) = np.nonzero(leaks)
    if not len(at):
        return np.zeros(len(starts), dtype=bool)
    stops = at + leaks[at]
    following = np.searchsorted(at, starts)  # the first leak from there on is the first to stop, too
    inside = following < len(at)
    return inside & (stops[np.minimum(following, len(at) - 1)] <= starts + n_ctx + 1)
