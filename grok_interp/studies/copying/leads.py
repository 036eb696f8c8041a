"""Which scores of the heads move before the onset of copying, over the seeds of a copier.

The scores of the heads at all checkpoints of a run are cached in its `results` folder as head_score.nc, and computed
again when the tokens or a checkpoint file differ. The onset of copying is that of the per-token accuracy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path

from grok_interp.analysis.head_scores import HeadScores
from grok_interp.analysis.leading_indicators import LeadingIndicators, indicator_scores, leading_indicators
from grok_interp.checkpoints.series import CheckpointSeries
from grok_interp.models.transformer import Transformer
from grok_interp.plots.drawing import Drawing
from grok_interp.plots.page import Section
from grok_interp.plots.pictures import leads as picture
from grok_interp.studies.copying.kept import checkpoint_files, kept
from grok_interp.studies.copying.results import analyzed, probes_of_run
from grok_interp.studies.rises import MARGIN


def leads(*directories: Path, device: str = "cpu") -> Drawing:
    """By how many updates each score of the heads moves before the onset of copying: a dot for each run."""
    return picture.leads(leads_of_runs(directories, device=device))


def leads_of_runs(directories: Sequence[Path], *, device: str = "cpu") -> LeadingIndicators:
    """Of runs that differ in their seeds; a run is named by the seed of its weights.

    Raises ValueError for two runs of one seed, and for runs with fewer than 8 checkpoints.
    """
    seeds = [CheckpointSeries(directory).config.init_seed for directory in directories]
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"leads are compared over seeds, got two runs of one init_seed: {seeds}")
    accuracies = [analyzed(directory, device=device).accuracy for directory in directories]
    return leading_indicators(
        [indicators_of_run(directory, device=device) for directory in directories],
        [accuracy.per_token().dropna("checkpoint") for accuracy in accuracies],
        seeds=seeds,
        chance=accuracies[0].chance["per_token"],
        margin=MARGIN,
    )


def leads_section(directories: Sequence[Path], *, device: str = "cpu") -> Section:
    """The picture with its numbers in words and, in a table, by seed with the head that is followed."""
    result = leads_of_runs(directories, device=device)
    text = (
        f"Onset of the per-token copying accuracy minus the onset of a score, in updates, seed by seed; {result}. The "
        "strongest head of a score is the one with the largest value at the last checkpoint, chosen in each seed; the "
        "table names it. A score without a rise has no onset and is counted as such (no rise: "
        f"{_without_rise(result)})."
    )
    caption = "Dots: seeds. Bars: mean and 95% interval over seeds. Above 0 the score moves before copying."
    drawing, table = picture.leads(result), result.to_frame()
    return Section("Leading indicators", text, drawing, caption, table=table, file="copying_leads")


def _without_rise(result: LeadingIndicators) -> str:
    counts = result.summary()
    rows = counts[counts["no_rise"] > 0].to_dict("records")
    listed = (f"{row['score']} of the {row['followed']} {row['no_rise']}" for row in rows)
    return ", ".join(listed) or "none"


def indicators_of_run(
    directory: Path, *, device: str = "cpu", on_checkpoint: Callable[[int, int], None] | None = None
) -> HeadScores:
    """`indicator_scores` of every checkpoint of a run.

    Args:
        directory: the run's folder.
        device: where the models run, a torch device.
        on_checkpoint: told (checkpoints done, checkpoints to do); not called for a cached result.
    """
    series, probes = CheckpointSeries(directory), probes_of_run(directory)
    done = count(1)

    def models() -> Iterator[tuple[int, Transformer]]:
        for step in series.steps:
            yield step, series.load(step).to(device)
            if on_checkpoint:
                on_checkpoint(next(done), len(series.steps))

    n_sequences, n_tokens = probes.tokens.shape
    asked = {
        "n_sequences": n_sequences,
        "n_tokens": n_tokens,
        "corpus": probes.corpus_hash,
        **checkpoint_files(series, series.steps),
    }
    return kept(directory, HeadScores.name, HeadScores, asked, lambda: indicator_scores(models(), probes.tokens))
