"""Does a run copy in natural text? Its validation text, unmodified, at checkpoints spread over training.

The result is cached in the run's `results` folder as natural_copying.nc and computed again when n, the windows, the
text or a checkpoint file differ.
"""

from __future__ import annotations

from pathlib import Path

from grok_interp.analysis.natural_copying import NaturalCopying, natural_copying
from grok_interp.checkpoints.series import CheckpointSeries
from grok_interp.data.vocabulary import ByteVocabulary, Vocabulary
from grok_interp.plots.drawing import Drawing
from grok_interp.plots.pictures import natural_copying as picture
from grok_interp.schedules import spread_steps
from grok_interp.studies.copying.evaluation_text import EvaluationText
from grok_interp.studies.copying.kept import checkpoint_files, kept

N_BYTES = 8  # in 512 windows of 128 bytes of the standard library: 4,236 pairs in 38 documents (n = 12: 2,412 in 34)
N_BPE_TOKENS = 2  # about as many bytes
N_WINDOWS = 512
N_CHECKPOINTS = 32


def natural(directory: Path, *, n: int | None = None, device: str = "cpu") -> Drawing:
    """Loss at first occurrences and at repeats of n-grams over training, with the difference.

    Args:
        directory: the run's folder.
        n: as in `natural_copying`; 8 by default for a vocabulary of bytes, 2 for BPE.
        device: where the models run, a torch device.
    """
    return picture.natural_copying(natural_copying_of_run(directory, n=n, device=device))


def natural_copying_of_run(
    directory: Path,
    *,
    n: int | None = None,
    n_windows: int = N_WINDOWS,
    n_checkpoints: int = N_CHECKPOINTS,
    device: str = "cpu",
) -> NaturalCopying:
    """`natural_copying` of a run on its own validation text, in windows of its context length within documents.

    Args:
        directory: the run's folder.
        n: as in `natural_copying`; 8 by default for a vocabulary of bytes, 2 for BPE.
        n_windows: windows evaluated, evenly spread over the text; fewer when it has no more.
        n_checkpoints: checkpoints evaluated, spread over the run, first and last included.
        device: where the models run, a torch device.

    Raises:
        ValueError: if the run is not on text, its text has changed, or it has too little text for one pair.
    """
    series, kept_text = CheckpointSeries(directory), EvaluationText(directory)
    n = default_n(kept_text.vocabulary) if n is None else n
    text = kept_text.documents(n_windows)
    steps = spread_steps(series.steps, n_checkpoints)

    def measured() -> NaturalCopying:
        models = ((step, series.load(step).to(device)) for step in steps)
        return natural_copying(models, text.windows, n=n, documents=text.documents)

    asked = {"n": n, "n_windows": len(text.windows), "corpus": kept_text.corpus_hash, **checkpoint_files(series, steps)}
    return kept(directory, NaturalCopying.name, NaturalCopying, asked, measured)


def default_n(vocabulary: Vocabulary) -> int:
    """n for a vocabulary: about 8 bytes of context."""
    return N_BYTES if isinstance(vocabulary, ByteVocabulary) else N_BPE_TOKENS
