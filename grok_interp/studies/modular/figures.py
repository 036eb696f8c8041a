"""Each figure of "Learning to grok" as one function of a run, whatever its size: the preset decides it.

Those that look into one checkpoint take the early-stopped one if no `step` is named. Models run on `device`. What a
figure is drawn with is imported when it is drawn (see studies/picture.py). Figures of its appendix, and beyond it, are
in further_figures.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from grok_interp.runs.run import Run
from grok_interp.studies.modular.experiments import BASELINE, PHASES
from grok_interp.studies.picture import Pictures

if TYPE_CHECKING:
    from grok_interp.data.slot import Position
    from grok_interp.plots.drawing import Drawing

FIGURES = Pictures("modular")


@FIGURES.of_runs("fig1b", "phase diagram over the tasks trained on and alpha", experiment=PHASES)
def figure_1b(*runs: Run, threshold: float | None = None, queries: str = "all", device: str = "cpu") -> Drawing:
    """Phase diagram over the tasks trained on and alpha, of the best seed with early stopping.

    Args:
        runs: on modular arithmetic, one for each n_id, alpha and seed.
        threshold: accuracy above which a split counts as learned; 0.75 if None.
        queries: "all" or "new", as in `phase_diagram`.
        device: where models run, a torch device.
    """
    from grok_interp import plots
    from grok_interp.analysis.phases import PAPER_THRESHOLD
    from grok_interp.studies.modular.modular_results import sweep_diagram

    threshold = PAPER_THRESHOLD if threshold is None else threshold
    return plots.phase_diagram(sweep_diagram(*runs, queries=queries, device=device), threshold=threshold)


@FIGURES.of_run("fig1c", "accuracy by number of shots", experiment=BASELINE)
def figure_1c(run: Run, *, step: int | None = None, device: str = "cpu") -> Drawing:
    """Accuracy by number of shots, at the early-stopped checkpoint if no step is named.

    Args:
        run: a run on modular arithmetic.
        step: of the checkpoint; the early-stopped one if None.
        device: where models run, a torch device.
    """
    from grok_interp import plots
    from grok_interp.studies.modular.modular_results import analyze

    results = analyze(run, device=device)
    return plots.shot_curves(results.shots, step=results.best_step if step is None else step, split="ood_train")


@FIGURES.of_run("fig3", "last-shot accuracy on the four splits over training", experiment=BASELINE)
def figure_3(run: Run, *, threshold: float | None = None, device: str = "cpu") -> Drawing:
    """Last-shot accuracy on the four splits over training: o.o.d. generalization may be transient.

    Args:
        run: a run on modular arithmetic.
        threshold: accuracy above which a split counts as learned; 0.75 if None.
        device: where models run, a torch device.
    """
    from grok_interp import plots
    from grok_interp.analysis.phases import PAPER_THRESHOLD
    from grok_interp.studies.modular.modular_results import analyze

    threshold = PAPER_THRESHOLD if threshold is None else threshold
    return plots.last_shot(analyze(run, device=device).shots, threshold=threshold)


@FIGURES.of_run("fig5", "one unseen task: answers query by query, beside both algorithms", experiment=BASELINE)
def figure_5(
    run: Run,
    *,
    step: int | None = None,
    task: tuple[int, int] | None = None,
    shots: Sequence[int] = (),
    device: str = "cpu",
) -> Drawing:
    """The grid comparison of one task (default: the first o.o.d. one) after some numbers of examples.

    Args:
        run: a run on modular arithmetic.
        step: of the checkpoint; the early-stopped one if None.
        task: (a, b) of z = a x + b y; the first o.o.d. one if None.
        shots: numbers of examples; few, half and all but one of the context if empty.
        device: where models run, a torch device.
    """
    from grok_interp import plots
    from grok_interp.studies.modular.grids import grids

    return plots.grids(grids(run, step=step_or_best(run, step, device), task=task, shots=shots, device=device))


@FIGURES.of_run("fig6", "circle of circles: principal components of one head", experiment=BASELINE)
def figure_6(
    run: Run,
    *,
    step: int | None = None,
    head: tuple[int, int] | None = None,
    slot: int | None = None,
    device: str = "cpu",
) -> Drawing:
    """The circle of circles of one head; default: the most circular one, in the last slot.

    Args:
        run: a run on modular arithmetic.
        step: of the checkpoint; the early-stopped one if None.
        head: (layer, head); the most circular one if None.
        slot: of the example in the context, counted from 0; the last one if None.
        device: where models run, a torch device.
    """
    from grok_interp import plots
    from grok_interp.studies.modular.representations import circles

    return plots.circles(circles(run, step=step_or_best(run, step, device), head=head, slot=slot, device=device))


@FIGURES.of_run("fig7", "cosine similarity of a block's output over all pairs (x, y)", experiment=BASELINE)
def figure_7(
    run: Run,
    *,
    layer: int | None = None,
    position: Position = "z",
    step: int | None = None,
    slot: int | None = None,
    device: str = "cpu",
) -> Drawing:
    """Cosine similarity of a block's output over all pairs of the slot (default: the last of both).

    Args:
        run: a run on modular arithmetic.
        layer: of the block; the last one if None.
        position: of the token in the slot, "x", "y" or "z".
        step: of the checkpoint; the early-stopped one if None.
        slot: of the example in the context, counted from 0; the last one if None.
        device: where models run, a torch device.
    """
    from grok_interp import plots
    from grok_interp.studies.modular.representations import block_similarity

    step, layer = step_or_best(run, step, device), run.config.model.n_layers - 1 if layer is None else layer
    return plots.similarity(block_similarity(run, step=step, layer=layer, position=position, slot=slot, device=device))


def step_or_best(run: Run, step: int | None, device: str) -> int:
    """The step of the early-stopped checkpoint if none is named.

    Args:
        run: a run on modular arithmetic.
        step: of a checkpoint, or None.
        device: where models run, a torch device.
    """
    from grok_interp.studies.modular.modular_results import analyze

    return analyze(run, device=device).best_step if step is None else step
