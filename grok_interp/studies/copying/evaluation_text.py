"""The validation text that a run is evaluated on, stored with the run.

    results/evaluation_text.safetensors   windows of validation text, and the corpus that they are from
    results/tokenizer.json                its vocabulary, if that is a BPE

So a run can be evaluated and reported when its source text has moved or changed. What was never read from the text is
read from it then, and refused if it has changed.
"""

from __future__ import annotations

import hashlib
from functools import cached_property

import torch
from torch import Tensor

from grok_interp.checksums import file_sha256
from grok_interp.configs import TextConfig
from grok_interp.data.corpus import Corpus
from grok_interp.data.document_windows import DocumentWindows, document_windows
from grok_interp.data.foreign_vocabulary import NumberedVocabulary
from grok_interp.data.vocabulary import END_OF_DOCUMENT, BPEVocabulary, ByteVocabulary, Vocabulary
from grok_interp.data.windows import ValidationWindows, validation_windows
from grok_interp.files import DamagedFileError, write_atomically
from grok_interp.runs.checkpoint_files import load_weights, save_weights
from grok_interp.runs.once_per_run import once_per_run
from grok_interp.runs.run import Run
from grok_interp.training.batches import TextBatches

REMEDY = "delete it: it is read from the run's text again"


def corpus_of_run(run: Run) -> Corpus:
    """The text that a run reads. Raises ValueError when it has changed, and for a run on no text."""
    if not isinstance(run.data, TextBatches):
        raise ValueError(f"{run} is no run on text ({run.data.description}): the copying study cannot look at it")
    return run.data.corpus


class EvaluationText:
    """Windows of a run's validation text, read from the corpus once and from the run's folder afterwards.

    Raises ValueError, wherever the text itself is needed, when it has changed, and for a run that is not on text.

    Args:
        run: a run on text.
    """

    def __init__(self, run: Run) -> None:
        self.run, self.config = run, run.config
        self.file = run.results.folder / "evaluation_text.safetensors"
        self.tensors: dict[str, Tensor] = {}
        self.facts: dict[str, str] = {}
        if self.file.exists():
            tensors, facts = load_weights(self.file, remedy=REMEDY)
            if facts.get("corpus") == self.corpus_hash:
                self.tensors, self.facts = tensors, facts

    @property
    def corpus_hash(self) -> str:
        """Of the text that the run was trained on."""
        return self.run.data_hash

    @property
    def test_alphabet(self) -> str:
        """Of the copying test: printable or hexadecimal."""
        return self.config.data.test_alphabet if isinstance(self.config.data, TextConfig) else "printable"

    @cached_property
    def corpus(self) -> Corpus:
        return corpus_of_run(self.run)

    @cached_property
    def vocabulary(self) -> Vocabulary | NumberedVocabulary:
        kept = self.file.with_name("tokenizer.json")
        if kept.exists() and self.facts:
            if self.facts.get("tokenizer") not in (None, file_sha256(kept)):
                raise DamagedFileError(f"{kept} is damaged: its SHA-256 is not the one it was written with; {REMEDY}")
            return BPEVocabulary.load(kept)
        bytes_only = isinstance(self.config.data, TextConfig) and self.config.data.tokens_are_bytes
        return ByteVocabulary() if bytes_only else self.corpus.vocabulary

    def windows(self, n_windows: int) -> ValidationWindows:
        """`validation_windows` of the run's context length."""
        name = f"windows_{n_windows}"
        if name not in self.tensors:
            found = validation_windows(
                self.corpus.validation, self.corpus.leaks, n_ctx=self.config.model.n_ctx, n_windows=n_windows
            )
            counts = {"n_dropped": str(found.n_dropped), "n_examined": str(found.n_examined)}
            self._keep({name: found.tokens}, {**counts, "held_out": self.corpus.held_out(found)})
        n_dropped, n_examined = int(self.facts["n_dropped"]), int(self.facts["n_examined"])
        return ValidationWindows(self.tensors[name].long(), n_dropped=n_dropped, n_examined=n_examined)

    def documents(self, n_windows: int) -> DocumentWindows:
        """`document_windows` of the run's context length."""
        name = f"documents_{n_windows}"
        if name not in self.tensors:
            vocabulary = self.vocabulary  # numbered is a stream in which no token ends a document
            numbered = isinstance(vocabulary, NumberedVocabulary)
            end = -1 if numbered else int(vocabulary.encode(END_OF_DOCUMENT.encode())[0])
            options = {"n_ctx": self.config.model.n_ctx, "n_windows": n_windows, "end": end}
            found = document_windows(self.corpus.validation, leaks=self.corpus.leaks, **options)
            self._keep({name: found.windows, f"{name}_index": found.documents}, {})
        return DocumentWindows(self.tensors[name].long(), self.tensors[f"{name}_index"].long())

    @property
    def held_out(self) -> str:
        """One sentence on what keeps the validation text held out."""
        return self.facts["held_out"]

    def _keep(self, tensors: dict[str, Tensor], facts: dict[str, str]) -> None:
        small = torch.uint8 if self.config.model.d_vocab <= 256 else torch.int32
        self.tensors |= {name: t if name.endswith("_index") else t.to(small) for name, t in tensors.items()}
        self.facts |= {"corpus": self.corpus_hash, **facts}
        tokenizer = self.corpus.directory / "tokenizer.json"
        self.file.parent.mkdir(parents=True, exist_ok=True)
        if tokenizer.exists():
            content = tokenizer.read_bytes()
            write_atomically(self.file.with_name(tokenizer.name), lambda scratch: scratch.write_bytes(content))
            self.facts["tokenizer"] = hashlib.sha256(content).hexdigest()
        save_weights(self.file, self.tensors, self.facts)


@once_per_run
def evaluation_text(run: Run) -> EvaluationText:
    """The validation text of a run, read once. Raises ValueError for a series of checkpoints from elsewhere."""
    return EvaluationText(run)
