"""The files of a corpus that have tokens: training.bin, validation.bin and leaks.bin, written document by document."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Integer, UInt16

from grok_interp.data.collapsed import CollapsedText
from grok_interp.data.leaks import LeakFinder, leaking_blocks
from grok_interp.data.split import Split
from grok_interp.data.vocabulary import END_OF_DOCUMENT, Vocabulary

CONTEXTS = (64, 128, 256, 512, 1024)  # context lengths whose dropped windows are counted


class TokenWriter:
    """Writes the tokens of documents, and at the end where the validation text leaks into the training text.

    Args:
        folder: that the files are written to.
        vocabulary: encodes the documents.
        split: says which part of each document is training text.
        dtype: of the tokens on disk.
    """

    def __init__(self, folder: Path, vocabulary: Vocabulary, split: Split, dtype: np.dtype) -> None:
        self.folder, self.vocabulary, self.split, self.dtype = folder, vocabulary, split, dtype
        self.n_training = self.n_validation = 0

    def __enter__(self) -> TokenWriter:
        self.opened = ExitStack()
        self.training = self.opened.enter_context((self.folder / "training.bin").open("wb"))
        self.validation = self.opened.enter_context((self.folder / "validation.bin").open("wb"))
        self.finder = self.opened.enter_context(LeakFinder(self.folder / "collapsed"))
        return self

    def __exit__(self, *exception: object) -> None:
        self.opened.close()

    def add(self, name: str, document: bytes) -> None:
        """Write one document. If it is cut into a training and a validation part, each part gets an end."""
        text = document + END_OF_DOCUMENT.encode()
        tokens = self.vocabulary.encode(text)
        collapsed = CollapsedText.of(text, tokens, self.vocabulary)
        cut, last = self.split.cut(name, len(tokens)), len(tokens) - 1
        self._add_training(tokens[:cut], collapsed.before(cut))
        if 0 < cut <= last:
            self._add_training(tokens[last:], collapsed.after(last))
        self.finder.add_validation(collapsed.after(cut), offset=self.n_validation)
        self.validation.write(tokens[cut:].astype(self.dtype).tobytes())
        self.n_validation += len(tokens[cut:])

    def finish(self) -> dict[str, Any]:
        """Write the leaks; the counts of tokens, of leaks and of the windows that contain one."""
        leaks = self.finder.leaks(n_tokens=self.n_validation)
        leaks.tofile(self.folder / "leaks.bin")
        return {
            "n_training_tokens": self.n_training,
            "n_validation_tokens": self.n_validation,
            "n_leaks": int(np.count_nonzero(leaks)),
            "validation_windows": window_counts(leaks),
        }

    def _add_training(self, tokens: Integer[np.ndarray, " token"], collapsed: CollapsedText) -> None:
        self.training.write(tokens.astype(self.dtype).tobytes())
        self.finder.add_training(collapsed)
        self.n_training += len(tokens)


def window_counts(leaks: UInt16[np.ndarray, " token"]) -> dict[str, dict[str, int]]:
    """Of each context length, how many validation windows there are and how many are dropped."""
    leaking = {str(n_ctx): leaking_blocks(leaks, n_ctx) for n_ctx in CONTEXTS}
    return {n_ctx: {"n_examined": len(each), "n_dropped": int(each.sum())} for n_ctx, each in leaking.items()}
