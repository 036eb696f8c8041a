"""The study of "Learning to grok": every checkpoint of a run asked how it answers in context, and by which algorithm.

    shots       accuracy and loss on the four splits by number of shots, by what it takes to answer
    agreement   likelihood of its answers under Ratio Matching, Modular Regression, memorization and chance

Each figure of the paper is one function of a run, whatever its size: the preset decides it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from jaxtyping import Int64
from matplotlib.figure import Figure
from torch import Tensor

from grok_interp.activations import HookedModel
from grok_interp.analysis.agreement import AlgorithmAgreement, agreement_of
from grok_interp.analysis.circles import CirclePCA, circle_pca
from grok_interp.analysis.circularity import circularity
from grok_interp.analysis.grid import grid_comparison
from grok_interp.analysis.phases import PAPER_THRESHOLD, PhaseDiagram, phase_diagram
from grok_interp.analysis.questions import Questions, answers_of, draw_questions
from grok_interp.analysis.shots import ShotCurves, shot_curves_of
from grok_interp.analysis.similarity import CosineSimilarity, cosine_similarity
from grok_interp.checkpoints.run import batches_of_run
from grok_interp.checkpoints.series import CheckpointSeries
from grok_interp.data.modular import ModularTasks, Split, draw_inputs
from grok_interp.data.slot import Position, slot_sequences
from grok_interp.studies.run_results import RunResults, ask_run
from grok_interp.training.batches import ModularBatches
from grok_interp.views.algorithms import plot_agreement, plot_grids
from grok_interp.views.circles import plot_circles
from grok_interp.views.matrices import plot_similarity
from grok_interp.views.phases import plot_phase_diagram
from grok_interp.views.shots import plot_last_shot, plot_shots

GRID_EXAMPLES = 6  # which stream of random numbers a seed is used for
EARLY_STOPPING: Split = "ood_test"  # the split whose best checkpoint is kept


@dataclass(frozen=True)
class ModularProbes:
    """What every checkpoint is asked: all tasks of each split on the same contexts."""

    tasks: ModularTasks
    tasks_hash: str
    questions: list[Questions]

    def description(self) -> dict[str, Any]:
        return {"tasks": self.tasks_hash, **self.questions[0].description()}


@dataclass(frozen=True)
class ModularResults(RunResults):
    """Both answers of the same checkpoints."""

    shots: ShotCurves
    agreement: AlgorithmAgreement

    @classmethod
    def ask(cls, pair: tuple[int, HookedModel], probes: ModularProbes) -> Self:
        step, model = pair
        given = answers_of(model, probes.questions)
        return cls(shot_curves_of([step], [given]), agreement_of([step], [given], probes.tasks))

    @property
    def best_step(self) -> int:
        """Where early stopping would have stopped: the largest last-shot accuracy on o.o.d. tasks and test inputs."""
        return self.shots.best_checkpoint(EARLY_STOPPING)


def probes_of_run(directory: Path, *, n_contexts: int = 64, seed: int = 0) -> ModularProbes:
    """The probes of a run. Raises ValueError for a run on text."""
    batches = batches_of_run(directory)
    if not isinstance(batches, ModularBatches):
        raise ValueError(
            f"{directory} is no run on modular arithmetic ({batches.description}): the modular study cannot look at it"
        )
    questions = draw_questions(batches.tasks, n_examples=batches.n_examples, n_contexts=n_contexts, seed=seed)
    return ModularProbes(batches.tasks, batches.hash, questions)


def analyze(
    directory: Path,
    probes: ModularProbes,
    *,
    device: str = "cpu",
    on_checkpoint: Callable[[int, int], None] | None = None,
) -> ModularResults:
    """Ask every checkpoint of a run that was not asked before: `ask_run` of these two results."""
    return ask_run(directory, ModularResults, probes, device=device, on_checkpoint=on_checkpoint)


def analyzed(directory: Path) -> ModularResults:
    """The results of a run, with the default probes."""
    return analyze(directory, probes_of_run(directory))


def sweep_diagram(*directories: Path, queries: str = "all") -> PhaseDiagram:
    """The phase diagram of a sweep: one run for each n_id, alpha and seed."""
    runs = ((CheckpointSeries(directory).config, analyzed(directory).shots) for directory in directories)
    return phase_diagram(runs, queries=queries)


def figure_1b(*directories: Path, threshold: float = PAPER_THRESHOLD, queries: str = "all") -> Figure:
    """Phase diagram over the tasks trained on and alpha, of the best seed with early stopping."""
    return plot_phase_diagram(sweep_diagram(*directories, queries=queries), threshold=threshold)


def figure_1c(directory: Path, *, step: int | None = None) -> Figure:
    """Accuracy by number of shots, at the early-stopped checkpoint if no step is named."""
    results = analyzed(directory)
    return plot_shots(results.shots, step=results.best_step if step is None else step, split=EARLY_STOPPING)


def figure_3(directory: Path, *, threshold: float = PAPER_THRESHOLD) -> Figure:
    """Last-shot accuracy on the four splits over training: o.o.d. generalization may be transient."""
    return plot_last_shot(analyzed(directory).shots, threshold=threshold)


def figure_5(
    directory: Path, *, step: int | None = None, task: tuple[int, int] | None = None, shots: Sequence[int] = ()
) -> Figure:
    """The grid comparison of one task (default: the first o.o.d. one) after some numbers of examples."""
    series, tasks, step = _at(directory, step)
    model, n_examples = series.load(step), series.config.model.n_ctx // 3
    chosen = task or unseen_task(tasks)
    inputs = grid_examples(tasks.p, n_examples - 1)
    shots = shots or sorted({1, 2, n_examples // 2, n_examples - 1})
    return plot_grids([grid_comparison(model, chosen, inputs[:k], tasks.p) for k in shots])


def algorithm_shift(directory: Path, *, step: int | None = None) -> Figure:
    """Beyond the paper: the likelihood of the answers under each algorithm, by number of shots."""
    results = analyzed(directory)
    return plot_agreement(results.agreement, step=results.best_step if step is None else step)


def figure_6(
    directory: Path, *, step: int | None = None, head: tuple[int, int] | None = None, slot: int | None = None
) -> Figure:
    """The circle of circles of one head; default: the most circular one, in the last slot."""
    series, tasks, step = _at(directory, step)
    model = series.load(step)
    circles = most_circular(model, tasks, step=step, heads=[head] if head else None, slot=slot)
    return plot_circles(circles)


def figure_7(
    directory: Path,
    *,
    layer: int | None = None,
    position: Position = "z",
    step: int | None = None,
    slot: int | None = None,
) -> Figure:
    """Cosine similarity of a block's output over all pairs of the slot (default: the last of both)."""
    series, tasks, step = _at(directory, step)
    model = series.load(step)
    layer = model.cfg.n_layers - 1 if layer is None else layer
    return plot_similarity(block_similarity(model, tasks, step=step, layer=layer, position=position, slot=slot))


def unseen_task(tasks: ModularTasks) -> tuple[int, int]:
    """The first o.o.d. task without a shortcut: neither a nor b is 0, nor a = b; or just the first."""
    pairs = [(a, b) for a, b in tasks.ood_tasks.tolist()]
    return next((pair for pair in pairs if all(pair) and pair[0] != pair[1]), pairs[0])


def grid_examples(p: int, k: int, *, seed: int = 0) -> Int64[Tensor, "example 2"]:
    """k random inputs, the first ones of every longer list."""
    pairs = torch.cartesian_prod(torch.arange(p), torch.arange(p))
    return draw_inputs(pairs, n_contexts=1, n_examples=k, seed=(seed, GRID_EXAMPLES))[0]


def slot_tokens(model: HookedModel, tasks: ModularTasks, slot: int) -> Int64[Tensor, "pair pos"]:
    """Sequences of an unseen task in which one slot runs over all pairs, as long as the context."""
    return slot_sequences(unseen_task(tasks), tasks.p, slot=slot, n_examples=last_slot(model) + 1, seed=0)


def last_slot(model: HookedModel) -> int:
    return model.cfg.n_ctx // 3 - 1


def most_circular(
    model: HookedModel,
    tasks: ModularTasks,
    *,
    step: int,
    heads: Sequence[tuple[int, int]] | None = None,
    slot: int | None = None,
) -> CirclePCA:
    """Of these heads (default: all), the one of largest circularity."""
    slot = last_slot(model) if slot is None else slot
    tokens = slot_tokens(model, tasks, slot)
    heads = heads or [(layer, head) for layer in range(model.cfg.n_layers) for head in range(model.cfg.n_heads)]
    found = [circle_pca([(step, model)], tokens, p=tasks.p, slot=slot, layer=layer, head=head) for layer, head in heads]
    return max(found, key=lambda circles: float(circularity(circles, seed=0).at().sel(measure="circularity")))


def block_similarity(
    model: HookedModel, tasks: ModularTasks, *, step: int, layer: int, position: Position, slot: int | None = None
) -> CosineSimilarity:
    """Of one block's output at x, y or z of the slot (default: the last), on an unseen task."""
    slot = last_slot(model) if slot is None else slot
    tokens = slot_tokens(model, tasks, slot)
    return cosine_similarity([(step, model)], tokens, p=tasks.p, slot=slot, position=position, layer=layer)


def _at(directory: Path, step: int | None) -> tuple[CheckpointSeries, ModularTasks, int]:
    """(series, tasks, step): the early-stopped step if none is named."""
    probes = probes_of_run(directory)
    step = analyze(directory, probes).best_step if step is None else step
    return CheckpointSeries(directory), probes.tasks, step
