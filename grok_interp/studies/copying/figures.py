"""Figures of "Language Models 'Grok' to Copy", each one function of its runs, whatever their size.

Several runs of a condition are its seeds: the mean is drawn, and each of them thinly.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from grok_interp.analysis.comparison import TrainingCurves, training_curves
from grok_interp.analysis.copying import CopyingAccuracy
from grok_interp.analysis.copying_diagram import copying_diagram
from grok_interp.analysis.formation import FormationOrder, formation_order
from grok_interp.analysis.induction import InductionScores
from grok_interp.checkpoints.run import run_provenance
from grok_interp.checkpoints.series import CheckpointSeries
from grok_interp.plots.drawing import Drawing
from grok_interp.plots.pictures import copying_diagram as diagram
from grok_interp.plots.pictures import strings as by_string
from grok_interp.plots.pictures.conditions import OVER_UPDATES, Against, conditions
from grok_interp.plots.pictures.copying_and_loss import copying_and_loss
from grok_interp.plots.pictures.formation import formation
from grok_interp.studies.copying.experiments import BATCH_SIZE, LEARNING_RATE, REGULARISATION
from grok_interp.studies.copying.results import FORMED, analyzed

BY_COPYING: list[tuple[str, Against]] = [
    ("per_token", "updates"),
    ("per_token", "tokens"),
    ("whole", "updates"),
    ("whole", "tokens"),
]
BY_LOSS: list[tuple[str, Against]] = [
    ("loss", "tokens"),
    ("loss", "updates"),
    ("per_token", "tokens"),
    ("per_token", "updates"),
]


def figure_2(*directories: Path, device: str = "cpu") -> Drawing:
    """Copying accuracy and loss over training; of one run with 95% intervals over samples."""
    accuracy = analyzed(directories[0], device=device).accuracy if len(directories) == 1 else None
    return copying_and_loss(curves_of(directories, device=device), accuracy)


def figure_3(*directories: Path, device: str = "cpu") -> Drawing:
    """Copying at several batch sizes, against updates and against tokens: which of the two makes the curves agree?"""
    return conditions(curves_of(directories, varied=BATCH_SIZE.varied, device=device), BY_COPYING, columns=2)


def figure_4(*directories: Path, device: str = "cpu") -> Drawing:
    """The same runs: loss and copying against tokens and against updates."""
    return conditions(curves_of(directories, varied=BATCH_SIZE.varied, device=device), BY_LOSS, columns=2)


def figure_5(*directories: Path, device: str = "cpu") -> Drawing:
    """Copying and loss at several learning rates."""
    return conditions(curves_of(directories, varied=LEARNING_RATE.varied, device=device), OVER_UPDATES, columns=3)


def figure_6(*directories: Path, threshold: float = FORMED, device: str = "cpu") -> Drawing:
    """I(L, H) of every head over training, with each head's first step above `threshold`: a panel a run."""
    return formation(formations(directories, threshold=threshold, device=device))


def figure_7(*directories: Path, device: str = "cpu") -> Drawing:
    """Copying and loss with attention dropout, with weight decay, and with neither."""
    return conditions(curves_of(directories, varied=REGULARISATION.varied, device=device), OVER_UPDATES, columns=3)


def synthetic_data_diagram(*directories: Path, device: str = "cpu") -> Drawing:
    """Final exact-match accuracy against the fractions of windows with copies and of random windows."""
    runs = (
        (CheckpointSeries(directory).config, analyzed(directory, device=device).accuracy) for directory in directories
    )
    return diagram.copying_diagram(copying_diagram(runs))


def strings(*directories: Path, device: str = "cpu") -> Drawing:
    """Exact-match accuracy string by string over training, on printable and on hexadecimal strings.

    With 95% intervals: over samples of one run, over seeds of several.
    """
    return by_string.strings(*accuracies_of(directories, device=device))


def accuracies_of(directories: Sequence[Path], *, device: str = "cpu") -> list[list[CopyingAccuracy]]:
    """Of each run, on printable and on hexadecimal strings."""
    results = (analyzed(directory, device=device) for directory in directories)
    return [[each.accuracy, each.hexadecimal] for each in results]


def formations(
    directories: Sequence[Path], *, threshold: float = FORMED, device: str = "cpu"
) -> list[tuple[InductionScores, FormationOrder]]:
    """Of each run."""
    scores = [analyzed(directory, device=device).induction for directory in directories]
    return [(each, formation_order(each, threshold=threshold)) for each in scores]


def curves_of(directories: Sequence[Path], *, varied: Sequence[str] = (), device: str = "cpu") -> TrainingCurves:
    """The curves of analyzed runs that differ in `varied` fields and seeds only.

    Raises ValueError for runs that differ in more, their text included.
    """
    texts = {run_provenance(directory)["data"]["hash"]: str(directory) for directory in directories}
    if len(texts) > 1:
        raise ValueError(
            f"these runs read different texts, so that they cannot be compared: {', '.join(texts.values())}"
        )
    runs = (
        analyzed(directory, device=device).with_config(CheckpointSeries(directory).config) for directory in directories
    )
    return training_curves(runs, varied=varied)
