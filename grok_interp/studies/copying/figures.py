"""Figures of "Language Models 'Grok' to Copy", and beyond it: each one function of its runs, whatever their size.

Several runs of a condition are its seeds: the mean is drawn, and each of them thinly. What a figure is drawn with is
imported when it is drawn (see studies/picture.py). Figures of single heads are in head_figures.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from grok_interp.runs.run import Run
from grok_interp.studies.copying.experiments import (
    BASELINE,
    BATCH_SIZE,
    LEARNING_RATE,
    REGULARIZATION,
    SYNTHETIC_DATA,
)
from grok_interp.studies.picture import Pictures

if TYPE_CHECKING:
    from grok_interp.plots.drawing import Drawing
    from grok_interp.plots.pictures.conditions import Against
    from grok_interp.studies.experiment import Experiment

FIGURES = Pictures("copying")
BY_COPYING: list[tuple[str, Against]] = [
    ("per_token", "updates"),
    ("per_token", "tokens"),
    ("exact_match", "updates"),
    ("exact_match", "tokens"),
]
BY_LOSS: list[tuple[str, Against]] = [
    ("loss", "tokens"),
    ("loss", "updates"),
    ("per_token", "tokens"),
    ("per_token", "updates"),
]


@FIGURES.of_runs("fig2", "copying accuracy and loss over training", experiment=BASELINE)
def figure_2(*runs: Run, device: str = "cpu") -> Drawing:
    """Copying accuracy and loss over training; of one run with 95% intervals over samples.

    Args:
        runs: on text; several of one condition are its seeds.
        device: where models run, a torch device.
    """
    from grok_interp import plots
    from grok_interp.studies.copying.comparisons import curves_of
    from grok_interp.studies.copying.copying_results import analyze

    accuracy = analyze(runs[0], device=device).accuracy if len(runs) == 1 else None
    return plots.copying_and_loss(curves_of(runs, device=device), accuracy)


@FIGURES.of_runs("fig3", "copying at three batch sizes, against updates and tokens", experiment=BATCH_SIZE)
def figure_3(*runs: Run, device: str = "cpu") -> Drawing:
    """Copying at several batch sizes, against updates and against tokens: which of the two makes the curves agree?

    Args:
        runs: on text; several of one condition are its seeds.
        device: where models run, a torch device.
    """
    return _conditions(runs, BATCH_SIZE, BY_COPYING, columns=2, device=device)


@FIGURES.of_runs("fig4", "loss and copying at three batch sizes", experiment=BATCH_SIZE)
def figure_4(*runs: Run, device: str = "cpu") -> Drawing:
    """The same runs: loss and copying against tokens and against updates.

    Args:
        runs: on text; several of one condition are its seeds.
        device: where models run, a torch device.
    """
    return _conditions(runs, BATCH_SIZE, BY_LOSS, columns=2, device=device)


@FIGURES.of_runs("fig5", "copying and loss at three learning rates", experiment=LEARNING_RATE)
def figure_5(*runs: Run, device: str = "cpu") -> Drawing:
    """Copying and loss at several learning rates.

    Args:
        runs: on text; several of one condition are its seeds.
        device: where models run, a torch device.
    """
    return _conditions(runs, LEARNING_RATE, None, columns=3, device=device)


@FIGURES.of_runs("fig6", "I(L, H) of every head over training, and when each forms", experiment=BASELINE)
def figure_6(*runs: Run, threshold: float | None = None, device: str = "cpu") -> Drawing:
    """I(L, H) of every head over training, with each head's first step above `threshold`: one panel per run.

    Args:
        runs: on text.
        threshold: I(L, H) above which a head counts as formed; 0.1 if None.
        device: where models run, a torch device.
    """
    from grok_interp import plots
    from grok_interp.studies.copying.comparisons import formations

    return plots.formation(formations(runs, threshold=threshold, device=device))


@FIGURES.of_runs("fig7", "copying with attention dropout, weight decay and neither", experiment=REGULARIZATION)
def figure_7(*runs: Run, device: str = "cpu") -> Drawing:
    """Copying and loss with attention dropout, with weight decay, and with neither.

    Args:
        runs: on text; several of one condition are its seeds.
        device: where models run, a torch device.
    """
    return _conditions(runs, REGULARIZATION, None, columns=3, device=device)


@FIGURES.of_runs("strings", "exact-match accuracy string by string, two alphabets", experiment=BASELINE)
def strings(*runs: Run, device: str = "cpu") -> Drawing:
    """Exact-match accuracy string by string over training, for each alphabet of the copying test.

    With 95% intervals: over samples of one run, over seeds of several.

    Args:
        runs: on text, of one condition.
        device: where models run, a torch device.
    """
    from grok_interp import plots
    from grok_interp.studies.copying.comparisons import accuracies_of

    return plots.strings(*accuracies_of(runs, device=device))


@FIGURES.of_run("natural", "loss on repeated n-grams of unmodified validation text", experiment=BASELINE)
def natural(run: Run, *, n: int | None = None, device: str = "cpu") -> Drawing:
    """Loss at first occurrences and at repeats of n-grams over training, with the difference.

    Args:
        run: a run on text.
        n: as in `natural_copying`; 8 by default for a vocabulary of bytes, 2 for BPE.
        device: where the models run, a torch device.
    """
    from grok_interp import plots
    from grok_interp.studies.copying.natural_text import natural_copying_of_run

    return plots.natural_copying(natural_copying_of_run(run, n=n, device=device))


@FIGURES.of_runs("diagram", "final accuracy against the fractions of synthetic windows", experiment=SYNTHETIC_DATA)
def synthetic_data_diagram(*runs: Run, device: str = "cpu") -> Drawing:
    """Final exact-match accuracy against the fractions of windows with copies and of random windows.

    Args:
        runs: on text, of one or more seeds for each pair of fractions.
        device: where models run, a torch device.
    """
    from grok_interp import plots
    from grok_interp.analysis.copying_diagram import copying_diagram
    from grok_interp.studies.copying.copying_results import analyze

    found = ((run.config, analyze(run, device=device).accuracy) for run in runs)
    return plots.copying_diagram(copying_diagram(found))


def _conditions(
    runs: Sequence[Run],
    experiment: Experiment,
    measures: list[tuple[str, Against]] | None,
    *,
    columns: int,
    device: str,
) -> Drawing:
    """Measures of the runs of an experiment; against updates if None."""
    from grok_interp import plots
    from grok_interp.plots.pictures.conditions import OVER_UPDATES
    from grok_interp.studies.copying.comparisons import curves_of

    curves = curves_of(runs, varied=experiment.varied, device=device)
    return plots.conditions(curves, measures or OVER_UPDATES, columns=columns)
