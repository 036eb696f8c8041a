"""What every checkpoint of a modular run is evaluated on: how it answers in context, and by which algorithm.

shots       accuracy and loss on the four splits by number of shots, by what it takes to answer
agreement   likelihood of its answers under Ratio Matching, Modular Regression, memorization and chance

All checkpoints of a run are evaluated on the same contexts. Two runs have independent contexts: their seed is made from
the run's configuration (inputs.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from grok_interp.activations import HookedModel
from grok_interp.analysis.agreement import AlgorithmAgreement, agreement_of
from grok_interp.analysis.evaluation_contexts import EvaluationContexts, answers_of, draw_contexts
from grok_interp.analysis.shots import ShotCurves, shot_curve_of
from grok_interp.checkpoints.run import batches_of_run
from grok_interp.checkpoints.series import CheckpointSeries
from grok_interp.data.modular import ModularTasks, Split
from grok_interp.studies.modular.inputs import N_CONTEXTS, evaluation_seed
from grok_interp.studies.run_results import RunResults, ask_run
from grok_interp.training.batches import ModularBatches

EARLY_STOPPING: tuple[Split, ...] = ("ood_train", "ood_test")  # the splits whose best checkpoint is kept


@dataclass(frozen=True)
class ModularProbes:
    """What every checkpoint is evaluated on: contexts of their own for all tasks of each split."""

    tasks: ModularTasks
    tasks_hash: str
    questions: list[EvaluationContexts]

    def description(self) -> dict[str, Any]:
        return {"tasks": self.tasks_hash, **self.questions[0].description()}


@dataclass(frozen=True)
class ModularResults(RunResults):
    """Both answers of the same checkpoints."""

    version = 2
    shots: ShotCurves
    agreement: AlgorithmAgreement

    @classmethod
    def ask(cls, pair: tuple[int, HookedModel], probes: ModularProbes) -> Self:
        step, model = pair
        given = answers_of(model, probes.questions)
        return cls(shot_curve_of([step], [given]), agreement_of([step], [given], probes.tasks))

    @property
    def best_step(self) -> int:
        """Where early stopping would have stopped: the largest last-shot accuracy on o.o.d. tasks, over new queries.

        The choice uses the contexts that are reported, so accuracies at this step are too high by a part of their
        standard error where several checkpoints are close.
        """
        return self.shots.best_checkpoint(*EARLY_STOPPING, queries="new")


def probes_of_run(directory: Path, *, n_contexts: int = N_CONTEXTS, seed: int = 0) -> ModularProbes:
    """The evaluation contexts of a run.

    Args:
        directory: a run on modular arithmetic.
        n_contexts: contexts of each split, rounded up to an equal number of two or more for each task.
        seed: another one draws other contexts. They also depend on the run's configuration, so runs are independent.

    Returns:
        What `analyze` evaluates every checkpoint on.

    Raises:
        ValueError: for a run on text.

    Example:
        >>> from grok_interp import load_reference
        >>> probes = probes_of_run(load_reference("modular-p11").directory)
        >>> [asked.split for asked in probes.questions]
        ['id_train', 'id_test', 'ood_train', 'ood_test']
    """
    batches = batches_of_run(directory)
    if not isinstance(batches, ModularBatches):
        raise ValueError(
            f"{directory} is no run on modular arithmetic ({batches.description}): the modular study cannot look at it"
        )
    drawn_by = evaluation_seed(CheckpointSeries(directory).config, seed)
    questions = draw_contexts(batches.tasks, n_examples=batches.n_examples, n_contexts=n_contexts, seed=drawn_by)
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


def analyzed(directory: Path, *, device: str = "cpu") -> ModularResults:
    """The results of a run, with the default probes."""
    return analyze(directory, probes_of_run(directory), device=device)
