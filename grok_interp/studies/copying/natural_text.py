"""Does a run copy in natural text? Its validation text, unmodified, at checkpoints spread over training.

The result is stored with the run.
"""

from __future__ import annotations

from grok_interp.analysis.natural_copying import NaturalCopying, natural_copying
from grok_interp.configs.schedules import spread_steps
from grok_interp.data.foreign_vocabulary import NumberedVocabulary
from grok_interp.data.vocabulary import ByteVocabulary, Vocabulary
from grok_interp.models.activations import HookedModel
from grok_interp.results.analyzer import Analyzer, tokens_hash
from grok_interp.runs.run import Run
from grok_interp.studies.copying.evaluation_text import evaluation_text

N_BYTES = 8  # in 512 windows of 128 bytes of the standard library: 4,236 pairs in 38 documents (n = 12: 2,412 in 34)
N_BPE_TOKENS = 2  # about as many bytes
N_WINDOWS = 512
N_CHECKPOINTS = 32


def natural_copying_of_run(
    run: Run,
    *,
    n: int | None = None,
    n_windows: int = N_WINDOWS,
    n_checkpoints: int = N_CHECKPOINTS,
    device: str = "cpu",
) -> NaturalCopying:
    """`natural_copying` of a run on its own validation text, in windows of its context length within documents.

    Args:
        run: a run on text.
        n: as in `natural_copying`; 8 by default for a vocabulary of bytes, 2 for BPE.
        n_windows: windows evaluated, evenly spread over the text; fewer when it has no more.
        n_checkpoints: checkpoints evaluated, spread over the run, first and last included.
        device: where the models run, a torch device.

    Raises:
        ValueError: if the run is not on text, its text has changed, or it has too little text for one pair.
    """
    text = evaluation_text(run)
    n = default_n(text.vocabulary) if n is None else n
    found = text.documents(n_windows)

    def evaluate(step: int, model: HookedModel) -> NaturalCopying:
        return natural_copying([(step, model)], found.windows, n=n, documents=found.documents)

    inputs = {"n": n, "n_windows": len(found.windows), "tokens": tokens_hash(found.windows, found.documents)}
    analyzer = Analyzer(NaturalCopying.name, NaturalCopying, inputs, evaluate)
    (result,) = run.evaluate([analyzer], steps=spread_steps(run.steps, n_checkpoints), device=device)
    return result


def default_n(vocabulary: Vocabulary | NumberedVocabulary) -> int:
    """n for a vocabulary: about 8 bytes of context.

    Args:
        vocabulary: of the run.
    """
    return N_BYTES if isinstance(vocabulary, ByteVocabulary) else N_BPE_TOKENS
