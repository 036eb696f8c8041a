"""What every checkpoint of a modular run is asked: how it answers in context, and by which algorithm.

shots       accuracy and loss on the four splits by number of shots, by what it takes to answer
agreement   likelihood of its answers under Ratio Matching, Modular Regression, memorization and chance
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from grok_interp.activations import HookedModel
from grok_interp.analysis.agreement import AlgorithmAgreement, agreement_of
from grok_interp.analysis.questions import Questions, answers_of, draw_questions
from grok_interp.analysis.shots import ShotCurves, shot_curve_of
from grok_interp.checkpoints.run import batches_of_run
from grok_interp.data.modular import ModularTasks, Split
from grok_interp.studies.run_results import RunResults, ask_run
from grok_interp.training.batches import ModularBatches

EARLY_STOPPING: tuple[Split, ...] = ("ood_train", "ood_test")  # the splits whose best checkpoint is kept


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
        return cls(shot_curve_of([step], [given]), agreement_of([step], [given], probes.tasks))

    @property
    def best_step(self) -> int:
        """Where early stopping would have stopped: the largest last-shot accuracy on o.o.d. tasks, over new queries."""
        return self.shots.best_checkpoint(*EARLY_STOPPING, queries="new")


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


def analyzed(directory: Path, *, device: str = "cpu") -> ModularResults:
    """The results of a run, with the default probes."""
    return analyze(directory, probes_of_run(directory), device=device)
